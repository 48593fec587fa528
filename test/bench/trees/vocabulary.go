package trees

import (
	"math/rand/v2"
	"strings"
)

// vocabulary is an endless text: lines of words, as sources have them, some of
// them again and again.
type vocabulary struct {
	// config
	random *rand.Rand
	zipf   *rand.Zipf
	words  []string
	// state
	rest   string // of the line that is being read
	recent []string
}

const (
	vocabularySize = 4096
	memory         = 64  // lines that may come again
	repeated       = 0.4 // of the lines
	maxWords       = 11  // of a line
	maxIndent      = 5
)

// newVocabulary makes the words up.
func newVocabulary(random *rand.Rand) *vocabulary {
	const skew = 1.2
	v := &vocabulary{random: random, zipf: rand.NewZipf(random, skew, 4, vocabularySize-1)}
	syllables := strings.Fields("ac ad al an ar be co da de di el en er ex fa fi ga get go he id in io is le lo ma mi mo na ne no on or pa po re ro sa set si so st ta te ti to un up va ve wi")
	for range vocabularySize {
		var word strings.Builder
		for range 1 + random.IntN(4) {
			word.WriteString(syllables[random.IntN(len(syllables))])
		}
		v.words = append(v.words, word.String())
	}
	return v
}

// name returns a word for a file or folder.
func (v *vocabulary) name() string { return v.words[v.random.IntN(len(v.words))] }

// Read returns text. It never ends and never fails.
func (v *vocabulary) Read(b []byte) (int, error) {
	if v.rest == "" {
		v.rest = v.line()
	}
	n := copy(b, v.rest)
	v.rest = v.rest[n:]
	return n, nil
}

// line returns a line: a new one, or one that was there lately.
func (v *vocabulary) line() string {
	if len(v.recent) == memory && v.random.Float64() < repeated {
		return v.recent[v.random.IntN(memory)]
	}
	line := v.newLine()
	if len(v.recent) < memory {
		v.recent = append(v.recent, line)
	} else {
		v.recent[v.random.IntN(memory)] = line
	}
	return line
}

func (v *vocabulary) newLine() string {
	separators := []string{" ", " ", " ", ".", "(", ", ", " = ", ") "}
	var line strings.Builder
	line.WriteString(strings.Repeat("\t", v.random.IntN(maxIndent)))
	for range v.random.IntN(maxWords) {
		line.WriteString(v.words[v.zipf.Uint64()])
		line.WriteString(separators[v.random.IntN(len(separators))])
	}
	line.WriteByte('\n')
	return line.String()
}
