package workload

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestObjectMounts(t *testing.T) {
	var spec corev1.PodSpec
	if err := yaml.Unmarshal([]byte(`
volumes:
- {name: map, configMap: {name: x}}
- {name: secret, secret: {secretName: x}}
- {name: fields, downwardAPI: {}}
- {name: token, projected: {}}
- {name: empty, emptyDir: {}}
- {name: claim, persistentVolumeClaim: {claimName: x}}
initContainers:
- {name: agent, volumeMounts: [{name: map, mountPath: /agent}]}
containers:
- name: beside
  volumeMounts: [{name: map, mountPath: /beside}]
- name: main
  volumeMounts:
  - {name: token, mountPath: /var/run/token}
  - {name: map, mountPath: etc/map/}
  - {name: map, mountPath: /etc/one, subPath: one}
  - {name: secret, mountPath: /etc/secret}
  - {name: fields, mountPath: /etc/fields}
  - {name: empty, mountPath: /empty}
  - {name: claim, mountPath: /claim}
`), &spec); err != nil {
		t.Fatal(err)
	}
	for container, want := range map[string]string{
		"main":  "/etc/fields /etc/map /etc/one /etc/secret /var/run/token",
		"":      "/beside",
		"other": "",
	} {
		if got := strings.Join(objectMounts(&spec, container), " "); got != want {
			t.Errorf("%q has %q, want %q", container, got, want)
		}
	}
}
