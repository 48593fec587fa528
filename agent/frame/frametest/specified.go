// Package frametest is for the tests of protocols of frames.
package frametest

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Specified expects each type of a protocol.go with its number in the PROTOCOL.md
// beside it, whose text it returns: the two programs may be of different ages. The
// types end with the number last.
func Specified(t testing.TB, last int) string {
	t.Helper()
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("protocol.go")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(text)
	types := regexp.MustCompile(`\t(\w+) Type = (\d+)`).FindAllStringSubmatch(string(source), -1)
	if len(types) != last {
		t.Errorf("%d types, the last is %d", len(types), last)
	}
	for _, m := range types {
		if row := fmt.Sprintf("| **%s** | %s | ", m[1], m[2]); !strings.Contains(spec, row) {
			t.Errorf("PROTOCOL.md has no %q", row)
		}
	}
	return spec
}
