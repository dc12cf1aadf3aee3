// Package anchor remembers, outside a database, how far it had come: one small file for each database, the same for every language.
package anchor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// writeInterval: at most one write in this time.
const writeInterval = time.Second

// File keeps anchors in the folder where the user's programs keep state. Writes are collected: after a crash the anchor may lag a second
// behind the database, so that a copy younger than that passes for the original. It is never ahead, and never falls. Beside it an empty file is
// locked while the database or a copy of it is open. It is safe for concurrent use.
type File struct {
	folder string
	logger *slog.Logger

	mu        sync.Mutex
	unwritten map[string]uint64
	locks     map[string]*lock
	lastWrite time.Time
	timer     *time.Timer
}

// New keeps anchors in folder; empty: chatsdk in $XDG_STATE_HOME, or in ~/.local/state. It fails with INVALID_ARGUMENT if the folder is no
// absolute path. What later cannot be read or written is logged: only the detection of old copies suffers.
func New(folder string, logger *slog.Logger) (*File, error) {
	if folder == "" {
		home, err := stateHome()
		if err != nil {
			return nil, fault.Because(abi.ErrorCode_INVALID_ARGUMENT, err, "AnchorFolder: the user has no home folder; name one")
		}
		folder = filepath.Join(home, "chatsdk")
	}
	if !filepath.IsAbs(folder) {
		return nil, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "AnchorFolder: must be an absolute path")
	}
	return &File{folder: folder, logger: logger, unwritten: map[string]uint64{}, locks: map[string]*lock{}}, nil
}

// stateHome follows the XDG Base Directory Specification: a relative path is to be ignored.
func stateHome() (string, error) {
	if configured := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(configured) {
		return configured, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state"), err
}

// Read gives the generation last written for the database; false: none is known, so that an old copy cannot be told. It fails with
// DATABASE_CORRUPT if the id is none.
func (f *File) Read(_ context.Context, databaseID string) (generation uint64, known bool, err error) {
	file, err := f.file(databaseID, "generation")
	if err != nil {
		return 0, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if generation, held := f.unwritten[databaseID]; held {
		return generation, true, nil
	}
	generation, err = written(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		f.logger.Warn("rollback anchor: cannot be read", "file", file, "error", err)
		return 0, false, nil
	}
	return generation, true, nil
}

// Write returns at once. It fails with DATABASE_CORRUPT if the id is none.
func (f *File) Write(_ context.Context, databaseID string, generation uint64) error {
	// The id comes from a file.
	if _, err := f.file(databaseID, "generation"); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unwritten[databaseID] = max(generation, f.unwritten[databaseID])
	if f.timer == nil {
		f.timer = time.AfterFunc(max(0, time.Until(f.lastWrite.Add(writeInterval))), f.flushWhenDue)
	}
	return nil
}

// Flush writes now what is held back. A failure is logged, and the next write tries again.
func (f *File) Flush(context.Context) error {
	f.flush()
	return nil
}

// Lock fails with DATABASE_LOCKED, or DATABASE_CORRUPT if the id is none. That there can be no lock is logged.
func (f *File) Lock(_ context.Context, databaseID string) error {
	file, err := f.file(databaseID, "lock")
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locks[databaseID] != nil {
		return locked(databaseID, nil)
	}
	taken, err := takeLock(file, databaseID)
	switch {
	case errors.Is(err, abi.ErrDatabaseLocked):
		return err
	case err != nil:
		f.logger.Warn("rollback anchor: cannot be locked", "error", err)
		return nil
	}
	f.locks[databaseID] = taken
	return nil
}

// Close writes what is still held back, and releases the locks.
func (f *File) Close(context.Context) error {
	f.flush()
	f.mu.Lock()
	defer f.mu.Unlock()
	var failures []error
	for databaseID, held := range f.locks {
		failures = append(failures, held.release())
		delete(f.locks, databaseID)
	}
	return errors.Join(failures...)
}

func (f *File) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writeAll()
}

// flushWhenDue is the timer's: where Flush or Close came first, nothing is written after them.
func (f *File) flushWhenDue() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer != nil {
		f.writeAll()
	}
}

// writeAll belongs to the mutex.
func (f *File) writeAll() {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	f.lastWrite = time.Now()
	for databaseID, generation := range f.unwritten {
		file, err := f.file(databaseID, "generation")
		if err == nil {
			err = raise(file, generation)
		}
		if err != nil {
			// The next write tries again.
			f.logger.Warn("rollback anchor: cannot be written", "error", err)
			continue
		}
		delete(f.unwritten, databaseID)
	}
}

var databaseIDs = regexp.MustCompile(`^[0-9a-f]{32}$`)

// file: the id stands in the clear in a file others may have written, and must not name another folder.
func (f *File) file(databaseID, kind string) (string, error) {
	if !databaseIDs.MatchString(databaseID) {
		return "", fault.New(abi.ErrorCode_DATABASE_CORRUPT, "database_id: must be 32 hexadecimal digits; restore a backup")
	}
	return filepath.Join(f.folder, databaseID+"."+kind), nil
}

// raise leaves a file alone that holds as much or more.
func raise(file string, generation uint64) error {
	// What cannot be read, Read has logged.
	if before, err := written(file); err == nil && before >= generation {
		return nil
	}
	return replaceFile(file, strconv.FormatUint(generation, 10)+"\n")
}

func written(file string) (uint64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return parse(string(text))
}

var texts = regexp.MustCompile(`^[0-9]{1,20}\n$`)

func parse(text string) (uint64, error) {
	if !texts.MatchString(text) {
		return 0, fmt.Errorf("not a generation")
	}
	return strconv.ParseUint(text[:len(text)-1], 10, 64)
}

// replaceFile: after a crash the file holds the old or the new text, never a part.
func replaceFile(file, text string) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	suffix := make([]byte, 8)
	// Never fails.
	_, _ = rand.Read(suffix)
	draft := file + "." + hex.EncodeToString(suffix) + ".new"
	defer func() {
		if err != nil {
			// The failure that matters is known.
			_ = os.Remove(draft)
		}
	}()
	if err := writeDurably(draft, text); err != nil {
		return err
	}
	return os.Rename(draft, file)
}

func writeDurably(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Sync(), file.Close())
}
