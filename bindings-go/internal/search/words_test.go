package search_test

import (
	"testing"

	"chatsdk/internal/search"
)

func TestF6_WordsMatchAsInTheSearchIndex(t *testing.T) {
	for _, test := range []struct {
		text, query string
		want        bool
	}{
		{"Hello World", "hello wor", true},
		{"Hello World", "world hello", true},
		{"Hello World", "wor hello", false},
		{"Crème brûlée", "CREME brulee", true},
		{"creme", "crème", true},
		{"й", "и", false},
		{"ΟΔΟΣ", "οδος", true},
		{"日本語", "日本", true},
		{"日本語", "本", false},
		{"anything", "", false},
		{"anything", "\"*", false},
	} {
		if got := search.Matches(test.text, search.QueryWords(test.query)); got != test.want {
			t.Errorf("%q in %q: %v", test.query, test.text, got)
		}
	}
}

// FuzzMatches: every text has its own words.
func FuzzMatches(f *testing.F) {
	f.Add("Crème brûlée 日本語 \x00")
	f.Fuzz(func(t *testing.T, text string) {
		words := search.Words(text)
		if got := search.Matches(text, words); got != (len(words) > 0) {
			t.Errorf("%q: %v", text, got)
		}
	})
}
