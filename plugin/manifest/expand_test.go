package manifest

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestExpand(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"no variable", "no variable"},
		{"$TAG", "v2"},
		{"${TAG}", "v2"},
		{"a${TAG}b$TAG", "av2bv2"},
		{"$TAG-x ${TAG}x $TAGx.", "v2-x v2x ."},
		{"$NOPE|${NOPE}|", "||"},
		{"$EMPTY|${EMPTY}|", "||"},
		{"$$", "$"},
		{"$$TAG $$$TAG $${TAG}", "$TAG $v2 ${TAG}"},
		{"$", "$"},
		{"a$ b$1 $(x) $-", "a$ b$1 $(x) $-"},
		{"${TAG:-d} ${TAG-d} ${TAG:=d} ${TAG=d}", "v2 v2 v2 v2"},
		{"${EMPTY:-d}|${EMPTY-d}|${EMPTY:=d}|${EMPTY=d}", "d||d|"},
		{"${NOPE:-d}|${NOPE-d}|${NOPE:=d}|${NOPE=d}", "d|d|d|d"},
		{"${TAG:+a}|${TAG+a}", "a|a"},
		{"${EMPTY:+a}|${EMPTY+a}", "|a"},
		{"${NOPE:+a}|${NOPE+a}", "|"},
		{"${TAG:?x} ${TAG?x} ${EMPTY?x}", "v2 v2 "},
		{"${#TAG} ${#EMPTY} ${#NOPE} ${#UMLAUT}", "2 0 0 3"},
		{"${NOPE:-${EMPTY:-${TAG}}}", "v2"},
		{"${NOPE:-a $TAG b}", "a v2 b"},
		{"${NOPE:-}", ""},
		{"${NOPE:-$$}", "$"},
		{"${NOPE:-a:-b}", "a:-b"},
		{"${NOPE:-{a}}", "{a}"},
		{"${TAG:-${NOPE:?never used}}", "v2"},
		{"${NOPE:+${NOPE:?never used}}", ""},
		{"} {", "} {"},
		{"ü$TAGß", "üv2ß"},
	}
	lookup := func(name string) (string, bool) {
		if name == "UMLAUT" {
			return "äöü", true
		}
		return testLookup(name)
	}
	for _, tt := range tests {
		got, err := Expand(tt.text, lookup)
		if err != nil || got != tt.want {
			t.Errorf("Expand(%q) = %q, %v, want %q", tt.text, got, err, tt.want)
		}
	}
}

func TestExpandErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"${", `closing brace expected after "${"`},
		{"a ${FOO", `closing brace expected after "${FOO"`},
		{"${FOO:-d", `closing brace expected after "d"`},
		{"${FOO:-${BAR}", `closing brace expected after "${BAR}"`},
		{"${#TAG:-x}", `closing brace expected after "${#TAG"`},
		{"${}", `a variable name is expected at "${}"`},
		{"${1}", `a variable name is expected at "${1}"`},
		{"${-x}", `a variable name is expected at "${-x}"`},
		{"${TAG:}", `one of the operators :- := :+ :? or a closing brace is expected after "${TAG"`},
		{"${TAG:", `one of the operators :- := :+ :? or a closing brace is expected after "${TAG"`},
		{"${TAG%x}", `one of the operators :- := :+ :? or a closing brace is expected after "${TAG"`},
		{"${NOPE:?set it to ${TAG}}", `variable NOPE is not set: set it to v2`},
		{"${NOPE?}", `variable NOPE is not set`},
		{"${EMPTY:?}", `variable EMPTY is empty`},
		{"${EMPTY:?no}", `variable EMPTY is empty: no`},
		{"${NOPE:-${NOPE:?deep}}", `variable NOPE is not set: deep`},
		{strings.Repeat("${A:-", 60) + strings.Repeat("}", 60), `variables are nested more than 50 deep`},
	}
	for _, tt := range tests {
		got, err := Expand(tt.text, testLookup)
		if err == nil || err.Error() != tt.want {
			t.Errorf("Expand(%q) = %q, %v, want the error %s", tt.text, got, err, tt.want)
		}
	}
}

func TestExpandWithoutLookup(t *testing.T) {
	got, err := Expand("a${HOME:-b}$HOME", nil)
	if err != nil || got != "ab" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestExpandIdentity checks that texts without variables stay as they are, and
// that $$ protects those with.
func TestExpandIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		plain := strings.ReplaceAll(text, "$", "")
		if got, err := Expand(plain, testLookup); err != nil || got != plain {
			t.Errorf("Expand(%q) = %q, %v", plain, got, err)
		}
		protected := strings.ReplaceAll(text, "$", "$$")
		if got, err := Expand(protected, testLookup); err != nil || got != text {
			t.Errorf("Expand(%q) = %q, %v, want %q", protected, got, err, text)
		}
	})
}

// TestExpandOperators checks each operator against its definition.
func TestExpandOperators(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z {:/-]*`).Draw(t, "word")
		value := rapid.SampledFrom([]string{"", "v", "a b"}).Draw(t, "value")
		set := rapid.Bool().Draw(t, "set")
		op := rapid.SampledFrom([]string{":-", "-", ":=", "=", ":+", "+", ":?", "?"}).Draw(t, "op")
		if !set {
			value = ""
		}
		present := set && (value != "" || !strings.HasPrefix(op, ":"))
		want := map[byte]map[bool]string{
			'-': {true: value, false: word},
			'=': {true: value, false: word},
			'+': {true: word, false: ""},
			'?': {true: value, false: ""},
		}[op[len(op)-1]][present]
		got, err := Expand("${X"+op+word+"}", func(string) (string, bool) { return value, set })
		if fails := strings.HasSuffix(op, "?") && !present; fails != (err != nil) || got != want {
			t.Errorf("${X%s%s} with %q, %v = %q, %v, want %q", op, word, value, set, got, err, want)
		}
	})
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{
		"", "$", "$$", "$A", "${A}", "${A:-${B:-c}}", "${A", "${#A}", "${A:?m}", "${A:+$B}", "${:-}", "${A:", "$A$B$", "${A}}", "ü${A-ß}",
	} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		lookup := func(name string) (string, bool) { return value, len(name)%2 == 0 }
		got, err := Expand(text, lookup)
		if err != nil {
			return
		}
		if !strings.Contains(text, "$") && got != text {
			t.Errorf("Expand(%q) = %q without a variable", text, got)
		}
		// Everything in the result comes from the text, or is a value, which
		// takes two bytes of the text at least; or a length.
		if limit := len(text) * (1 + len(value) + 20); len(got) > limit {
			t.Errorf("Expand(%q) has %d bytes, more than %d", text, len(got), limit)
		}
	})
}
