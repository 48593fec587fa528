package convergence

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
)

// A content is a sequence of segments, "<", name, ":", letters, ">". Its writer
// is in the name: L12 is the twelfth of the laptop's user. A segment follows
// from its name and length, so that one that was damaged is none.
var segmentHead = regexp.MustCompile(`<([LP][0-9]+)\.([0-9]+):`)

// segment returns the segment of a name with so many letters.
func segment(name string, letters int) []byte {
	b := fmt.Appendf(nil, "<%s.%d:", name, letters)
	n, _ := strconv.ParseUint(name[1:], 10, 64)
	rng := rand.NewPCG(n, uint64(name[0]))
	for letters > 0 {
		for v, i := rng.Uint64(), 0; i < 12 && letters > 0; i++ {
			b = append(b, 'a'+byte(v&15))
			v >>= 5
			letters--
		}
	}
	return append(b, '>')
}

// found is a segment and where it is in a content.
type found struct {
	name       string
	start, end int
}

// segments returns the whole segments of a content.
func segments(content []byte) []found {
	var list []found
	for at := 0; ; {
		m := segmentHead.FindSubmatchIndex(content[at:])
		if m == nil {
			return list
		}
		start := at + m[0]
		name := string(content[at+m[2] : at+m[3]])
		letters, err := strconv.Atoi(string(content[at+m[4] : at+m[5]]))
		at += m[1]
		if err != nil || letters > len(content)-at {
			continue
		}
		if s := segment(name, letters); bytes.HasPrefix(content[start:], s) {
			list = append(list, found{name: name, start: start, end: start + len(s)})
			at = start + len(s)
		}
	}
}
