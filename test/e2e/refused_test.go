//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// TestPodsThatCannotStart gives what the cluster turns down only after the
// swap: up fails with the reason, as soon as there is one and not at its
// deadline, and down gives the original back.
func TestPodsThatCannotStart(t *testing.T) {
	for _, c := range []struct {
		name string
		// manifest is the end of okteto.yaml, below dev.api.
		manifest string
		env      []string
		// objects are made once the workload is there, labels put on the
		// namespace.
		objects, labels string
		want            refusal
	}{
		{
			name: "image that cannot be pulled", manifest: "    image: 127.0.0.1:5000/nope:1\n",
			want: refusal{255, []string{`"127.0.0.1:5000/nope:1"`, "container main"}, []string{"`image` in the manifest"}},
		},
		{
			name: "registry that does not answer", manifest: "    image: 127.0.0.1:1/busybox:1\n",
			want: refusal{255, []string{`"127.0.0.1:1/busybox:1"`, "connection refused"}, []string{"`image` in the manifest"}},
		},
		{
			name: "agent image missing", env: []string{"OKTETO_AGENT_IMAGE=127.0.0.1:5000/no-agent:1"},
			want: refusal{255, []string{`"127.0.0.1:5000/no-agent:1"`, "container okteto-agent"}, []string{"OKTETO_AGENT_IMAGE", "initContainer.image"}},
		},
		{
			name: "agent image without an agent", manifest: "    initContainer: {image: 127.0.0.1:5000/pause:1}\n",
			want: refusal{255, []string{"container okteto-agent", "/agent"}, []string{"OKTETO_AGENT_IMAGE", "initContainer.image"}},
		},
		{
			name: "pod that fits no node", manifest: "    resources: {requests: {memory: 1000Gi}}\n",
			want: refusal{255, []string{"Unschedulable", "Insufficient memory"}, []string{"kubectl describe pod", "kubectl okteto down"}},
		},
		{
			name: "pod that no node may run", manifest: "    nodeSelector: {disk: none-such}\n",
			want: refusal{255, []string{"Unschedulable", "node"}, []string{"kubectl describe pod"}},
		},
		{
			name: "quota exceeded", manifest: "    resources: {requests: {memory: 1Gi}}\n",
			objects: "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: small}\nspec: {hard: {requests.memory: 64Mi}}\n",
			want:    refusal{255, []string{"refused by the quota", "exceeded quota: small", "requests.memory"}, []string{"`resources` in the manifest", "kubectl describe quota"}},
		},
		{
			name:    "limit range",
			objects: "apiVersion: v1\nkind: LimitRange\nmetadata: {name: small}\nspec: {limits: [{type: Container, max: {memory: 64Mi}}]}\n", manifest: "    resources: {limits: {memory: 1Gi}}\n",
			want: refusal{255, []string{"refused by the LimitRange", "maximum memory usage per Container is 64Mi"}, []string{"kubectl describe limitrange"}},
		},
		{
			name: "PodSecurity", labels: "pod-security.kubernetes.io/enforce=restricted",
			want: refusal{255, []string{"refused by the PodSecurity", `violates PodSecurity "restricted`, "runAsNonRoot"}, []string{"securityContext"}},
		},
		{
			name: "service account missing", manifest: "    serviceAccount: nobody\n",
			want: refusal{255, []string{`serviceaccount "nobody" not found`}, nil},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.deployed("api")
			before := p.snapshot("deploy/api")
			if c.objects != "" {
				p.apply(c.objects)
			}
			if c.labels != "" {
				p.kubectl("label", "namespace", p.Namespace, c.labels)
			}
			p.write("okteto.yaml", manifest+c.manifest)
			r := p.runIn(c.env, "up", "--", "true")
			p.refused(r, c.want)
			for _, text := range []string{"kubectl okteto up api", "kubectl okteto down api"} {
				if !strings.Contains(r.stderr, text) {
					t.Errorf("up does not say how to go on: %q is missing\n%s", text, r.stderr)
				}
			}
			p.restores("deploy/api", before, "api")
		})
	}
}

// TestRefusedCloneChangesNothing refuses the clone itself: the original keeps
// its pods.
func TestRefusedCloneChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	before := p.snapshot("deploy/api")
	p.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {count/deployments.apps: '1'}}\n")
	p.write("okteto.yaml", manifest)
	eventually(t, "the quota counts", func() bool {
		return strings.Contains(p.kubectl("get", "resourcequota", "few", "-o", "jsonpath={.status.used}"), `"1"`)
	})
	p.refused(p.run("", "up", "--", "true"), refusal{255, []string{"refused by the quota", "exceeded quota: few"}, []string{"kubectl describe quota"}})
	if after := p.snapshot("deploy/api"); after != before {
		t.Errorf("the original changed:\n%s\nwas\n%s", after, before)
	}
	if left := p.traces(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestRestrictedPodsAreDeveloped swaps a workload that meets the strictest pod
// security standard where that is enforced: the agent has to meet it too.
func TestRestrictedPodsAreDeveloped(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.kubectl("label", "namespace", p.Namespace, "pod-security.kubernetes.io/enforce=restricted")
	p.apply(p.podAs("api", `
terminationGracePeriodSeconds: 1
securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [sleep, "86400"]
  securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`))
	if err := p.Ready(t.Context(), "deploy/api"); err != nil {
		t.Fatal(err)
	}
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)
	p.write("file.txt", "restricted\n")
	if r := p.ok("up", "--", "sh", "-c", "cat file.txt; id -u"); r.stdout != "restricted\n1000\n" {
		t.Errorf("the command wrote %q\n%s", r.stdout, r.stderr)
	}
	p.restores("deploy/api", before)
}
