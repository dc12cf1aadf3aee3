package sqlite_test

import (
	"path/filepath"
	"testing"

	"chatsdk/abi"
	"chatsdk/internal/storagetest"
	"chatsdk/storage/sqlite"
)

func TestF6_RandomCommitsGiveWhatTheModelGives(t *testing.T) {
	folder := t.TempDir()
	storagetest.Run(t, func(t *testing.T, name string) abi.Storage {
		t.Helper()
		storage, err := sqlite.Open(filepath.Join(folder, name+".db"), sqlite.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		return storage
	})
}
