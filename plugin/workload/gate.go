package workload

import (
	"fmt"
	"maps"
	"strings"
)

// gate is the one field of a spec by which a kind's pods are taken out of
// service. What it was is the workload's Replicas: 0 means out of service.
type gate struct {
	// path leads to the field, from the top of the object.
	path []string
	// shut returns the field's value that takes the pods out of service.
	shut func(*Workload) any
	// open returns what a merge patch sets the field to, so that the workload
	// has n replicas again; ok is false when that is so already.
	open func(w *Workload, n int32) (v any, ok bool)
	// counted is false when the pods come back without knowing their number.
	counted bool
	// state says what a workload of n replicas is: "3 replicas".
	state func(n int32) string
	// opened says what was done to a workload that has n replicas again.
	opened func(n int32) string
}

// pointer leads to the field as RFC 6901 writes it.
func (g gate) pointer() string { return "/" + strings.Join(g.path, "/") }

// byCount is the gate of what is scaled.
func byCount(path ...string) gate {
	return gate{
		path: path,
		shut: func(*Workload) any { return int64(0) },
		open: func(w *Workload, n int32) (any, bool) {
			return unlessUnset(w, n), n != w.Replicas
		},
		counted: true,
		state:   func(n int32) string { return quantity(n, "replica") },
		opened:  func(n int32) string { return "was set to " + quantity(n, "replica") },
	}
}

// bySuspension is the gate of what runs to an end: not suspended is one replica.
func bySuspension(path ...string) gate {
	return gate{
		path: path,
		shut: func(*Workload) any { return true },
		open: func(w *Workload, n int32) (any, bool) {
			return unlessUnset(w, n == 0), n != w.Replicas
		},
		counted: true,
		state: func(n int32) string {
			if n == 0 {
				return "suspended"
			}
			return "not suspended"
		},
		opened: func(int32) string { return "was resumed" },
	}
}

// unlessUnset returns a value of the gate's field, or nil, which removes the
// field, where it was not there before the swap.
func unlessUnset(w *Workload, v any) any {
	if recordOf(w).Unset {
		return nil
	}
	return v
}

// nowhere is the node label that a DaemonSet out of service asks for. No node
// has it.
const nowhere = "dev.okteto.com/nowhere"

// byNode is the gate of what runs on every node: it asks for a node that does
// not exist. The map is one field to the API server, so that what was in it is
// written with it.
func byNode() gate {
	return gate{
		path: []string{"spec", "template", "spec", "nodeSelector"},
		shut: func(w *Workload) any {
			m := map[string]any{nowhere: "true"}
			for k, v := range w.Template.Spec.NodeSelector {
				m[k] = v
			}
			return m
		},
		open: func(w *Workload, _ int32) (any, bool) {
			return map[string]any{nowhere: nil}, w.Nowhere
		},
		state:  func(n int32) string { return quantity(n, "node") },
		opened: func(int32) string { return "was sent to its nodes again" },
	}
}

// quantity writes a number and what it counts.
func quantity(n int32, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// lessNowhere returns a node selector as it is without the gate, and whether
// it was shut.
func lessNowhere(selector map[string]string) (map[string]string, bool) {
	if _, shut := selector[nowhere]; !shut {
		return selector, false
	}
	selector = maps.Clone(selector)
	delete(selector, nowhere)
	return selector, true
}
