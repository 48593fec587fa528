package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Tree says what a folder holds, so that two can be compared.
type Tree struct {
	// Digest covers paths, types, permission bits, contents and links.
	Digest string `json:"digest,omitempty"`
	Files  int    `json:"files,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
}

// sum reads a whole tree.
func sum(root string) (Tree, error) {
	var t Tree
	total := sha256.New()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(total, "%q %v ", rel, info.Mode())
		switch {
		case info.Mode().IsRegular():
			t.Files++
			t.Bytes += info.Size()
			return copyInto(total, path)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			fmt.Fprintf(total, "%q", target)
			return err
		}
		return nil
	})
	t.Digest = hex.EncodeToString(total.Sum(nil))
	return t, err
}

// copyInto adds the length and the content of a file to a digest.
func copyInto(w io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	n, err := io.Copy(w, file)
	fmt.Fprintf(w, " %d\n", n)
	return err
}
