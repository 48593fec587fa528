package tree

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Names are the rules of a file system for names. The zero value is that of
// Linux: any bytes but NUL and the slash, and what differs is different.
type Names struct {
	// FoldCase: names that differ only in case are one.
	FoldCase bool
	// FoldForm: names that differ only in the normalization of Unicode are one.
	FoldForm bool
	// UTF8: names must be valid UTF-8.
	UTF8 bool
	// Reserved: what Windows forbids is forbidden.
	Reserved bool
}

// Folds reports whether two different names can be one.
func (n Names) Folds() bool { return n.FoldCase || n.FoldForm }

// Key returns a text that two paths have in common if they are one here. Two
// paths that are not may have it in common too.
func (n Names) Key(p string) string {
	switch {
	case n.FoldCase:
		// A case may exist in one form only, so that both are folded.
		return norm.NFD.String(foldCase(norm.NFD.String(p)))
	case n.FoldForm:
		return norm.NFD.String(p)
	default:
		return p
	}
}

// foldCase replaces each letter by the first of those that differ from it only
// in case. What is not UTF-8 stays.
func foldCase(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b.WriteByte(s[i])
		} else {
			first := r
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				first = min(first, f)
			}
			b.WriteRune(unicode.ToLower(first))
		}
		i += size
	}
	return b.String()
}

// Refuses returns why no entry of that path can exist here, "" if it can.
func (n Names) Refuses(p string) string {
	if !n.UTF8 && !n.Reserved {
		return ""
	}
	for name := range strings.SplitSeq(p, "/") {
		if n.UTF8 && !utf8.ValidString(name) {
			return fmt.Sprintf("%q is not UTF-8, which this file system demands", name)
		}
		if n.Reserved {
			if why := refusedByWindows(name); why != "" {
				return fmt.Sprintf("%q is no name on Windows: %s", name, why)
			}
		}
	}
	return ""
}

// refusedByWindows follows "Naming Files, Paths, and Namespaces" of the Windows
// documentation.
func refusedByWindows(name string) string {
	for _, r := range name {
		if r < ' ' {
			return "it has a control character"
		}
		if strings.ContainsRune(`<>:"|?*\`, r) {
			return fmt.Sprintf("it has a %c", r)
		}
	}
	if strings.HasSuffix(name, " ") || strings.HasSuffix(name, ".") {
		return "it ends in a space or a dot"
	}
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return "it is that of a device"
	}
	if len(stem) > 3 && (stem[:3] == "COM" || stem[:3] == "LPT") {
		switch stem[3:] {
		case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "\u00b9", "\u00b2", "\u00b3":
			return "it is that of a device"
		}
	}
	return ""
}
