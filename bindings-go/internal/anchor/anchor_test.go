package anchor_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/anchor"
)

const id = "0123456789abcdef0123456789abcdef"

func file(t *testing.T, folder string, log *strings.Builder) *anchor.File {
	t.Helper()
	anchors, err := anchor.New(folder, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return anchors
}

func TestS3_AnAnchorIsReadBackAndHasTheFormOfTheOtherLanguages(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	var log strings.Builder
	first := file(t, "", &log)
	if _, known, err := first.Read(t.Context(), id); known || err != nil {
		t.Errorf("before the first write: %v, %v", known, err)
	}
	for generation := range uint64(100) {
		if err := first.Write(t.Context(), id, generation); err != nil {
			t.Fatal(err)
		}
	}
	if got, known, err := first.Read(t.Context(), id); got != 99 || !known || err != nil {
		t.Errorf("held back: %d, %v, %v", got, known, err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(os.Getenv("XDG_STATE_HOME"), "chatsdk", id+".generation")
	if text, err := os.ReadFile(path); err != nil || string(text) != "99\n" {
		t.Errorf("%q, %v", text, err)
	}
	if stat, err := os.Stat(path); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", stat, err)
	}
	if err := os.WriteFile(path, []byte("18446744073709551615\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, known, err := file(t, "", &log).Read(t.Context(), id); got != 1<<64-1 || !known || err != nil {
		t.Errorf("largest: %d, %v, %v", got, known, err)
	}
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

func TestS3_AnAnchorIsWrittenWithinASecondWithoutClose(t *testing.T) {
	folder := t.TempDir()
	anchors := file(t, folder, new(strings.Builder))
	for _, generation := range []uint64{1, 2} {
		if err := anchors.Write(t.Context(), id, generation); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		text, err := os.ReadFile(filepath.Join(folder, id+".generation"))
		if err == nil && string(text) == "2\n" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q, %v", text, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestS3_WhatIsNoAnchorCountsAsAbsentAndIsLogged(t *testing.T) {
	for _, text := range []string{"", "12", "-1\n", "1\n1\n", "99999999999999999999\n", "0x10\n"} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, id+".generation"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		if got, known, err := file(t, folder, &log).Read(t.Context(), id); known || err != nil {
			t.Errorf("%q: %d, %v, %v", text, got, known, err)
		}
		if !strings.Contains(log.String(), "rollback anchor") {
			t.Errorf("%q: nothing logged", text)
		}
	}
}

func TestS3_AFolderThatCannotBeWrittenIsLogged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	anchors := file(t, path, &log)
	if err := errors.Join(anchors.Write(t.Context(), id, 1), anchors.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "cannot be written") {
		t.Error("nothing logged")
	}
}

func TestS3_AnIDCannotNameAnotherFile(t *testing.T) {
	anchors := file(t, t.TempDir(), new(strings.Builder))
	for _, hostile := range []string{"", "../../etc/passwd", strings.ToUpper(id), id + "/", id[1:]} {
		_, _, read := anchors.Read(t.Context(), hostile)
		for _, err := range []error{read, anchors.Write(t.Context(), hostile, 1)} {
			var failure *abi.Error
			if !errors.As(err, &failure) || failure.Code != abi.ErrorCode_DATABASE_CORRUPT {
				t.Errorf("%q: %v", hostile, err)
			}
		}
	}
	if _, err := anchor.New("relative", slog.Default()); err == nil {
		t.Error("a relative folder")
	}
}
