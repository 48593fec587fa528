package manifest

import (
	"cmp"
	"slices"
	"strings"
)

// mode reads where the code runs.
func (v value) mode() Mode {
	s, ok := v.text()
	if ok && Mode(s) != ModeSync && Mode(s) != ModeHybrid {
		v.fail("development mode not valid: must be \"sync\" or \"hybrid\", not %q", s)
	}
	return Mode(s)
}

// notHybrid are the fields that are about code in the pod. The image is among
// them: the pod stands in for the workload, whose image it has.
func notHybrid() []string {
	return []string{"externalVolumes", "image", "persistentVolume", "secrets", "services", "sync", "volumes"}
}

// networks are the values of the field network.
func networks() []string {
	return []string{string(NetworkProxy), string(NetworkNamespace), string(NetworkNone)}
}

// network reads how the command reaches the cluster.
func (d *devReader) network(v value) {
	s, ok := v.text()
	if ok && !slices.Contains(networks(), s) {
		v.fail("must be \"%s\", not %q", strings.Join(networks(), "\" or \""), s)
	}
	d.dev.Network = Network(s)
}

// onlyHybrid refuses what has no meaning in the pod.
func (d *devReader) onlyHybrid(v value) {
	if !v.isMap() || d.service { // which is refused elsewhere
		return
	}
	for _, e := range v.entries() {
		if e.key.Value == "network" {
			e.fail("is for \"mode: hybrid\": in the pod the command is in the cluster's network anyway; remove the field")
		}
	}
}

// hybrid completes a development container whose command runs on the laptop.
func (d *devReader) hybrid(v value) {
	dev := d.dev
	for _, e := range v.entries() {
		ours := e.key.Value == "image" && dev.Autocreate // there is no other
		if slices.Contains(notHybrid(), e.key.Value) && !ours {
			e.warn("is ignored in hybrid mode: the code runs on the laptop")
		}
	}
	if !dev.Autocreate {
		dev.Image = ""
	}
	dev.Sync, dev.GitIgnore, dev.Volumes, dev.ExternalVolumes, dev.Secrets = nil, false, nil, nil, nil
	dev.PersistentVolume, d.claim, d.services = PersistentVolume{}, nil, nil
	dev.LocalDir = d.p.local(".")
	if at := d.workdirAt; at.node != nil {
		if s, ok := at.text(); ok {
			dev.LocalDir = d.p.local(s)
			d.checkLocalDir(at)
		}
	}
	dev.Network = cmp.Or(dev.Network, NetworkProxy)
	// The document on hybrid mode writes ["yarn start"].
	if c := &dev.Command; len(c.Argv) == 1 {
		c.Shell = c.Shell || strings.ContainsAny(c.Argv[0], " \t\n")
	}
}

// checkLocalDir makes sure that the command has a folder to run in.
func (d *devReader) checkLocalDir(at value) {
	if d.p.opts.Stat == nil {
		return
	}
	checkFolder(at, d.p.opts.Stat, d.dev.LocalDir)
}
