//go:build unix

package engine

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// largeSize is that of the file of BenchmarkLarge: 1 GiB.
const largeSize = 1 << 30

// BenchmarkLarge edits a file of 1 GiB that is in sync: 1 KiB is changed in
// its middle, or inserted at its head. It ends when the other side has it; in
// the head's case it begins when the new version gets its name.
func BenchmarkLarge(b *testing.B) {
	p := newEmptyBenchPair(b)
	for i := range 20 { // or a file that is replaced would be much of the tree
		if err := os.WriteFile(filepath.Join(p.laptop, fmt.Sprint(i)), []byte("small"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	writeLarge(b, filepath.Join(p.laptop, "large"), nil, io.LimitReader(rand.NewChaCha8([32]byte{1}), largeSize))
	p.session(func(ctx context.Context, l *Leader) {
		flush(ctx, b, l)
		for _, from := range []string{p.laptop, p.pod} {
			large := filepath.Join(from, "large")
			b.Run("middle-"+filepath.Base(from), func(b *testing.B) {
				var c cost
				for i := 0; b.Loop(); i++ {
					b.StopTimer()
					c.begin(b, p)
					f, err := os.OpenFile(large, os.O_WRONLY, 0)
					if err != nil {
						b.Fatal(err)
					}
					_, err = f.WriteAt(random(byte(i), 1024), largeSize/2+int64(i)*largeSize/64)
					if cerr := f.Close(); err != nil || cerr != nil {
						b.Fatal(err, cerr)
					}
					settle(ctx, b, l)
					c.end(b, p)
					b.StartTimer()
				}
				c.report(b)
			})
			b.Run("head-"+filepath.Base(from), func(b *testing.B) {
				var c cost
				for i := 0; b.Loop(); i++ {
					b.StopTimer()
					next := from + ".next"
					old, err := os.Open(large)
					if err != nil {
						b.Fatal(err)
					}
					writeLarge(b, next, random(byte(i), 1024), old)
					_ = old.Close()
					c.begin(b, p)
					if err := os.Rename(next, large); err != nil {
						b.Fatal(err)
					}
					settle(ctx, b, l)
					c.end(b, p)
					b.StartTimer()
				}
				c.report(b)
			})
		}
	})
}

func writeLarge(b *testing.B, path string, head []byte, rest io.Reader) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	_, err = f.Write(head)
	if err == nil {
		_, err = io.Copy(f, rest)
	}
	if cerr := f.Close(); err != nil || cerr != nil {
		b.Fatal(err, cerr)
	}
}

// settle waits until each side has what the other has.
func settle(ctx context.Context, b *testing.B, l *Leader) {
	b.Helper()
	if err := l.Settle(ctx); err != nil {
		b.Fatalf("settle: %v, status %+v", err, l.Status())
	}
}
