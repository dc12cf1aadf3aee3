package fault

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// longestQuote in bytes is more than any id has.
const longestQuote = 64

// Quoted is a text in quotes, for a message: of a long one its beginning, and how long it is.
func Quoted(text string) string {
	if len(text) <= longestQuote {
		return strconv.Quote(text)
	}
	end := longestQuote
	for end > longestQuote-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%q... (%d bytes)", text[:end], len(text))
}
