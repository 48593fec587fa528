package manifest

// later wraps the check of a field that this version knows but does not apply:
// a mistake in it is still a mistake.
func later(check func(value)) func(value) {
	return func(v value) {
		check(v)
		v.warn("is known, but this version does not apply it")
	}
}
