//! Remembers, outside the database, how far the database had come.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::entropy::random;
use crate::error::{Error, ErrorCode, Result};

/// At most one write in so long.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// Remembers, outside the database, how far the database had come. A database whose sealed generation is smaller is an old
/// copy: its keys were used already, and going on would use them twice (`STATE_ROLLED_BACK`).
pub trait RollbackAnchor: Send + Sync {
    /// The generation last written for this database; `None`: none, so that an old copy cannot be told.
    fn read(&self, database_id: &str) -> Result<Option<u64>>;

    /// Called after each commit, with the generation that is durable now. A smaller one than before replaces it: a rollback
    /// was accepted.
    fn write(&self, database_id: &str, generation: u64) -> Result<()>;

    /// Writes what is still held back.
    fn close(&self) {}
}

/// One small file for each database, in the folder where the user's programs keep state. Writes are collected: after a crash
/// the anchor may lag a second behind the database, so that a copy younger than that passes for the original. It is never
/// ahead.
pub struct FileRollbackAnchor {
    folder: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Held while files are written, so that a reader finds them whole.
    writing: Mutex<()>,
}

#[derive(Default)]
struct State {
    unwritten: HashMap<String, u64>,
    last_write: Option<Instant>,
    running: bool,
    closed: bool,
}

impl FileRollbackAnchor {
    /// In `chatsdk` in `$XDG_STATE_HOME`, or in `~/.local/state`. Fails with `INVALID_ARGUMENT` if the user has no home folder.
    pub fn of_user() -> Result<Self> {
        let home = state_home().ok_or_else(|| {
            let message = "anchor: no home folder is known; set XDG_STATE_HOME, or name a folder";
            Error::new(ErrorCode::InvalidArgument, message)
        })?;
        Self::new(home.join("chatsdk"))
    }

    /// In an absolute folder, made when it is needed. It must not travel with backups of the database.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        if !folder.is_absolute() {
            return Err(Error::new(ErrorCode::InvalidArgument, "folder: must be an absolute path"));
        }
        Ok(Self { folder, shared: Arc::default() })
    }

    /// Writes now what is held back. A failure is logged, and the next write tries again.
    pub fn flush(&self) {
        write_all(&self.shared, &self.folder);
    }

    fn file(&self, database_id: &str) -> Result<PathBuf> {
        // The id stands in the clear in a file others may have written: it must not name another folder.
        if database_id.len() != 32 || !database_id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            let message = "database_id: must be 32 hexadecimal digits; restore a backup";
            return Err(Error::new(ErrorCode::DatabaseCorrupt, message));
        }
        Ok(file_of(&self.folder, database_id))
    }
}

impl RollbackAnchor for FileRollbackAnchor {
    /// Fails with `DATABASE_CORRUPT` if the id is none. What cannot be read counts as absent and is logged.
    fn read(&self, database_id: &str) -> Result<Option<u64>> {
        let file = self.file(database_id)?;
        let unwritten = self.shared.lock().unwritten.get(database_id).copied();
        if unwritten.is_some() {
            return Ok(unwritten);
        }
        let _writing = self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match fs::read_to_string(&file).and_then(|text| parse(&text)) {
            Ok(generation) => Ok(Some(generation)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                tracing::warn!("rollback anchor: {}: {error}", file.display());
                Ok(None)
            }
        }
    }

    /// Returns at once. Fails only with `DATABASE_CORRUPT`, if the id is none.
    fn write(&self, database_id: &str, generation: u64) -> Result<()> {
        self.file(database_id)?;
        let mut state = self.shared.lock();
        state.unwritten.insert(database_id.to_owned(), generation);
        if !state.running && !state.closed {
            let (shared, folder) = (Arc::clone(&self.shared), self.folder.clone());
            let thread = std::thread::Builder::new().name("chatsdk-anchor".into());
            match thread.spawn(move || write_when_due(&shared, &folder)) {
                Ok(_) => state.running = true,
                Err(error) => tracing::warn!("rollback anchor: no thread can be started: {error}"),
            }
        }
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }

    fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        self.flush();
    }
}

impl Drop for FileRollbackAnchor {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends when the anchor is closed, whose `close` writes the last.
fn write_when_due(shared: &Shared, folder: &Path) {
    let mut state = shared.lock();
    while !state.closed {
        let due = state.last_write.map_or(Duration::ZERO, |last| WRITE_INTERVAL.saturating_sub(last.elapsed()));
        if state.unwritten.is_empty() {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        } else if !due.is_zero() {
            state = shared.changed.wait_timeout(state, due).unwrap_or_else(PoisonError::into_inner).0;
        } else {
            drop(state);
            write_all(shared, folder);
            state = shared.lock();
        }
    }
}

fn write_all(shared: &Shared, folder: &Path) {
    let _writing = shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
    let unwritten = {
        let mut state = shared.lock();
        state.last_write = Some(Instant::now());
        state.unwritten.clone()
    };
    for (database_id, generation) in unwritten {
        match replace_file(folder, &file_of(folder, &database_id), &format!("{generation}\n")) {
            Ok(()) => {
                let mut state = shared.lock();
                // A newer one may have come meanwhile.
                if state.unwritten.get(&database_id) == Some(&generation) {
                    state.unwritten.remove(&database_id);
                }
            }
            Err(error) => tracing::warn!("rollback anchor: {error}"),
        }
    }
}

/// After a crash the file holds the old or the new text, never a part.
fn replace_file(folder: &Path, file: &Path, text: &str) -> Result<()> {
    let failed = |error: io::Error| {
        Error::new(ErrorCode::StorageFailed, format!("{}: cannot be written: {error}", file.display())).caused_by(error)
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(failed)?;
    let draft = file.with_extension(format!("generation.{}.new", hex::encode(random::<8>()?)));
    let written = write_private(&draft, text).and_then(|()| fs::rename(&draft, file));
    if written.is_err()
        && let Err(error) = fs::remove_file(&draft)
    {
        tracing::debug!("rollback anchor: {} stays: {error}", draft.display());
    }
    written.map_err(failed)
}

fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut handle = options.open(file)?;
    handle.write_all(text.as_bytes())?;
    handle.sync_all()
}

fn file_of(folder: &Path, database_id: &str) -> PathBuf {
    folder.join(format!("{database_id}.generation"))
}

fn parse(text: &str) -> io::Result<u64> {
    let digits = text.strip_suffix('\n').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| io::Error::other("is not a generation"))
}

/// The XDG Base Directory Specification: a relative path is to be ignored.
fn state_home() -> Option<PathBuf> {
    let configured = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    configured.or_else(|| std::env::home_dir().map(|home| home.join(".local").join("state")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff";

    #[test]
    fn f7_a_generation_survives_and_may_go_back() {
        let folder = tempfile::tempdir().unwrap();
        let anchor = FileRollbackAnchor::new(folder.path().join("state")).unwrap();
        assert_eq!(anchor.read(ID).unwrap(), None);
        anchor.write(ID, 7).unwrap();
        assert_eq!(anchor.read(ID).unwrap(), Some(7));
        anchor.close();
        let again = FileRollbackAnchor::new(folder.path().join("state")).unwrap();
        assert_eq!(again.read(ID).unwrap(), Some(7));
        again.write(ID, 3).unwrap();
        again.close();
        let file = folder.path().join("state").join(format!("{ID}.generation"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "3\n");
        assert_eq!(fs::read_dir(folder.path().join("state")).unwrap().count(), 1, "no drafts stay");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file).unwrap()) & 0o777, 0o600);
    }

    #[test]
    fn f7_writes_are_collected_and_the_last_one_comes_within_two_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let anchor = FileRollbackAnchor::new(folder.path()).unwrap();
        for generation in 1..=1000 {
            anchor.write(ID, generation).unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::read_to_string(folder.path().join(format!("{ID}.generation"))).ok().as_deref() != Some("1000\n") {
            assert!(Instant::now() < deadline, "the last generation was not written");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn f7_an_id_of_a_hostile_file_names_no_other_folder() {
        let anchor = FileRollbackAnchor::new(std::env::temp_dir()).unwrap();
        for id in ["", "../../etc/passwd", "00112233445566778899AABBCCDDEEFF", "0011"] {
            assert_eq!(anchor.read(id).unwrap_err().code(), ErrorCode::DatabaseCorrupt);
            assert_eq!(anchor.write(id, 1).unwrap_err().code(), ErrorCode::DatabaseCorrupt);
        }
        assert!(FileRollbackAnchor::new("relative").is_err());
    }

    #[test]
    fn f7_what_is_no_generation_counts_as_absent() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "7", "-7\n", "7\n\n", "seven\n", "99999999999999999999999\n"] {
            fs::write(folder.path().join(format!("{ID}.generation")), text).unwrap();
            let anchor = FileRollbackAnchor::new(folder.path()).unwrap();
            assert_eq!(anchor.read(ID).unwrap(), None, "{text:?}");
        }
    }
}
