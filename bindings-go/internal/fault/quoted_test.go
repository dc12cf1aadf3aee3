package fault_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"chatsdk/internal/fault"
)

func TestS1_AQuoteIsShortWhateverIsQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"":                               `""`,
		"nope":                           `"nope"`,
		"a\xff\n":                        `"a\xff\n"`,
		strings.Repeat("x", 64):          `"` + strings.Repeat("x", 64) + `"`,
		strings.Repeat("x", 1<<20):       `"` + strings.Repeat("x", 64) + `"... (1048576 bytes)`,
		strings.Repeat("\U0001f642", 17): `"` + strings.Repeat("\U0001f642", 16) + `"... (68 bytes)`,
		"x" + strings.Repeat("é", 40):    `"x` + strings.Repeat("é", 31) + `"... (81 bytes)`,
	} {
		if got := fault.Quoted(text); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "text"))
		if got := fault.Quoted(text); len(got) > 300 || !utf8.ValidString(got) {
			t.Errorf("%d bytes: %s", len(got), got)
		}
	})
}
