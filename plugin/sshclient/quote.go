package sshclient

import "strings"

// Quote makes a command line of an argv that a POSIX shell splits into the
// same words again (Shell Command Language 2.2), without any expansion.
func Quote(argv []string) string {
	words := make([]string, len(argv))
	for i, word := range argv {
		safe := "@%_+:,./-"
		if i > 0 {
			// In the first word it would be an assignment.
			safe += "="
		}
		words[i] = quoteWord(word, safe)
	}
	return strings.Join(words, " ")
}

// quoteWord quotes a word unless it has only letters, digits and what is safe.
func quoteWord(word, safe string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(safe, r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
