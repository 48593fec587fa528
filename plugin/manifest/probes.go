package manifest

// probes reads a boolean for all probes, or one for each.
func (v value) probes() Probes {
	var p Probes
	if !v.isMap() {
		all, _ := v.boolean()
		return Probes{Liveness: all, Readiness: all, Startup: all}
	}
	v.object([]field{
		{"liveness", "Keep the liveness probe.", isBoolean, func(v value) { p.Liveness, _ = v.boolean() }},
		{"readiness", "Keep the readiness probe.", isBoolean, func(v value) { p.Readiness, _ = v.boolean() }},
		{"startup", "Keep the startup probe.", isBoolean, func(v value) { p.Startup, _ = v.boolean() }},
	})
	return p
}

// lifecycle reads a boolean for both hooks, or one or an object for each.
func (v value) lifecycle() Lifecycle {
	var l Lifecycle
	if !v.isMap() {
		both := v.hook()
		return Lifecycle{PostStart: both, PreStop: both}
	}
	v.object([]field{
		{"postStart", "The hook that runs when the container has started.", isAnyOf(isBoolean, isObject), func(v value) { l.PostStart = v.hookOrObject() }},
		{"preStop", "The hook that runs before the container is stopped.", isAnyOf(isBoolean, isObject), func(v value) { l.PreStop = v.hookOrObject() }},
	})
	return l
}

// hook reads whether the container's hook is kept.
func (v value) hook() Hook {
	keep, ok := v.boolean()
	return Hook{Removed: ok && !keep}
}

// hookOrObject reads the same, or a hook with its command. One that is not
// enabled has none.
func (v value) hookOrObject() Hook {
	if !v.isMap() {
		return v.hook()
	}
	var command Command
	var h Hook
	v.object([]field{
		{"command", "Replaces the hook.", isOneOrMany, func(v value) { command = v.command(Command{}) }},
		{"enabled", "false removes the hook.", isBoolean, func(v value) { h = v.hook() }},
	})
	if !h.Removed {
		h.Command = command
	}
	return h
}
