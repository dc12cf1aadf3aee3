package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"chatsdk/abi"
	"chatsdk/storage/sqlite"
)

func open(t *testing.T, path string) *sqlite.Storage {
	t.Helper()
	storage, err := sqlite.Open(path, sqlite.Options{Create: true})
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	t.Cleanup(func() { closeStorage(t, storage) })
	return storage
}

func closeStorage(t *testing.T, storage *sqlite.Storage) {
	t.Helper()
	if err := storage.Close(context.Background()); err != nil {
		t.Errorf("closing: %v", err)
	}
}

func put(key string, value []byte) *abi.Change {
	return &abi.Change{Change: &abi.Change_Put{Put: &abi.Record{Key: key, Value: value}}}
}

func commit(t *testing.T, storage *sqlite.Storage, changes ...*abi.Change) {
	t.Helper()
	if err := storage.Commit(t.Context(), &abi.ChangeBatch{Changes: changes}); err != nil {
		t.Fatalf("committing: %v", err)
	}
}

func get(t *testing.T, storage *sqlite.Storage, key string) string {
	t.Helper()
	answer, err := storage.Read(t.Context(), &abi.Read{Read: &abi.Read_Get{Get: key}})
	if err != nil {
		t.Fatalf("reading %s: %v", key, err)
	}
	if len(answer.GetRecords()) != 1 {
		t.Fatalf("%s: %d records", key, len(answer.GetRecords()))
	}
	return string(answer.GetRecords()[0].GetValue())
}

func wantCode(t *testing.T, err error, code abi.ErrorCode) {
	t.Helper()
	var failure *abi.Error
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want %v", err, code)
	}
	if failure.Code != code {
		t.Fatalf("got %v (%v), want %v", failure.Code, failure, code)
	}
}

func TestF6_WhatWasCommittedIsThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	first := open(t, path)
	commit(t, first, put("conv/1", []byte("sealed")), put("empty", nil))
	closeStorage(t, first)
	second := open(t, path)
	if got := get(t, second, "conv/1"); got != "sealed" {
		t.Errorf("got %q", got)
	}
	if got := get(t, second, "empty"); got != "" {
		t.Errorf("an empty value became %q", got)
	}
}

func TestS1_ASecondClientIsRefusedUntilTheFirstCloses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	first := open(t, path)
	_, err := sqlite.Open(path, sqlite.Options{Create: true})
	wantCode(t, err, abi.ErrorCode_DATABASE_LOCKED)
	if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "close it there first") {
		t.Errorf("the message names neither the file nor the remedy: %v", err)
	}
	commit(t, first, put("conv/1", []byte("after the attempt")))
	closeStorage(t, first)
	if got := get(t, open(t, path), "conv/1"); got != "after the attempt" {
		t.Errorf("got %q", got)
	}
}

// TestS1_AnotherProcessIsRefused starts this test program again as the second process.
func TestS1_AnotherProcessIsRefused(t *testing.T) {
	if path := os.Getenv("CHATSDK_TEST_OPEN"); path != "" {
		_, err := sqlite.Open(path, sqlite.Options{Create: true})
		wantCode(t, err, abi.ErrorCode_DATABASE_LOCKED)
		return
	}
	path := filepath.Join(t.TempDir(), "chat.db")
	open(t, path)
	second := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestS1_AnotherProcessIsRefused$")
	second.Env = append(os.Environ(), "CHATSDK_TEST_OPEN="+path)
	if output, err := second.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestS2_AFileThatIsNoSoundDatabaseIsRefusedAndLeftAsItIs(t *testing.T) {
	sound := filepath.Join(t.TempDir(), "sound.db")
	storage := open(t, sound)
	commit(t, storage, put("conv/1", bytes.Repeat([]byte{7}, 100_000)))
	closeStorage(t, storage)
	whole, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	edited := func(edit func(database *sqlite3.Conn) error) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			writeFile(t, path, whole)
			database, err := sqlite3.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(edit(database), database.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		code abi.ErrorCode
		make func(t *testing.T, path string)
	}{
		"empty":    {abi.ErrorCode_DATABASE_CORRUPT, func(t *testing.T, path string) { writeFile(t, path, nil) }},
		"text":     {abi.ErrorCode_DATABASE_CORRUPT, func(t *testing.T, path string) { writeFile(t, path, []byte("hello, I am a text file\n")) }},
		"cut":      {abi.ErrorCode_DATABASE_CORRUPT, func(t *testing.T, path string) { writeFile(t, path, whole[:len(whole)/2]) }},
		"cut page": {abi.ErrorCode_DATABASE_CORRUPT, func(t *testing.T, path string) { writeFile(t, path, whole[:len(whole)-100]) }},
		"damaged": {abi.ErrorCode_DATABASE_CORRUPT, func(t *testing.T, path string) {
			damaged := bytes.Clone(whole)
			for i := 5000; i < 9000; i++ {
				damaged[i] ^= 0xff
			}
			writeFile(t, path, damaged)
		}},
		"another application": {abi.ErrorCode_DATABASE_CORRUPT, edited(func(database *sqlite3.Conn) error { return database.Exec("PRAGMA application_id = 1") })},
		"newer":               {abi.ErrorCode_UNSUPPORTED_VERSION, edited(func(database *sqlite3.Conn) error { return database.Exec("PRAGMA user_version = 2") })},
		"without a table":     {abi.ErrorCode_DATABASE_CORRUPT, edited(func(database *sqlite3.Conn) error { return database.Exec("DROP TABLE conversations") })},
		"another column": {abi.ErrorCode_DATABASE_CORRUPT, edited(func(database *sqlite3.Conn) error {
			return database.Exec("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'suite', 'suitf') WHERE name = 'conversations'")
		})},
		"another tokenizer": {abi.ErrorCode_DATABASE_CORRUPT, edited(func(database *sqlite3.Conn) error {
			return database.Exec("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'unicode61', 'unicode60') WHERE name = 'messages_fts'")
		})},
		// SQLite calls it an error of the statement.
		"no format of the search index": {abi.ErrorCode_DATABASE_CORRUPT, edited(func(database *sqlite3.Conn) error {
			return database.Exec("PRAGMA writable_schema = ON; DELETE FROM messages_fts_config")
		})},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "chat.db")
			test.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = sqlite.Open(path, sqlite.Options{Create: true})
			wantCode(t, err, test.code)
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
			if names := list(t, folder); len(names) != 1 {
				t.Errorf("left beside the file: %v", names)
			}
		})
	}
}

func TestS2_AMissingFileIsMadeOnlyOnDemandAndNeverOverARemnant(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "chat.db")
	_, err := sqlite.Open(path, sqlite.Options{})
	wantCode(t, err, abi.ErrorCode_INVALID_ARGUMENT)
	if names := list(t, folder); len(names) != 0 {
		t.Errorf("made without being asked to: %v", names)
	}
	writeFile(t, path+"-wal", []byte("newest commits"))
	_, err = sqlite.Open(path, sqlite.Options{Create: true})
	wantCode(t, err, abi.ErrorCode_DATABASE_CORRUPT)
	_, err = sqlite.Open(filepath.Join(folder, "absent", "chat.db"), sqlite.Options{Create: true})
	wantCode(t, err, abi.ErrorCode_INVALID_ARGUMENT)
	_, err = sqlite.Open(folder, sqlite.Options{Create: true})
	wantCode(t, err, abi.ErrorCode_INVALID_ARGUMENT)
	_, err = sqlite.Open("", sqlite.Options{Create: true})
	wantCode(t, err, abi.ErrorCode_INVALID_ARGUMENT)
}

func TestS3_AFullDatabaseChangesNothingAndWorksAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	closeStorage(t, open(t, path))
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	storage, err := sqlite.Open(path, sqlite.Options{MaximumBytes: stat.Size() + 10*4096})
	if err == nil {
		t.Fatal("opened without a header though Create is not set")
	}
	wantCode(t, err, abi.ErrorCode_DATABASE_CORRUPT)
	storage, err = sqlite.Open(path, sqlite.Options{Create: true, MaximumBytes: stat.Size() + 10*4096})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStorage(t, storage) })
	commit(t, storage, put("conv/1", []byte("before")))
	err = storage.Commit(t.Context(), &abi.ChangeBatch{Changes: []*abi.Change{
		put("conv/1", []byte("after")), put("large", make([]byte, 200_000)),
	}})
	wantCode(t, err, abi.ErrorCode_STORAGE_FULL)
	var failure *abi.Error
	if errors.As(err, &failure); !failure.Retryable {
		t.Error("not marked retryable")
	}
	if got := get(t, storage, "conv/1"); got != "before" {
		t.Errorf("the failed commit left %q", got)
	}
	commit(t, storage, put("conv/1", []byte("again")))
}

func TestS3_DeletedKeysAreNotInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	storage := open(t, path)
	secret := []byte("this record held a chain key that is used up now")
	commit(t, storage, put("conv/1", secret), put("conv/2", []byte("other")))
	commit(t, storage, &abi.Change{Change: &abi.Change_Delete{Delete: "conv/1"}})
	closeStorage(t, storage)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, secret) || !bytes.Contains(content, []byte("other")) {
		t.Error("a deleted value is still in the file, or the file holds nothing")
	}
	if names := list(t, filepath.Dir(path)); len(names) != 1 {
		t.Errorf("left after close: %v", names)
	}
}

func TestS3_AClosedStorageSaysSo(t *testing.T) {
	storage := open(t, filepath.Join(t.TempDir(), "chat.db"))
	closeStorage(t, storage)
	err := storage.Commit(context.Background(), &abi.ChangeBatch{})
	wantCode(t, err, abi.ErrorCode_CLOSED)
	_, err = storage.ListMessages(context.Background(), &abi.ListMessagesRequest{Limit: 1})
	wantCode(t, err, abi.ErrorCode_CLOSED)
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
