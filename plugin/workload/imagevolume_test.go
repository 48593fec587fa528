package workload

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clienttesting "k8s.io/client-go/testing"
)

// noSource is what a server answers that does not know image volumes.
func noSource(path string) error {
	return apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "Deployment"}, "api-okteto",
		field.ErrorList{field.Required(field.NewPath(path), "must specify a volume type")})
}

func TestAboutImageVolume(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"none":                 {nil, false},
		"dropped field":        {fmt.Errorf("patch: %w", noSource("spec.template.spec.volumes[4]")), true},
		"other field":          {noSource("spec.template.spec.containers[0].image"), false},
		"policy":               {&RefusedError{By: RefusedPolicy, Message: "only these Volume types are allowed"}, true},
		"other policy":         {&RefusedError{By: RefusedQuota, Message: "exceeded quota"}, false},
		"runtime":              {&PodError{Container: "okteto-agent", Reason: "CreateContainerError", Message: `failed to mkdir ""`}, true},
		"kubelet":              {&PodError{Reason: "FailedMount", Message: `volume "okteto-image" err=no volume plugin matched`}, true},
		"missing secret":       {&PodError{Reason: "FailedMount", Message: `secret "x" not found`}, false},
		"crash":                {&PodError{Container: "okteto-agent", Reason: "CrashLoopBackOff"}, false},
		"image of the sidecar": {&PodError{Container: "okteto-agent", Reason: "ErrImagePull"}, false},
		"another container":    {&PodError{Container: "web", Reason: "CreateContainerError"}, false},
		"anything else":        {errors.New("volume"), false},
	} {
		if got := AboutImageVolume(test.err); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestSwapWithoutImageVolumes swaps where the server drops the field, twice:
// the clone stays as it is.
func TestSwapWithoutImageVolumes(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	refusals := 0
	kube.PrependReactor("patch", "deployments", func(a clienttesting.Action) (bool, runtime.Object, error) {
		var d appsv1.Deployment
		if err := json.Unmarshal(a.(clienttesting.PatchAction).GetPatch(), &d); err != nil {
			return true, nil, err
		}
		if !slices.ContainsFunc(d.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Image != nil }) {
			return false, nil, nil
		}
		refusals++
		return true, nil, noSource("spec.template.spec.volumes[4]")
	})
	first := swap(t, c, "api", testSpec("api"))
	again := swap(t, c, "api", testSpec("api"))
	if refusals != 1 || again.Changed || again.Hash != first.Hash {
		t.Errorf("refused %d times, changed %v", refusals, again.Changed)
	}
	env, err := c.Get(t.Context(), "api")
	if err != nil || !seededByContainer(&env.Clone.Spec.Template.Spec) {
		t.Errorf("the workspace is seeded by nobody: %v", err)
	}
}
