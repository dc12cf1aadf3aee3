package anchor

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// lock is one that all languages and processes share, and that ends with the process: an empty SQLite database with an exclusive transaction.
type lock struct {
	database *sqlite3.Conn
}

// takeLock fails with DATABASE_LOCKED if somebody has it, or with what the file system or SQLite says if there can be no lock.
func takeLock(file, databaseID string) (*lock, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	// Never opened with package os: where another SQLite in this process has the lock, closing a descriptor would drop it.
	database, err := sqlite3.OpenFlags(file, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		return nil, err
	}
	err = database.BusyTimeout(0)
	if err == nil {
		err = database.Exec("BEGIN EXCLUSIVE")
	}
	if err == nil {
		return &lock{database}, nil
	}
	// The failure that matters is known.
	_ = database.Close()
	if errors.Is(err, sqlite3.BUSY) || errors.Is(err, sqlite3.LOCKED) {
		err = locked(databaseID, err)
	}
	return nil, err
}

func (l *lock) release() error {
	return l.database.Close()
}

func locked(databaseID string, cause error) error {
	return fault.Retryable(abi.ErrorCode_DATABASE_LOCKED, cause,
		"database %s: it or a copy is open in another client or process; close it there first", databaseID)
}
