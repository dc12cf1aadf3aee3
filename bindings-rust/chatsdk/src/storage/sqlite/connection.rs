//! One open database: cached statements, transactions, typed errors.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rusqlite::{Params, Row};

use super::errors::storage_error;
use crate::error::{Error, ErrorCode, Result};

/// How long the -wal file may keep what was deleted or replaced.
const WAL_RETENTION: Duration = Duration::from_secs(30);
/// Statements kept prepared: more than the SDK has.
const STATEMENTS: usize = 64;

/// A database shared with the thread that empties its -wal file.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    subject: String,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// `None` once closed.
    database: Option<rusqlite::Connection>,
    /// When the -wal file is to be emptied.
    truncate_at: Option<Instant>,
}

impl Connection {
    /// Takes over `database`; `subject` names it in errors.
    pub(crate) fn new(database: rusqlite::Connection, subject: String) -> Result<Self> {
        database.set_prepared_statement_cache_capacity(STATEMENTS);
        let state = State { database: Some(database), truncate_at: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("chatsdk-wal".into()).spawn(move || of_thread.empty_wal_when_due()).map_err(
            |error| {
                Error::new(ErrorCode::StorageFailed, format!("{subject}: no thread can be started")).caused_by(error)
            },
        )?;
        Ok(Self { shared, subject })
    }

    /// What names the database in errors.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Uses the database for reading; `CLOSED` after `close`.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Reader<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let state = self.shared.lock();
        let database = state.database.as_ref().ok_or_else(|| self.closed())?;
        work(&Reader { database }).map_err(|error| storage_error(error, &self.subject))
    }

    /// Runs `work` in one transaction: durable when this returns, without any effect when it fails.
    pub(crate) fn transaction(&self, work: impl FnOnce(&Reader<'_>) -> rusqlite::Result<()>) -> Result<()> {
        let mut state = self.shared.lock();
        let database = state.database.as_mut().ok_or_else(|| self.closed())?;
        let result = (|| {
            // Rolls back when dropped before the commit.
            let transaction = database.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            work(&Reader { database: &transaction })?;
            transaction.commit()
        })();
        if state.truncate_at.is_none() {
            state.truncate_at = Some(Instant::now() + WAL_RETENTION);
            self.shared.changed.notify_one();
        }
        result.map_err(|error| storage_error(error, &self.subject))
    }

    /// Never fails: what a failing checkpoint leaves in the -wal file is read at the next open.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        if let Some(database) = state.database.take() {
            empty_wal(&database);
        }
        self.shared.changed.notify_one();
    }

    fn closed(&self) -> Error {
        Error::new(ErrorCode::Closed, format!("{}: the storage is closed; open it again", self.subject))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held has rolled its transaction back.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Old pages stay in the -wal file, with the keys deleted since, until it is cut. Ends when the database is closed.
    fn empty_wal_when_due(&self) {
        let mut state = self.lock();
        while let Some(database) = &state.database {
            let now = Instant::now();
            match state.truncate_at {
                Some(at) if at <= now => {
                    empty_wal(database);
                    state.truncate_at = None;
                }
                Some(at) => {
                    let waited = self.changed.wait_timeout(state, at - now);
                    state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
                }
                None => state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner),
            }
        }
    }
}

/// A full disk, for one, makes this fail. The data is safe where it is, and the next commit asks again.
fn empty_wal(database: &rusqlite::Connection) {
    if let Err(error) = database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::debug!("the -wal file was not emptied: {error}");
    }
}

/// Statements of an open database, inside a transaction or not.
pub(crate) struct Reader<'a> {
    database: &'a rusqlite::Connection,
}

impl Reader<'_> {
    /// The first row, if there is one.
    pub(crate) fn first<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        let mut statement = self.database.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        rows.next()?.map(read).transpose()
    }

    pub(crate) fn all<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.database.prepare_cached(sql)?.query_map(values, read)?.collect()
    }

    pub(crate) fn run(&self, sql: &str, values: impl Params) -> rusqlite::Result<()> {
        self.database.prepare_cached(sql)?.execute(values).map(drop)
    }
}
