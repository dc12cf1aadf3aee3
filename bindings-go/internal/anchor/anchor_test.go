package anchor_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
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

func TestS3_AnAnchorNeverFalls(t *testing.T) {
	folder := t.TempDir()
	var log strings.Builder
	anchors := file(t, folder, &log)
	write := func(generation uint64) {
		t.Helper()
		if err := anchors.Write(t.Context(), id, generation); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want uint64) {
		t.Helper()
		if got, known, err := anchors.Read(t.Context(), id); got != want || !known || err != nil {
			t.Errorf("%d, %v, %v", got, known, err)
		}
	}
	write(7)
	write(6)
	expect(7)
	if err := anchors.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(3)
	if err := anchors.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(7)
	// Another client's.
	if err := os.WriteFile(filepath.Join(folder, id+".generation"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(8)
	if err := anchors.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(9)
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

// lockHolder makes this test program take a lock, say so, and hold it until it is killed.
const lockHolder = "CHATSDK_TEST_LOCK_FOLDER"

func TestMain(m *testing.M) {
	folder := os.Getenv(lockHolder)
	if folder == "" {
		os.Exit(m.Run())
	}
	anchors, err := anchor.New(folder, slog.Default())
	if err == nil {
		err = anchors.Lock(context.Background(), id)
	}
	if err != nil {
		fmt.Println(abi.FailureOf(err).GetCode())
		os.Exit(1)
	}
	fmt.Println("locked")
	time.Sleep(time.Hour)
}

func TestS3_ALockIsHadByOneClientAmongAllProcesses(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	var log strings.Builder
	first, second := file(t, folder, &log), file(t, folder, &log)
	isLocked := func(err error) {
		t.Helper()
		var failure *abi.Error
		if !errors.As(err, &failure) || failure.Code != abi.ErrorCode_DATABASE_LOCKED || !failure.Retryable {
			t.Errorf("%v", err)
		}
	}
	if err := first.Lock(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	isLocked(first.Lock(t.Context(), id))
	isLocked(second.Lock(t.Context(), id))
	// The refused one has not loosened it.
	isLocked(file(t, folder, &log).Lock(t.Context(), id))
	line, end := holder(t, folder)
	end()
	if line != "DATABASE_LOCKED\n" {
		t.Errorf("%q", line)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if line, end = holder(t, folder); line != "locked\n" {
		t.Errorf("%q", line)
	}
	isLocked(second.Lock(t.Context(), id))
	end()
	if err := errors.Join(second.Lock(t.Context(), id), second.Close(t.Context())); err != nil {
		t.Error(err)
	}
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

// holder starts a process that takes the lock, and gives its first line and what kills it.
func holder(t *testing.T, folder string) (line string, end func()) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), lockHolder+"="+folder)
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err = bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line, func() {
		// It is killed, or has ended.
		_ = command.Process.Kill()
		_ = command.Wait()
	}
}

func TestS3_ALockThatCannotBeMadeIsLogged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	if err := file(t, path, &log).Lock(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "cannot be locked") {
		t.Error("nothing logged")
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
		for _, err := range []error{read, anchors.Write(t.Context(), hostile, 1), anchors.Lock(t.Context(), hostile)} {
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
