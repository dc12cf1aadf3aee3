package sqlite

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/ncruces/go-sqlite3"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// storageError is the typed error for what SQLite or the file system reported; subject names the file. SQLite's own texts never hold
// values.
func storageError(err error, subject string) error {
	var typed *abi.Error
	if err == nil || errors.As(err, &typed) {
		return err
	}
	switch primaryCode(err) {
	case sqlite3.BUSY, sqlite3.LOCKED:
		return fault.Retryable(abi.ErrorCode_DATABASE_LOCKED, err,
			"%s: is open in another client or process; close it there first", subject)
	case sqlite3.CORRUPT, sqlite3.NOTADB:
		return corrupt(subject, "is damaged", err)
	case sqlite3.FULL:
		return fault.Retryable(abi.ErrorCode_STORAGE_FULL, err,
			"%s: no space is left, nothing was changed; free space and try again", subject)
	case sqlite3.READONLY, sqlite3.PERM, sqlite3.CANTOPEN:
		return fault.Because(abi.ErrorCode_STORAGE_FAILED, err,
			"%s: cannot be written; allow writing the file and its folder", subject)
	default:
		return fault.Because(abi.ErrorCode_STORAGE_FAILED, err,
			"%s: the storage failed, nothing was changed; see the cause", subject)
	}
}

// schemaError is for what opens a file: where SQLite can only say of one of our statements that it fails, what the file holds does not fit it.
func schemaError(err error, subject string) error {
	var typed *abi.Error
	if primaryCode(err) != sqlite3.ERROR || errors.As(err, &typed) {
		return err
	}
	return corrupt(subject, "has a damaged schema", err)
}

// primaryCode is SQLite's primary result code, or the one that means the same as an error of the file system; 0 if there is none.
func primaryCode(err error) sqlite3.ErrorCode {
	switch {
	// First: SQLite reports some full disks as a failed read or write, with this as the cause.
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return sqlite3.FULL
	// No space for the -shm file, which the check of a database after a crash needs.
	case errors.Is(err, sqlite3.IOERR_SHMSIZE):
		return sqlite3.FULL
	}
	var code sqlite3.ErrorCode
	if errors.As(err, &code) {
		return code
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return sqlite3.PERM
	}
	return 0
}

// corrupt is DATABASE_CORRUPT; what completes "the file ...".
func corrupt(subject, what string, cause error) error {
	return corruptUnless(subject, what, "restore a backup", cause)
}

func corruptUnless(subject, what, remedy string, cause error) error {
	return fault.Because(abi.ErrorCode_DATABASE_CORRUPT, cause, "%s: %s; it was not changed; %s", subject, what, remedy)
}
