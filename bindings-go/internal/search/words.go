// Package search finds words in texts the way the search index of the database does, for databases whose messages are sealed and
// cannot be indexed.
package search

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Words are the runs of letters, digits and marks of a text, as the FTS5 tokenizer of the schema sees them. A run of Chinese or Japanese
// is one word, so it is found by its beginning only.
func Words(text string) []string {
	return strings.FieldsFunc(text, func(letter rune) bool {
		return !unicode.In(letter, unicode.L, unicode.N, unicode.M, unicode.Co)
	})
}

// QueryWords are the words of a query, composed as keyboards compose them: in other than Latin letters FTS5 tells й from и + ̆.
func QueryWords(query string) []string {
	return Words(norm.NFC.String(query))
}

// Matches tells whether every word of a query is in the text; the last may be the beginning of one. A query without a word matches
// nothing.
func Matches(text string, words []string) bool {
	if len(words) == 0 {
		return false
	}
	present := map[string]bool{}
	for _, word := range Words(text) {
		present[fold(word)] = true
	}
	last := len(words) - 1
	for _, word := range words[:last] {
		if !present[fold(word)] {
			return false
		}
	}
	start := fold(words[last])
	for word := range present {
		if strings.HasPrefix(word, start) {
			return true
		}
	}
	return false
}

// fold brings a word to the form in which FTS5's unicode61 compares it: lower case, Latin letters without accents, no loose accents.
func fold(word string) string {
	var folded strings.Builder
	for _, letter := range strings.ToLower(word) {
		switch {
		case letter == 'ς':
			folded.WriteRune('σ')
		case letter >= 0x300 && letter <= 0x331:
			// A loose accent.
		default:
			folded.WriteRune(withoutAccents(letter))
		}
	}
	return folded.String()
}

// withoutAccents is the plain Latin letter of an accented one; any other letter is itself.
func withoutAccents(letter rune) rune {
	decomposed := []rune(norm.NFD.String(string(letter)))
	if len(decomposed) < 2 || decomposed[0] < 'a' || decomposed[0] > 'z' {
		return letter
	}
	for _, mark := range decomposed[1:] {
		if !unicode.Is(unicode.M, mark) {
			return letter
		}
	}
	return decomposed[0]
}
