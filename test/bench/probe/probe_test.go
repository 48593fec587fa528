package probe

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestMain is a probe when the tests start it as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		if err := Serve(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func start(t *testing.T, root string) *Client {
	t.Helper()
	c, err := Start(exec.Command(os.Args[0], "serve", root))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestLatency lets two probes watch the same folder: every kind of edit is
// seen, and leaves what it should.
func TestLatency(t *testing.T) {
	root := t.TempDir()
	writer, reader := start(t, root), start(t, root)
	for _, e := range []Edit{
		{Kind: Create, Path: "file", Token: "one\n"},
		{Kind: Write, Path: "file", Token: "two\n"},
		{Kind: Replace, Path: "file", Token: "three\n"},
		{Kind: Chmod, Path: "file"},
		{Kind: Rename, Path: "file", To: "renamed"},
		{Kind: Mkdir, Path: "folder"},
		{Kind: Create, Path: "folder/gone", Token: "x"},
		{Kind: Delete, Path: "folder/gone"},
	} {
		took, err := Latency(writer, reader, e)
		if err != nil {
			t.Fatal(err)
		}
		if took <= 0 {
			t.Errorf("%s took %v", e.Kind, took)
		}
	}
	content, err := os.ReadFile(filepath.Join(root, "renamed"))
	if err != nil || string(content) != "one\ntwo\nthree\n" {
		t.Errorf("content %q, %v", content, err)
	}
	if _, err := Latency(writer, reader, Edit{Kind: Write, Path: "missing/file"}); err == nil {
		t.Error("an edit in a folder that is not there succeeded")
	}
}

// TestTree compares the digests of trees.
func TestTree(t *testing.T) {
	write := func(root, name string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(root, name), []byte("content"), mode); err != nil {
			t.Fatal(err)
		}
	}
	same, equal, other := t.TempDir(), t.TempDir(), t.TempDir()
	write(same, "file", 0o644)
	write(equal, "file", 0o644)
	write(other, "file", 0o755)
	var trees []Tree
	for _, root := range []string{same, equal, other} {
		tree, err := start(t, root).Tree()
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, tree)
	}
	if trees[0] != trees[1] || trees[0].Files != 1 || trees[0].Bytes != 7 {
		t.Errorf("equal trees: %+v and %+v", trees[0], trees[1])
	}
	if trees[0] == trees[2] {
		t.Error("another mode has the same digest")
	}
}
