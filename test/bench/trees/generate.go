package trees

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Modules of a generated repository, and the name of one of them.
const (
	Modules       = 10
	modulePattern = "module-%02d"
)

// Module returns the folder of a module, which holds a tenth of the tree.
func Module(i int) string { return fmt.Sprintf(modulePattern, i) }

// The one file of the large tree.
const (
	LargeName  = "large.bin"
	LargeBytes = 1 << 30
)

// shape is what a generated tree looks like.
//
// Sizes of files are log-normal, as in real repositories: most are a few
// kilobytes, half of the bytes are in a tenth of the files. Six files in seven
// are text: lines of words, indented, the words drawn by Zipf's law from a
// vocabulary, some lines again, so that they compress to a third as sources do.
// The others are random bytes, as images and archives are. A few are megabytes.
type shape struct {
	folders, files int
	bytes          int64 // of all files, to within a hundredth
	huge           int   // files of some megabytes
}

const (
	medianSize = 2200
	sigma      = 1.7
	maxSize    = 1 << 20
	minHuge    = 1 << 20
	maxHuge    = 6 << 20
	maxDepth   = 9
)

// big has the size of a big repository.
func big() shape { return shape{folders: 20_000, files: 50_000, bytes: 500e6, huge: 20} }

// generate makes a tree. The same shape makes the same tree.
func generate(dir string, s shape) error {
	random := rand.New(rand.NewPCG(1, 2))
	v := newVocabulary(random)
	folders, err := makeFolders(dir, s.folders, v)
	if err != nil {
		return err
	}
	for i, size := range sizes(s, random) {
		// Every module gets a tenth of the files.
		own := folders[i%len(folders)]
		text := i%7 != 0 && size < minHuge
		name := fmt.Sprintf("%s-%d.%s", v.name(), i, extension(text, v.random))
		if err := writeFile(filepath.Join(dir, own[v.random.IntN(len(own))], name), size, text, v); err != nil {
			return err
		}
	}
	return nil
}

// sizes draws the sizes of the files, the first s.huge of them large.
func sizes(s shape, random *rand.Rand) []int64 {
	all := make([]int64, s.files)
	var huge, plain int64
	for i := range all {
		if i < s.huge {
			all[i] = minHuge + random.Int64N(maxHuge-minHuge)
			huge += all[i]
			continue
		}
		all[i] = min(int64(medianSize*math.Exp(sigma*random.NormFloat64())), maxSize)
		plain += all[i]
	}
	scale := float64(s.bytes-huge) / float64(plain)
	for i := s.huge; i < len(all); i++ {
		all[i] = int64(float64(all[i]) * scale)
	}
	return all
}

// makeFolders makes the folders and returns them by module. A new one is made
// in any older one of its module.
func makeFolders(dir string, n int, v *vocabulary) ([][]string, error) {
	const folderMode = 0o755
	folders := make([][]string, Modules)
	depth := map[string]int{}
	for i := range n {
		m := i % Modules
		path := Module(m)
		if i >= Modules {
			parent := folders[m][v.random.IntN(len(folders[m]))]
			for depth[parent] >= maxDepth {
				parent = filepath.Dir(parent)
			}
			path = filepath.Join(parent, fmt.Sprintf("%s-%d", v.name(), i))
			depth[path] = depth[parent] + 1
		}
		folders[m] = append(folders[m], path)
		if err := os.Mkdir(filepath.Join(dir, path), folderMode); err != nil {
			return nil, err
		}
	}
	return folders, nil
}

// extension returns an ending of the kind.
func extension(text bool, random *rand.Rand) string {
	texts, binaries := []string{"go", "ts", "py", "java", "md", "yaml", "json"}, []string{"png", "woff2", "jar"}
	if text {
		return texts[random.IntN(len(texts))]
	}
	return binaries[random.IntN(len(binaries))]
}

// writeFile writes one file of exactly that size.
func writeFile(path string, size int64, text bool, v *vocabulary) error {
	source := io.Reader(v)
	if !text {
		source = noise(v.random)
	}
	return fill(path, io.LimitReader(source, size))
}

// writeRandom writes a file of random bytes.
func writeRandom(path string, size int64) error {
	return fill(path, io.LimitReader(noise(rand.New(rand.NewPCG(3, 4))), size))
}

// noise returns an endless stream that does not compress.
func noise(random *rand.Rand) io.Reader {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(random.Uint32())
	}
	return rand.NewChaCha8(seed)
}

// fill writes a file from a stream.
func fill(path string, from io.Reader) error {
	const fileMode fs.FileMode = 0o644
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 256<<10)
	if _, err := io.Copy(w, from); err != nil {
		_ = file.Close()
		return err
	}
	if err := w.Flush(); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
