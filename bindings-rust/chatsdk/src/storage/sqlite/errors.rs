//! Typed errors for what SQLite and the file system say.

use std::io;

use crate::error::{Error, ErrorCode};
use rusqlite::ffi;

/// The primary result code of SQLite; `None` if the error is not SQLite's.
pub(crate) fn sqlite_code(error: &rusqlite::Error) -> Option<i32> {
    match error {
        // No space for the -shm file, which the check of a database after a crash needs.
        rusqlite::Error::SqliteFailure(failure, _) if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
            Some(ffi::SQLITE_FULL)
        }
        rusqlite::Error::SqliteFailure(failure, _) => Some(failure.extended_code & 0xff),
        _ => None,
    }
}

/// The typed error for what SQLite said. `subject` names the file. SQLite's own texts never hold values.
pub(crate) fn storage_error(error: rusqlite::Error, subject: &str) -> Error {
    let code = sqlite_code(&error);
    of_code(code, subject).caused_by(error)
}

/// The same at an opening: if a statement of ours does not fit, and SQLite can say no more, then the schema is damaged.
pub(crate) fn opening_error(error: rusqlite::Error, subject: &str) -> Error {
    match sqlite_code(&error) {
        Some(ffi::SQLITE_ERROR) => corrupt(subject, "has a damaged schema").caused_by(error),
        _ => storage_error(error, subject),
    }
}

/// The typed error for what the file system said.
pub(crate) fn file_error(error: io::Error, subject: &str) -> Error {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(ffi::SQLITE_FULL),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Some(ffi::SQLITE_PERM),
        _ => None,
    };
    of_code(code, subject).caused_by(error)
}

fn of_code(code: Option<i32>, subject: &str) -> Error {
    match code {
        Some(ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) => Error::new(
            ErrorCode::DatabaseLocked,
            format!("{subject}: is open in another client or process; close it there first"),
        )
        .retryable(),
        Some(ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => corrupt(subject, "is damaged"),
        Some(ffi::SQLITE_FULL) => Error::new(
            ErrorCode::StorageFull,
            format!("{subject}: no space is left, nothing was changed; free space and try again"),
        )
        .retryable(),
        Some(ffi::SQLITE_READONLY | ffi::SQLITE_PERM | ffi::SQLITE_CANTOPEN) => Error::new(
            ErrorCode::StorageFailed,
            format!("{subject}: cannot be written; allow writing the file and its folder"),
        ),
        _ => Error::new(
            ErrorCode::StorageFailed,
            format!("{subject}: the storage failed, nothing was changed; see the cause"),
        ),
    }
}

/// `DATABASE_CORRUPT`; `what` completes "the file ...".
pub(crate) fn corrupt(subject: &str, what: &str) -> Error {
    corrupt_with(subject, what, "restore a backup")
}

pub(crate) fn corrupt_with(subject: &str, what: &str, remedy: &str) -> Error {
    Error::new(ErrorCode::DatabaseCorrupt, format!("{subject}: {what}; it was not changed; {remedy}"))
}
