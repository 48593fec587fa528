package tree

import (
	"bytes"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// FuzzBase opens arbitrary bytes as a base, with a digest that fits, and as its
// log: it must not panic, accept no path that is none, and read the same again.
func FuzzBase(f *testing.F) {
	dir := f.TempDir()
	b, err := OpenBase(dir, nil)
	if err != nil {
		f.Fatal(err)
	}
	must := func(err error) {
		if err != nil {
			f.Fatal(err)
		}
	}
	must(b.Agree([]syncproto.Item{{Path: "a", Entry: Entry{Type: syncproto.EntryDir, Mode: 0o755}}}))
	must(b.SetMet())
	must(b.Agree([]syncproto.Item{{Path: "a/b", Entry: Entry{Type: syncproto.EntrySymlink, Target: "c"}}, {Path: "a"}}))
	must(b.Close())
	snapshot, err := os.ReadFile(filepath.Join(dir, baseFile))
	must(err)
	log, err := os.ReadFile(filepath.Join(dir, logFile))
	must(err)
	f.Add(snapshot[:len(snapshot)-len(syncproto.Digest{})], log)
	f.Add([]byte(baseMagic), []byte(logMagic))
	f.Fuzz(func(t *testing.T, snapshot, log []byte) {
		dir := t.TempDir()
		d := Sum(snapshot)
		for name, b := range map[string][]byte{baseFile: append(bytes.Clone(snapshot), d[:]...), logFile: log} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		open := func() (Tree, [16]byte, bool) {
			b, err := OpenBase(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			return plain(b.Entries()), b.ID(), b.Met()
		}
		tree, id, met := open()
		for p := range tree {
			if syncproto.VerifyPath(p) != nil {
				t.Fatalf("the path %s was accepted", hex.EncodeToString([]byte(p)))
			}
		}
		if again, id2, met2 := open(); !maps.Equal(tree, again) || id != id2 || met != met2 {
			t.Fatalf("read as %v, and then as %v", tree, again)
		}
	})
}
