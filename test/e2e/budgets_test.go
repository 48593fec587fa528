//go:build e2e

package e2e

import "testing"

// TestUpAndDownUnderDisruptionBudgets has budgets that allow no disruption.
func TestUpAndDownUnderDisruptionBudgets(t *testing.T) {
	t.Parallel()
	for _, budget := range []string{"minAvailable: 1", "maxUnavailable: 0"} {
		t.Run(budget, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.apply(`
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: api}
spec: {selector: {matchLabels: {app: api}}, ` + budget + `}
`)
			p.deployed("api")
			before, object := p.snapshot("deploy/api"), p.snapshot("pdb/api")
			p.write("okteto.yaml", manifest)
			p.ok("up", "--", "true")
			eventually(t, "the budget counts the development pod alone", func() bool {
				return p.kubectl("get", "pdb", "api", "-o", "jsonpath={.status.currentHealthy} {.status.expectedPods} {.status.disruptionsAllowed}") == "1 1 0"
			})
			p.restores("deploy/api", before)
			if after := p.snapshot("pdb/api"); after != object {
				t.Errorf("the budget has changed:\n%s\nwas\n%s", after, object)
			}
		})
	}
}
