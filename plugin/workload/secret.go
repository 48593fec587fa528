package workload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// volumeSecrets is the pod's volume for the Secret.
const volumeSecrets = "okteto-secrets"

// MaxSecretSize is what the files of a Secret may have together, in bytes.
const MaxSecretSize = corev1.MaxSecretSize

// SecretFile is a file that a Secret brings into the dev container.
type SecretFile struct {
	// Path is where it is there, absolute and clean.
	Path string
	// Mode are its permissions.
	Mode    int32
	Content []byte
}

func secretName(dev string) string { return dev + nameSuffix }

// secretKey is the key of a file in the Secret, by its number: a path has
// letters that a key must not have.
func secretKey(i int) string { return "file-" + strconv.Itoa(i) }

// secretFor returns the Secret of a dev environment's files. It ends with the
// workload, as the clone does.
func secretFor(w *Workload, s *Spec) *corev1.Secret {
	secret := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name:            secretName(s.Dev.Name),
			Namespace:       w.Meta.Namespace,
			Labels:          merged(s.Dev.Metadata.Labels, map[string]string{LabelDev: "true", LabelInteractive: s.Dev.Name}),
			Annotations:     merged(s.Dev.Metadata.Annotations),
			OwnerReferences: owned(w),
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{},
	}
	for i, f := range s.Secrets {
		secret.Data[secretKey(i)] = f.Content
	}
	return secret
}

// mountSecrets mounts each file of the Secret at its path in the dev container.
func mountSecrets(spec *corev1.PodSpec, dev *corev1.Container, s *Spec) error {
	if len(s.Secrets) == 0 {
		return nil
	}
	v := corev1.Volume{Name: volumeSecrets}
	v.Secret = &corev1.SecretVolumeSource{SecretName: secretName(s.Dev.Name)}
	for i, f := range s.Secrets {
		if err := freeMount(dev, f.Path); err != nil {
			return err
		}
		key := secretKey(i)
		v.Secret.Items = append(v.Secret.Items, corev1.KeyToPath{
			Key: key, Path: key, Mode: new(readableMode(f.Mode, dev.SecurityContext, spec.SecurityContext)),
		})
		dev.VolumeMounts = append(dev.VolumeMounts, corev1.VolumeMount{
			Name: volumeSecrets, MountPath: f.Path, SubPath: key, ReadOnly: true,
		})
	}
	spec.Volumes = append(spec.Volumes, v)
	return nil
}

// readableMode lets a user who is known not to be root read a file of his own:
// files of a Secret belong to root. With an fsGroup the kubelet sees to it.
func readableMode(mode int32, dev *corev1.SecurityContext, pod *corev1.PodSecurityContext) int32 {
	if pod != nil && pod.FSGroup != nil {
		return mode
	}
	if nonRoot, user := runAs(dev, pod); !nonRoot && deref(user, 0) == 0 {
		return mode
	}
	return mode | mode>>6&0o5
}

// secretsDigest identifies the contents, so that other ones make another pod. A
// short secret could be guessed from its digest alone; the UID, which only who
// may read the Secret can see, prevents that.
func secretsDigest(s *Spec) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", s.SecretUID)
	for _, f := range s.Secrets {
		fmt.Fprintf(h, "%d\n%s", len(f.Content), f.Content)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// hasSecrets tells whether a clone mounts the Secret.
func hasSecrets(clone *appsv1.Deployment) bool {
	return clone != nil && slices.ContainsFunc(clone.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == volumeSecrets })
}

// applySecret writes the Secret and returns its UID. Another one of its name
// is left alone.
func (c *Client) applySecret(ctx context.Context, w *Workload, s *Spec) (types.UID, error) {
	want := secretFor(w, s)
	if _, err := c.secretUID(ctx, s.Dev.Name); err != nil {
		return "", err
	}
	body, err := json.Marshal(want)
	if err != nil {
		return "", fmt.Errorf("rendering secret %s: %w", want.Name, err)
	}
	applied, err := c.Kube.CoreV1().Secrets(c.Namespace).Patch(ctx, want.Name, types.ApplyPatchType, body, applyOptions())
	if err != nil {
		return "", c.wrap(err, core("patch", "secrets"), want.Name)
	}
	return applied.UID, nil
}

// secretUID returns the UID of a dev environment's Secret, empty where there is
// none yet. Another one of its name is an error.
func (c *Client) secretUID(ctx context.Context, dev string) (types.UID, error) {
	name := secretName(dev)
	have, err := c.Kube.CoreV1().Secrets(c.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", c.wrap(err, core("get", "secrets"), name)
	case have.Labels[LabelInteractive] != dev:
		return "", fmt.Errorf("secret %s exists, and this plugin did not make it: delete it, or give the development container another name", name)
	}
	return have.UID, nil
}

// deleteSecret deletes the Secret that a swap made, and no other of its name.
// Who may read no Secrets has none: it is not kept from a restore.
func (c *Client) deleteSecret(ctx context.Context, dev string) (bool, error) {
	name := secretName(dev)
	secrets := c.Kube.CoreV1().Secrets(c.Namespace)
	have, err := secrets.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsForbidden(err):
		return false, nil
	case err != nil:
		return false, c.wrap(err, core("get", "secrets"), name)
	case have.Labels[LabelInteractive] != dev:
		return false, nil
	}
	err = secrets.Delete(ctx, name, deleteOptions(have.UID))
	return deleted(err), c.wrap(unlessGone(err), core("delete", "secrets"), name)
}
