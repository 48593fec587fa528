package workload

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// secretSpec is a spec with one secret.
func secretSpec(content string) Spec {
	s := testSpec("web")
	s.Secrets = []SecretFile{{Path: "/run/token", Mode: 0o600, Content: []byte(content)}}
	return s
}

// secretOf returns the environment's Secret, or nil.
func secretOf(t *testing.T, kube *fake.Clientset) *corev1.Secret {
	t.Helper()
	s, err := kube.CoreV1().Secrets(testNamespace).Get(t.Context(), "web-okteto", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSecretFollowsTheManifest swaps again and again, and restores.
func TestSecretFollowsTheManifest(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	first := swap(t, c, "api", secretSpec("one"))
	got := secretOf(t, kube)
	if got == nil {
		t.Fatal("there is no Secret")
	}
	want := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-okteto", Namespace: testNamespace,
			Labels:          map[string]string{LabelDev: "true", LabelInteractive: "web"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "api", UID: "uid-api"}},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{"file-0": []byte("one")},
	}
	got.TypeMeta, got.ManagedFields, got.ResourceVersion = metav1.TypeMeta{}, nil, ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if again := swap(t, c, "api", secretSpec("one")); again.Changed || again.Hash != first.Hash {
		t.Error("the same contents restart the pod")
	}
	if other := swap(t, c, "api", secretSpec("two")); !other.Changed || other.Hash == first.Hash {
		t.Error("other contents do not restart the pod")
	}
	if s := secretOf(t, kube); s == nil || string(s.Data["file-0"]) != "two" {
		t.Errorf("the Secret is %v", s)
	}
	swap(t, c, "api", testSpec("web"))
	if s := secretOf(t, kube); s != nil {
		t.Error("the Secret outlives its line in the manifest")
	}
	swap(t, c, "api", secretSpec("three"))
	done, err := c.Restore(t.Context(), RestoreOptions{Name: "web"})
	if err != nil || len(done) != 1 || !done[0].Secret {
		t.Errorf("restored %+v, %v", done, err)
	}
	if s := secretOf(t, kube); s != nil {
		t.Error("the Secret outlives `down`")
	}
}

// TestSecretsDigestIsNotOfTheContentAlone checks that who may not read a Secret
// cannot guess it from the pod template.
func TestSecretsDigestIsNotOfTheContentAlone(t *testing.T) {
	a, b := secretSpec("one"), secretSpec("one")
	a.SecretUID, b.SecretUID = "uid-a", "uid-b"
	if secretsDigest(&a) == secretsDigest(&b) {
		t.Error("two Secrets with the same content have the same digest")
	}
	b.SecretUID = a.SecretUID
	a.Secrets = []SecretFile{{Content: []byte("x")}, {Content: []byte("yz")}}
	b.Secrets = []SecretFile{{Content: []byte("xy")}, {Content: []byte("z")}}
	if secretsDigest(&a) == secretsDigest(&b) {
		t.Error("contents run into each other")
	}
}

// TestForeignSecret checks that another Secret of the name is neither written
// to nor deleted.
func TestForeignSecret(t *testing.T) {
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "web-okteto", Namespace: testNamespace}, Data: map[string][]byte{"mine": nil}}
	c, kube := newClient(t, testDeployment("api"), foreign)
	f, err := c.Find(t.Context(), Query{Name: "api", Dev: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Swap(t.Context(), f, secretSpec("one")); err == nil || !strings.Contains(err.Error(), "secret web-okteto exists, and this plugin did not make it") {
		t.Errorf("swapped: %v", err)
	}
	swap(t, c, "api", testSpec("web"))
	if _, err := c.Restore(t.Context(), RestoreOptions{Name: "web"}); err != nil {
		t.Error(err)
	}
	if s := secretOf(t, kube); s == nil || len(s.Data) != 1 {
		t.Errorf("the Secret is %v", s)
	}
}

// TestSecretGoesWithASwapThatFails refuses the clone, and then the original's
// scaling.
func TestSecretGoesWithASwapThatFails(t *testing.T) {
	for _, name := range []string{"api-okteto", "api"} {
		c, kube := newClient(t, testDeployment("api"))
		kube.PrependReactor("patch", "deployments", func(a clienttesting.Action) (bool, runtime.Object, error) {
			if a.(clienttesting.PatchAction).GetName() != name {
				return false, nil, nil
			}
			return true, nil, apierrors.NewInternalError(errRefused{})
		})
		f, err := c.Find(t.Context(), Query{Name: "api", Dev: "web"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Swap(t.Context(), f, secretSpec("one")); err == nil {
			t.Errorf("%s: the swap succeeded", name)
		}
		if s := secretOf(t, kube); s != nil {
			t.Errorf("%s was refused, and the Secret stays", name)
		}
	}
}

type errRefused struct{}

func (errRefused) Error() string { return "refused" }

// TestRestoreWithoutRightsOnSecrets checks that they are not needed by who has
// no secrets.
func TestRestoreWithoutRightsOnSecrets(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	kube.PrependReactor("*", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "web-okteto", nil)
	})
	swap(t, c, "api", testSpec("web"))
	if done, err := c.Restore(t.Context(), RestoreOptions{Name: "web"}); err != nil || len(done) != 1 || !done[0].Scaled {
		t.Errorf("restored %+v, %v", done, err)
	}
}

func TestReadableMode(t *testing.T) {
	user := func(id int64) *corev1.SecurityContext { return &corev1.SecurityContext{RunAsUser: &id} }
	for _, tt := range []struct {
		name string
		mode int32
		dev  *corev1.SecurityContext
		pod  *corev1.PodSecurityContext
		want int32
	}{
		{"nobody named", 0o600, nil, nil, 0o600},
		{"root", 0o600, user(0), &corev1.PodSecurityContext{RunAsUser: new(int64(7))}, 0o600},
		{"a user", 0o600, user(7), nil, 0o604},
		{"a program", 0o500, user(7), nil, 0o505},
		{"the pod's user", 0o400, nil, &corev1.PodSecurityContext{RunAsUser: new(int64(7))}, 0o404},
		{"whoever is not root", 0o640, nil, &corev1.PodSecurityContext{RunAsNonRoot: new(true)}, 0o644},
		{"readable already", 0o644, user(7), nil, 0o644},
		{"with a group", 0o600, user(7), &corev1.PodSecurityContext{FSGroup: new(int64(7))}, 0o600},
	} {
		if got := readableMode(tt.mode, tt.dev, tt.pod); got != tt.want {
			t.Errorf("%s: %o, want %o", tt.name, got, tt.want)
		}
	}
}
