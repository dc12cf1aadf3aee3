package sqlite

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/ncruces/go-sqlite3"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// createFile makes the database under another name and gives it its own once it is complete and on disk: no crash leaves half a database
// under file.
func createFile(file, subject string) (err error) {
	folder := filepath.Dir(file)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "%s: its folder does not exist; make it first", subject)
	}
	if err := requireWritable(folder, subject); err != nil {
		return err
	}
	for _, remnant := range []string{file + "-wal", file + "-journal"} {
		// SQLite would mix it into the new database.
		if _, err := os.Lstat(remnant); err == nil {
			return corruptUnless(subject, "is missing, but "+remnant+" is there and may hold its newest commits",
				"put the file back, or remove both", nil)
		}
	}
	draft := file + "." + randomHex() + ".new"
	defer func() {
		for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
			if removal := os.Remove(draft + suffix); removal != nil && !errors.Is(removal, fs.ErrNotExist) {
				err = errors.Join(err, removal)
			}
		}
	}()
	if err := makeDraft(draft); err != nil {
		return err
	}
	if err := giveName(draft, file); err != nil {
		return err
	}
	return syncFolder(folder)
}

func makeDraft(draft string) error {
	// Before SQLite does, so that nobody else may read it.
	empty, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := empty.Close(); err != nil {
		return err
	}
	return withDatabase(draft, "mode=rw", func(database *sqlite3.Conn) error {
		if err := database.Exec(connectionPragmas + " PRAGMA journal_mode = WAL;"); err != nil {
			return err
		}
		return database.Exec(fmt.Sprintf("BEGIN; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
			schema, applicationID, schemaVersion))
	})
}

// giveName never replaces a file: one that another process has made meanwhile is the one to open.
func giveName(draft, file string) error {
	err := os.Link(draft, file)
	switch {
	case err == nil, errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES):
		return err
	}
	if _, exists := os.Lstat(file); exists == nil {
		return err
	}
	// File systems without hard links.
	return os.Rename(draft, file)
}

func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		// It cannot and need not.
		return nil
	}
	directory, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

func randomHex() string {
	bytes := make([]byte, 8)
	// Never fails.
	_, _ = rand.Read(bytes)
	return hex.EncodeToString(bytes)
}
