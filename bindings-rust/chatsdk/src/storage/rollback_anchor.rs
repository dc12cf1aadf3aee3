//! Remembers, outside the database, how far the database had come.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::sqlite::{DatabaseLock, NoLock};
use crate::entropy::random;
use crate::error::{Error, ErrorCode, Result};

/// How the name of an anchor's file ends.
const GENERATION: &str = "generation";
/// At most one write in so long.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// Remembers, outside the database, how far the database had come. A database whose sealed generation is smaller is an old
/// copy: its keys were used already, and going on would use them twice (`STATE_ROLLED_BACK`).
pub trait RollbackAnchor: Send + Sync {
    /// The generation last written for this database; `None`: none, so that an old copy cannot be told.
    fn read(&self, database_id: &str) -> Result<Option<u64>>;

    /// Called after each commit, with the generation that is durable now. It never falls: after an accepted rollback it is
    /// above all before.
    fn write(&self, database_id: &str, generation: u64) -> Result<()>;

    /// Writes what is still held back. Called once a rollback is accepted, before anything is published. A failure is the
    /// anchor's to log.
    fn flush(&self) {}

    /// Called before `read`: until `close` no other client may use this database or a copy of it. Fails with
    /// `DATABASE_LOCKED` (retryable) if one does.
    fn lock(&self, _database_id: &str) -> Result<()> {
        Ok(())
    }

    /// Writes what is still held back, and releases the locks.
    fn close(&self) {}
}

/// One small file for each database, in the folder where the user's programs keep state. Writes are collected: after a crash
/// the anchor may lag a second behind the database, so that a copy younger than that passes for the original. It is never
/// ahead, and never falls. Beside it an empty file is locked while the database or a copy of it is open.
pub struct FileRollbackAnchor {
    folder: PathBuf,
    shared: Arc<Shared>,
    locks: Mutex<HashMap<String, DatabaseLock>>,
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
        Ok(Self { folder, shared: Arc::default(), locks: Mutex::default() })
    }

    fn file(&self, database_id: &str, kind: &str) -> Result<PathBuf> {
        // The id stands in the clear in a file others may have written: it must not name another folder.
        if database_id.len() != 32 || !database_id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            let message = "database_id: must be 32 hexadecimal digits; restore a backup";
            return Err(Error::new(ErrorCode::DatabaseCorrupt, message));
        }
        Ok(self.folder.join(format!("{database_id}.{kind}")))
    }
}

impl RollbackAnchor for FileRollbackAnchor {
    /// Fails with `DATABASE_CORRUPT` if the id is none. What cannot be read counts as absent and is logged.
    fn read(&self, database_id: &str) -> Result<Option<u64>> {
        let file = self.file(database_id, GENERATION)?;
        let unwritten = self.shared.lock().unwritten.get(database_id).copied();
        if unwritten.is_some() {
            return Ok(unwritten);
        }
        let _writing = self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match written(&file) {
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
        self.file(database_id, GENERATION)?;
        let mut state = self.shared.lock();
        let highest = state.unwritten.entry(database_id.to_owned()).or_default();
        *highest = generation.max(*highest);
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

    /// A failure is logged, and the next write tries again.
    fn flush(&self) {
        write_all(&self.shared, &self.folder);
    }

    /// Fails with `DATABASE_LOCKED`, or `DATABASE_CORRUPT` if the id is none. That there can be no lock is logged.
    fn lock(&self, database_id: &str) -> Result<()> {
        let file = self.file(database_id, "lock")?;
        let subject = format!("database {database_id}: it or a copy");
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.contains_key(database_id) {
            return Err(DatabaseLock::taken(&subject));
        }
        if let Err(error) = make_folder(&self.folder) {
            tracing::warn!("rollback anchor: {}: cannot be made: {error}", self.folder.display());
            return Ok(());
        }
        match DatabaseLock::take(&file, &subject) {
            Ok(lock) => drop(locks.insert(database_id.to_owned(), lock)),
            Err(NoLock::Taken(error)) => return Err(error),
            Err(NoLock::Failed(error)) => tracing::warn!("rollback anchor: {}: no lock: {error}", file.display()),
        }
        Ok(())
    }

    fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        self.flush();
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).clear();
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
        match raise(folder, &folder.join(format!("{database_id}.{GENERATION}")), generation) {
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

/// Leaves a file alone that holds as much or more.
fn raise(folder: &Path, file: &Path, generation: u64) -> Result<()> {
    // What cannot be read, `read` has logged.
    if written(file).is_ok_and(|before| before >= generation) {
        return Ok(());
    }
    replace_file(folder, file, &format!("{generation}\n"))
}

fn written(file: &Path) -> io::Result<u64> {
    fs::read_to_string(file).and_then(|text| parse(&text))
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// After a crash the file holds the old or the new text, never a part.
fn replace_file(folder: &Path, file: &Path, text: &str) -> Result<()> {
    let failed = |error: io::Error| {
        Error::new(ErrorCode::StorageFailed, format!("{}: cannot be written: {error}", file.display())).caused_by(error)
    };
    make_folder(folder).map_err(failed)?;
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
    fn f7_a_generation_survives_and_never_falls() {
        let folder = tempfile::tempdir().unwrap();
        let anchor = FileRollbackAnchor::new(folder.path().join("state")).unwrap();
        assert_eq!(anchor.read(ID).unwrap(), None);
        anchor.write(ID, 7).unwrap();
        assert_eq!(anchor.read(ID).unwrap(), Some(7));
        anchor.close();
        let again = FileRollbackAnchor::new(folder.path().join("state")).unwrap();
        assert_eq!(again.read(ID).unwrap(), Some(7));
        again.write(ID, 6).unwrap();
        again.write(ID, 3).unwrap();
        again.flush();
        let file = folder.path().join("state").join(format!("{ID}.generation"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "7\n");
        // Another client's.
        fs::write(&file, "9\n").unwrap();
        again.write(ID, 8).unwrap();
        again.close();
        assert_eq!(again.read(ID).unwrap(), Some(9));
        assert_eq!(fs::read_dir(folder.path().join("state")).unwrap().count(), 1, "no drafts stay");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file).unwrap()) & 0o777, 0o600);
    }

    /// Names the folder in which this test program takes a lock and holds it until its input ends.
    const LOCK_HOLDER: &str = "CHATSDK_TEST_LOCK_FOLDER";

    #[test]
    fn f7_a_lock_is_had_by_one_client_among_all_processes() {
        if let Some(folder) = std::env::var_os(LOCK_HOLDER) {
            let anchor = FileRollbackAnchor::new(folder).unwrap();
            let taken = anchor.lock(ID);
            println!("\nholder: {}", taken.as_ref().err().map_or("locked", |error| error.code().as_str_name()));
            if taken.is_err() {
                std::process::exit(1);
            }
            std::thread::sleep(Duration::from_secs(3600));
        }
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let [first, second] = [(); 2].map(|()| FileRollbackAnchor::new(&state).unwrap());
        let is_locked = |taken: Result<()>| {
            let error = taken.unwrap_err();
            assert_eq!((error.code(), error.is_retryable()), (ErrorCode::DatabaseLocked, true));
        };
        first.lock(ID).unwrap();
        is_locked(first.lock(ID));
        is_locked(second.lock(ID));
        // The refused one has not loosened it.
        is_locked(FileRollbackAnchor::new(&state).unwrap().lock(ID));
        assert_eq!(holder(&state).0, "holder: DATABASE_LOCKED");
        first.close();
        let (line, mut process) = holder(&state);
        assert_eq!(line, "holder: locked");
        is_locked(second.lock(ID));
        process.kill().unwrap();
        process.wait().unwrap();
        second.lock(ID).unwrap();
    }

    /// Another process that takes the lock, and what it says of it.
    fn holder(folder: &Path) -> (String, std::process::Child) {
        use std::io::BufRead as _;
        let this_test = "f7_a_lock_is_had_by_one_client_among_all_processes";
        let mut process = std::process::Command::new(std::env::current_exe().unwrap())
            .args([this_test, "--nocapture"])
            .env(LOCK_HOLDER, folder)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = io::BufReader::new(process.stdout.take().unwrap()).lines().map_while(io::Result::ok);
        let said = lines.into_iter().find(|line| line.starts_with("holder: "));
        (said.unwrap_or_default(), process)
    }

    #[test]
    fn f7_without_a_place_for_the_lock_the_client_goes_on() {
        let file = tempfile::NamedTempFile::new().unwrap();
        FileRollbackAnchor::new(file.path()).unwrap().lock(ID).unwrap();
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
            assert_eq!(anchor.lock(id).unwrap_err().code(), ErrorCode::DatabaseCorrupt);
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
