package devsession

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// From where on a path stands out among the others of its root.
const (
	chattyChanges = 100      // changes at least,
	chattyRepeats = 5        // and so many for each file that is there
	bigBytes      = 50 << 20 // on disk or moved at least,
	bigShare      = 10       // and one part of so many of the whole root
)

// standsOut says why a path may be worth ignoring: "chatty" when the same files
// change again and again, "big" when much of the root is in it, "" otherwise.
func standsOut(u, whole engine.Usage) string {
	switch {
	case u.Changes >= chattyChanges && u.Changes >= chattyRepeats*int64(u.Files):
		return "chatty"
	case u.Size >= bigBytes && u.Size >= whole.Size/bigShare, u.Bytes >= bigBytes && u.Bytes >= whole.Bytes/bigShare:
		return "big"
	}
	return ""
}

// ignoreLine returns the line of an ignore file that names a path and nothing
// else, "" when there is none: the lines of such a file have no form for some
// characters.
func ignoreLine(u engine.Usage) string {
	if !utf8.ValidString(u.Path) || strings.ContainsFunc(u.Path, unicode.IsControl) || strings.TrimSpace(u.Path) != u.Path {
		return ""
	}
	var b strings.Builder
	b.WriteByte('/')
	for _, r := range u.Path {
		if strings.ContainsRune(`\*?[]{}`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
