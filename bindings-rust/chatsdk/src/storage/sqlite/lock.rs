//! A lock that all languages and processes share, and that ends with the process.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, ffi};

use super::errors::sqlite_code;
use crate::error::{Error, ErrorCode};

/// An empty SQLite database with an exclusive transaction; dropping it gives the lock back.
pub(crate) struct DatabaseLock {
    _database: Connection,
}

/// Why there is no lock.
pub(crate) enum NoLock {
    /// `DATABASE_LOCKED`: somebody has it.
    Taken(Error),
    /// The file system does not allow it.
    Failed(rusqlite::Error),
}

impl DatabaseLock {
    /// `subject` is what it stands for.
    pub(crate) fn take(file: &Path, subject: &str) -> Result<Self, NoLock> {
        // Never opened with std: closing a descriptor would drop the lock of another client of this process.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let taken = Connection::open_with_flags(file, flags).and_then(|database| {
            database.busy_timeout(Duration::ZERO)?;
            database.execute_batch("BEGIN EXCLUSIVE")?;
            Ok(Self { _database: database })
        });
        taken.map_err(|error| match sqlite_code(&error) {
            Some(ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) => NoLock::Taken(Self::taken(subject).caused_by(error)),
            _ => NoLock::Failed(error),
        })
    }

    /// `DATABASE_LOCKED`.
    pub(crate) fn taken(subject: &str) -> Error {
        let message = format!("{subject} is open in another client or process; close it there first");
        Error::new(ErrorCode::DatabaseLocked, message).retryable()
    }
}
