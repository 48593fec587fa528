package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// key is one number of bench.json.
type key struct {
	name string
	// unit is what it counts; "" for a quotient.
	unit string
	// target is the most that it should be, least the least; 0 for none.
	target, least float64
	// of is the key of ours that a peer's figure stands beside, and peer that
	// peer's name; "" for ours.
	of, peer string
}

// ours are the product's keys, in the order of the table.
func ours() []key {
	return []key{
		{name: "edit_p50_ms", unit: "ms", target: 10},
		{name: "edit_p95_ms", unit: "ms", target: 25},
		{name: "edit_write_p50_ms", unit: "ms"},
		{name: "edit_replace_p50_ms", unit: "ms"},
		{name: "edit_create_p50_ms", unit: "ms", target: 10},
		{name: "edit_delete_p50_ms", unit: "ms", target: 10},
		{name: "edit_mkdir_p50_ms", unit: "ms", target: 10},
		{name: "edit_rename_p50_ms", unit: "ms", target: 10},
		{name: "edit_chmod_p50_ms", unit: "ms", target: 10},
		{name: "edit_floor_p50_ms", unit: "ms"},
		{name: "edit_back_p50_ms", unit: "ms", target: 15},
		{name: "edit_back_p95_ms", unit: "ms"},
		{name: "edit_rtt40_p50_ms", unit: "ms", target: 35},
		{name: "back_1k_rtt40_s", unit: "s"},
		{name: "initial_files"},
		{name: "initial_s", unit: "s"},
		{name: "tar_exec_s", unit: "s"},
		{name: "initial_ratio"},
		{name: "initial_t1_s", unit: "s"},
		{name: "initial_t1_ratio", target: 0.5},
		{name: "initial_t2_s", unit: "s"},
		{name: "initial_t2_ratio", target: 0.6},
		{name: "resume_t1_s", unit: "s", target: 0.3},
		{name: "resume_t2_s", unit: "s", target: 1},
		{name: "seeded_t1_bytes", target: 0.02},
		{name: "burst_10k_s", unit: "s"},
		{name: "burst_10k_ratio", target: 1},
		{name: "big_edit_s", unit: "s", target: 2},
		{name: "big_edit_bytes", unit: "B", target: 1 << 20},
		{name: "big_edit_middle_s", unit: "s", target: 2},
		{name: "big_edit_middle_bytes", unit: "B", target: 1 << 20},
		{name: "big_edit_head_s", unit: "s", target: 2},
		{name: "big_edit_head_bytes", unit: "B", target: 1 << 20},
		{name: "rename_dir_bytes", unit: "B", target: 1 << 20},
		{name: "rename_dir_s", unit: "s"},
		{name: "idle_cpu_pct", unit: "%", target: 0.1},
		{name: "rss_laptop_mib", unit: "MiB", target: 120},
		{name: "rss_agent_mib", unit: "MiB", target: 64},
		{name: "up_ready_s", unit: "s", target: 2},
		{name: "up_ready_max_s", unit: "s"},
		{name: "pod_restart_s", unit: "s"},
		{name: "up_ratio", target: 2.5},
		{name: "swap_s", unit: "s"},
		{name: "pod_start_s", unit: "s"},
		{name: "swap_ratio", target: 1.5},
		{name: "restore_s", unit: "s"},
		{name: "tunnel_mib_s", unit: "MiB/s"},
		{name: "tunnel_ratio", least: 0.85},
		{name: "forward_conns", least: tunnelConns},
		{name: "keystroke_p99_ms", unit: "ms", target: 15},
		{name: "reconnect_cut_s", unit: "s", target: 0.5},
		{name: "reconnect_pod_s", unit: "s", target: 1},
		{name: "reconnect_hole_s", unit: "s"},
		{name: "lossy_up_ready_s", unit: "s"},
		{name: "lossy_keystroke_p50_ms", unit: "ms"},
		{name: "lossy_edit_p50_ms", unit: "ms"},
		{name: "lossy_tunnel_mib_s", unit: "MiB/s"},
		{name: "lossy_exec_s", unit: "s"},
		{name: "lossy_reconnect_cut_s", unit: "s"},
		{name: "agent_bytes", unit: "B", target: 12 << 20},
		{name: "matrix_pass", least: 32},
	}
}

// peers are the figures of others, beside ours.
func peers() []key {
	var all []key
	for _, tree := range []tree{t1, t2} {
		for _, peer := range []string{"tar", "kubectl_cp", "rsync", "syncthing", "mutagen"} {
			all = append(all, key{name: peer + "_" + string(tree) + "_s", unit: "s", of: initialKey(tree), peer: peer})
		}
		all = append(all, key{name: "rsync_resume_" + string(tree) + "_s", unit: "s", of: resumeKey(tree), peer: "rsync"})
	}
	return append(all,
		key{name: "tar_burst_10k_s", unit: "s", of: "burst_10k_s", peer: "tar"},
		key{name: "rsync_big_edit_middle_s", unit: "s", of: "big_edit_middle_s", peer: "rsync"},
		key{name: "rsync_big_edit_middle_bytes", unit: "B", of: "big_edit_middle_bytes", peer: "rsync"},
		key{name: "rsync_big_edit_head_s", unit: "s", of: "big_edit_head_s", peer: "rsync"},
		key{name: "rsync_big_edit_head_bytes", unit: "B", of: "big_edit_head_bytes", peer: "rsync"},
		key{name: "rsync_rename_dir_bytes", unit: "B", of: "rename_dir_bytes", peer: "rsync"},
		key{name: "syncthing_edit_p50_ms", unit: "ms", of: "edit_p50_ms", peer: "syncthing"},
		key{name: "syncthing_edit_p95_ms", unit: "ms", of: "edit_p95_ms", peer: "syncthing"},
		key{name: "mutagen_edit_p50_ms", unit: "ms", of: "edit_p50_ms", peer: "mutagen"},
		key{name: "mutagen_edit_p95_ms", unit: "ms", of: "edit_p95_ms", peer: "mutagen"},
		key{name: "port_forward_mib_s", unit: "MiB/s", of: "tunnel_mib_s", peer: "kubectl port-forward"},
	)
}

// judge renders what a figure should be, and whether it is.
func (k key) judge(f figure, measured bool) (target, met string) {
	good := true
	switch {
	case k.target > 0:
		target, good = "<= "+show(k.target), f.value <= k.target
	case k.least > 0:
		target, good = ">= "+show(k.least), f.value >= k.least
	}
	if target != "" && measured {
		met = map[bool]string{true: "yes", false: "NO"}[good]
	}
	return target, met
}

// find returns the key of that name.
func find(name string) (key, error) {
	all := slices.Concat(ours(), peers())
	i := slices.IndexFunc(all, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, fmt.Errorf("no key is called %q", name)
	}
	return all[i], nil
}

// measurement is one function that measures, and the keys that it yields as a
// regular expression over whole names.
type measurement struct {
	keys    string
	measure func(*bench, context.Context) error
}

// measurements are in the order in which they are made: those that need the
// same tree in sync follow each other.
func measurements() []measurement {
	return []measurement{
		{`agent_bytes`, (*bench).agentSize},
		{`up_.*|pod_restart_s`, (*bench).starting},
		{`swap_.*|pod_start_s|restore_s`, (*bench).swapping},
		{`tunnel_.*|port_forward_mib_s|forward_conns`, (*bench).tunnels},
		{`keystroke_p99_ms`, (*bench).keystrokes},
		{`reconnect_(cut|pod)_s`, (*bench).reconnecting},
		{`reconnect_hole_s|lossy_.*`, (*bench).lossy},
		{`seeded_t1_bytes`, (*bench).seeded},
		{`(initial|resume|tar|kubectl_cp|rsync|rsync_resume)_t1_.*|initial_(files|s|ratio)|tar_exec_s`, func(b *bench, ctx context.Context) error { return b.starts(ctx, t1) }},
		{`(initial|resume|tar|kubectl_cp|rsync|rsync_resume)_t2_.*`, func(b *bench, ctx context.Context) error { return b.starts(ctx, t2) }},
		{`edit_floor_p50_ms`, (*bench).editFloor},
		{`edit_(write_|replace_)?(p50|p95)_ms`, (*bench).edits},
		{`edit_(create|delete|mkdir|rename|chmod)_p50_ms`, (*bench).otherEdits},
		{`edit_back_.*`, (*bench).editsBack},
		{`idle_cpu_pct|rss_.*`, (*bench).idle},
		{`(tar_)?burst_10k_.*`, (*bench).burst},
		{`edit_rtt40_p50_ms`, (*bench).editsFarAway},
		{`back_1k_rtt40_s`, (*bench).backFarAway},
		{`(rsync_)?rename_dir_.*`, (*bench).renameFolder},
		{`(rsync_)?big_edit_.*`, (*bench).bigEdits},
		{`syncthing_.*`, (*bench).syncthing},
		{`mutagen_.*`, (*bench).mutagen},
		{`matrix_pass`, (*bench).matrix},
	}
}

// matching returns the keys that a measurement yields.
func (m measurement) matching() []key {
	whole := regexp.MustCompile("^(" + m.keys + ")$")
	return slices.DeleteFunc(slices.Concat(ours(), peers()), func(k key) bool { return !whole.MatchString(k.name) })
}

// tree is one of the trees that are synced.
type tree string

const (
	t1 tree = "t1" // Go's sources
	t2 tree = "t2" // a generated repository
	t3 tree = "t3" // one large file
)

func initialKey(t tree) string { return "initial_" + string(t) + "_s" }
func resumeKey(t tree) string  { return "resume_" + string(t) + "_s" }

// ratio is the key of the quotient that belongs to a key in seconds.
func ratio(seconds string) string { return strings.TrimSuffix(seconds, "_s") + "_ratio" }
