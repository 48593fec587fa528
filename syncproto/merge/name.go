package merge

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// copyName returns the name of the conflict copy of p:
// <name>.conflict-<side>-<time><ext> in the same folder, the time in UTC, with
// a number when that is taken. A name that would be longer than a name may be
// loses the end of its <name>, in whole characters.
func copyName(p string, side Side, now time.Time, taken func(string) bool) string {
	dir, base := path.Split(p)
	ext := path.Ext(base)
	name := strings.TrimSuffix(base, ext)
	if name == "" { // ".env" is all name
		name, ext = base, ""
	}
	mark := fmt.Sprintf(".conflict-%s-%s", side, now.UTC().Format("20060102-150405"))
	for n := 1; ; n++ {
		suffix := mark
		if n > 1 {
			suffix = fmt.Sprintf("%s-%d", mark, n)
		}
		if room := syncproto.MaxName - len(suffix); len(ext) > room/2 {
			ext = ""
		}
		room := syncproto.MaxName - len(suffix) - len(ext)
		if c := dir + shorten(name, room) + suffix + ext; !taken(c) {
			return c
		}
	}
}

// shorten cuts name to at most room bytes without leaving half of a character:
// there are file systems that refuse what is not UTF-8.
func shorten(name string, room int) string {
	if len(name) <= room {
		return name
	}
	for cut := room; cut > room-utf8.UTFMax; cut-- {
		if utf8.RuneStart(name[cut]) {
			return name[:cut]
		}
	}
	return name[:room] // it is no UTF-8 anyway
}

// IsCopy reports whether p is named as a conflict copy is.
func IsCopy(p string) bool {
	base := path.Base(p)
	return strings.Contains(base, ".conflict-laptop-") || strings.Contains(base, ".conflict-pod-")
}

// copyMark is what copyName puts between name and extension.
const copyMark = `\.conflict-(laptop|pod)-[0-9]{8}-[0-9]{6}(-[0-9]+)?`

// Original returns the path that the conflict copy p was made of and the name of
// the side whose version it is; "" for both when p is not named as a conflict
// copy is. A name that was cut to its greatest length stays cut.
func Original(p string) (original, side string) {
	dir, base := path.Split(p)
	found := regexp.MustCompile(copyMark).FindAllStringSubmatchIndex(base, -1)
	if len(found) == 0 {
		return "", ""
	}
	at := found[len(found)-1]
	return dir + base[:at[0]] + base[at[1]:], base[at[2]:at[3]]
}
