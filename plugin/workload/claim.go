package workload

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// defaultClaimSize is the size of a claim whose manifest names none.
const defaultClaimSize = "5Gi"

func claimName(dev string) string { return dev + nameSuffix }

// claimFor returns the claim of a dev environment's workspace. It belongs to
// no workload, because it outlives `down` without -v.
func claimFor(dev *manifest.Dev, namespace string) (*corev1.PersistentVolumeClaim, error) {
	pv := dev.PersistentVolume
	size := pv.Size
	if size == "" {
		size = defaultClaimSize
	}
	quantity, err := resource.ParseQuantity(size)
	if err != nil {
		return nil, fmt.Errorf("dev %q: size %q of the persistent volume: %w", dev.Name, size, err)
	}
	mode := pv.AccessMode
	if mode == "" {
		mode = corev1.ReadWriteOnce
	}
	if pv.VolumeMode == corev1.PersistentVolumeBlock {
		return nil, fmt.Errorf("dev %q: the workspace needs the volume mode %s", dev.Name, corev1.PersistentVolumeFilesystem)
	}
	ours := map[string]string{LabelDev: "true", LabelInteractive: dev.Name}
	claim := &corev1.PersistentVolumeClaim{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        claimName(dev.Name),
			Namespace:   namespace,
			Labels:      merged(dev.Metadata.Labels, pv.Labels, ours),
			Annotations: merged(dev.Metadata.Annotations, pv.Annotations),
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{mode},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: quantity},
			},
			VolumeMode: new(corev1.PersistentVolumeFilesystem),
		},
	}
	if pv.StorageClass != "" {
		claim.Spec.StorageClassName = new(pv.StorageClass)
	}
	return claim, nil
}

// checkClaim tells whether an existing claim has to grow, or that it cannot
// become what is wanted. Only what the manifest names is compared.
func checkClaim(have, want *corev1.PersistentVolumeClaim, pv manifest.PersistentVolume) (grow bool, err error) {
	fail := func(field, h, w string) error {
		return &ClaimError{Claim: have.Name, Field: field, Have: h, Want: w}
	}
	if pv.AccessMode != "" && (len(have.Spec.AccessModes) == 0 || have.Spec.AccessModes[0] != pv.AccessMode) {
		return false, fail("access mode", fmt.Sprint(have.Spec.AccessModes), string(pv.AccessMode))
	}
	if h := have.Spec.StorageClassName; pv.StorageClass != "" && (h == nil || *h != pv.StorageClass) {
		return false, fail("storage class", deref(h, "(none)"), pv.StorageClass)
	}
	if h := deref(have.Spec.VolumeMode, corev1.PersistentVolumeFilesystem); h != corev1.PersistentVolumeFilesystem {
		return false, fail("volume mode", string(h), string(corev1.PersistentVolumeFilesystem))
	}
	if pv.Size == "" {
		return false, nil
	}
	h, w := have.Spec.Resources.Requests[corev1.ResourceStorage], want.Spec.Resources.Requests[corev1.ResourceStorage]
	if w.Cmp(h) < 0 {
		return false, fail("size", h.String(), w.String())
	}
	return w.Cmp(h) > 0, nil
}

func deref[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

// claimChange returns what has to be written about the claim: all of it where
// there is none, its size where it has to grow, nil where it is as wanted.
func (c *Client) claimChange(ctx context.Context, dev *manifest.Dev) (change *corev1.PersistentVolumeClaim, grow bool, err error) {
	want, err := claimFor(dev, c.Namespace)
	if err != nil {
		return nil, false, err
	}
	have, err := c.Kube.CoreV1().PersistentVolumeClaims(c.Namespace).Get(ctx, want.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return want, false, nil
	case err != nil:
		return nil, false, c.wrap(err, core("get", "persistentvolumeclaims"), want.Name)
	case have.DeletionTimestamp != nil:
		return nil, false, fmt.Errorf("volume claim %s is being deleted: try again when it is gone", want.Name)
	}
	if grow, err = checkClaim(have, want, dev.PersistentVolume); err != nil || !grow {
		return nil, false, err
	}
	return &corev1.PersistentVolumeClaim{
		TypeMeta:   want.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{Name: want.Name, Namespace: want.Namespace},
		Spec:       corev1.PersistentVolumeClaimSpec{Resources: want.Spec.Resources},
	}, true, nil
}

// ensureClaim makes the claim or grows it. A claim that cannot grow is used
// as it is, and the returned warning says so.
func (c *Client) ensureClaim(ctx context.Context, dev *manifest.Dev) (warning string, err error) {
	change, grow, err := c.claimChange(ctx, dev)
	if err != nil || change == nil {
		return "", err
	}
	body, err := json.Marshal(change)
	if err != nil {
		return "", fmt.Errorf("rendering claim %s: %w", change.Name, err)
	}
	pt, opts := types.ApplyPatchType, applyOptions()
	if grow {
		pt, opts = types.MergePatchType, metav1.PatchOptions{FieldManager: FieldManager}
	}
	_, err = c.Kube.CoreV1().PersistentVolumeClaims(c.Namespace).Patch(ctx, change.Name, pt, body, opts)
	if grow && (apierrors.IsForbidden(err) || apierrors.IsInvalid(err)) {
		return fmt.Sprintf("volume claim %s keeps its size: %s", change.Name, message(err)), nil
	}
	return "", c.wrap(err, core("patch", "persistentvolumeclaims"), change.Name)
}

// applyOptions are those of a server-side apply. What we apply is ours alone,
// the replica count during a swap included, so that conflicts are forced.
func applyOptions() metav1.PatchOptions {
	return metav1.PatchOptions{FieldManager: FieldManager, Force: new(true)}
}
