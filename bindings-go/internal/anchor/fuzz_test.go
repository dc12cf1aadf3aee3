package anchor_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"chatsdk/internal/anchor"
)

func FuzzAnchorFile(f *testing.F) {
	f.Add([]byte("12\n"))
	f.Add([]byte("-1\n"))
	f.Add([]byte("18446744073709551616\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, id+".generation"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		anchors, err := anchor.New(folder, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		generation, known, err := anchors.Read(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if known {
			if parsed, err := strconv.ParseUint(string(text[:len(text)-1]), 10, 64); err != nil || parsed != generation {
				t.Errorf("%q gives %d", text, generation)
			}
		}
	})
}
