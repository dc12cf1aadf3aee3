//! Opens or makes the database file and takes its lock.
//!
//! SQLite's locks are POSIX locks: closing any descriptor of the file drops all of this process, also those of another
//! client. So an existing database is never opened by other means than SQLite's, only looked at.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::types::FromSql;
use rusqlite::{Connection, MAIN_DB, OpenFlags, ffi};

use super::errors::{corrupt, corrupt_with, file_error, opening_error, sqlite_code, storage_error};
use super::schema::{APPLICATION_ID, SCHEMA, SCHEMA_VERSION, damaged_objects};
use crate::error::{Error, ErrorCode, Result};

/// Larger files are not read through at open: 64 MiB in the page cache take about 60 ms, from a slow disk seconds.
const QUICK_CHECK_BYTES: u64 = 64 * 1024 * 1024;

/// For every connection that may write; docs/database.md gives the reasons.
const CONNECTION_PRAGMAS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = ON;
    PRAGMA checkpoint_fullfsync = ON;
    PRAGMA secure_delete = ON;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA temp_store = MEMORY;
";

const PATH_CHARACTERS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// How a database file is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqliteOptions {
    /// Make the database if there is no file. Default: a missing file is an error.
    pub create: bool,
    /// The file may grow to so many bytes, rounded down to pages of 4,096; a commit beyond is `STORAGE_FULL`. Default: no
    /// limit.
    pub maximum_bytes: Option<u64>,
}

/// A file that is not a sound database of ours is refused and left as it is, byte for byte. Fails as
/// [`SqliteStorage::open`](super::SqliteStorage::open). Gives the connection, and what names the file in errors.
pub(super) fn open_file(path: &Path, options: SqliteOptions) -> Result<(Connection, String)> {
    if path.as_os_str().is_empty() || path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(Error::new(ErrorCode::InvalidArgument, "path: must name a file"));
    }
    let file = std::path::absolute(path).map_err(|error| file_error(error, &format!("path {}", path.display())))?;
    let subject = format!("path {}", file.display());
    if !file_exists(&file, &subject)? {
        if !options.create {
            let message = format!("{subject}: there is no such file; correct it, or open with create");
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        create_file(&file, &subject)?;
    }
    let file = fs::canonicalize(&file).map_err(|error| file_error(error, &subject))?;
    Ok((open_existing(&file, options, &subject)?, subject))
}

fn open_existing(file: &Path, options: SqliteOptions, subject: &str) -> Result<Connection> {
    let sql = |error| opening_error(error, subject);
    require_writable(file, subject)?;
    require_writable(folder_of(file), subject)?;
    if length_of(file).map_err(|error| file_error(error, subject))? == 0 {
        return Err(corrupt(subject, "is empty, which a database never is"));
    }
    check_identity(file, subject)?;

    let uncheckpointed = length_of(&beside(file, "-wal")).unwrap_or(0);
    let small = length_of(file).unwrap_or(0) + uncheckpointed < QUICK_CHECK_BYTES;
    if uncheckpointed > 0 {
        // After a crash. The connection below would merge the -wal file into a damaged database when it closes; this one
        // cannot.
        check_content(&connect(file, Access::ReadOnly).map_err(sql)?, small, subject)?;
    }

    let database = connect(file, Access::ReadWrite).map_err(sql)?;
    // In WAL mode the first read after this takes the file's exclusive lock, for every process and until close.
    database.execute_batch("PRAGMA locking_mode = EXCLUSIVE").map_err(sql)?;
    if uncheckpointed == 0 {
        check_length(file, &database, subject)?;
        check_content(&database, small, subject)?;
    }
    // The file can be written, that was looked at before: its header forbids it, which none of ours does.
    if database.is_readonly(MAIN_DB).map_err(sql)? {
        return Err(corrupt(subject, "has a damaged header"));
    }
    if pragma::<String>(&database, "journal_mode = WAL").map_err(sql)? != "wal" {
        let message = format!("{subject}: the file system does not allow a write-ahead log; use a local disk");
        return Err(Error::new(ErrorCode::StorageFailed, message));
    }
    database.execute_batch(CONNECTION_PRAGMAS).map_err(sql)?;
    // Left by the read-only connection; nobody else can use it under our lock.
    remove_if_present(&beside(file, "-shm")).map_err(|error| file_error(error, subject))?;
    // Deleted keys must not outlive a crash in the -wal file.
    if uncheckpointed > 0 && empty_wal(&database).map_err(sql)? {
        check_length(file, &database, subject)?;
    }
    if let Some(bytes) = options.maximum_bytes {
        database.execute_batch(&format!("PRAGMA max_page_count = {}", page_count(bytes)?)).map_err(sql)?;
    }
    Ok(database)
}

/// Whose database this is, read without locks and without the -wal file, so that another application's file stays untouched.
/// `writable_schema` lets a file pass that a crash left shorter than its header says: its -wal file completes it.
fn check_identity(file: &Path, subject: &str) -> Result<()> {
    let read = || {
        let database = connect(file, Access::Immutable)?;
        database.execute_batch("PRAGMA writable_schema = ON")?;
        Ok((pragma::<i64>(&database, "application_id")?, pragma::<i64>(&database, "user_version")?))
    };
    let (application_id, version) = read().map_err(|error| opening_error(error, subject))?;
    if application_id != APPLICATION_ID {
        return Err(corrupt(subject, "is a database of another application"));
    }
    if version > SCHEMA_VERSION {
        let message = format!(
            "{subject}: schema version {version} is newer than {SCHEMA_VERSION}, the newest this SDK knows; update the SDK"
        );
        return Err(Error::new(ErrorCode::UnsupportedVersion, message));
    }
    if version < 1 {
        return Err(corrupt(subject, "has no schema version"));
    }
    Ok(())
}

/// False if there is no space for it: then all is read from the -wal file, as before.
fn empty_wal(database: &Connection) -> rusqlite::Result<bool> {
    match database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        Ok(()) => Ok(true),
        Err(error) if sqlite_code(&error) == Some(ffi::SQLITE_FULL) => Ok(false),
        Err(error) => Err(error),
    }
}

/// SQLite notices missing pages, but reads a last page that is cut as if it ended in zeros.
fn check_length(file: &Path, database: &Connection, subject: &str) -> Result<()> {
    let read = || Ok(pragma::<i64>(database, "page_count")? * pragma::<i64>(database, "page_size")?);
    let length = read().map_err(|error| opening_error(error, subject))?.cast_unsigned();
    if length_of(file).map_err(|error| file_error(error, subject))? < length {
        return Err(corrupt(subject, "is cut short"));
    }
    Ok(())
}

fn check_content(database: &Connection, read_through: bool, subject: &str) -> Result<()> {
    let damaged = damaged_objects(database).map_err(|error| opening_error(error, subject))?;
    if !damaged.is_empty() {
        return Err(corrupt(subject, &format!("lacks these as the SDK makes them: {}", damaged.join(", "))));
    }
    if read_through
        && pragma::<String>(database, "quick_check(1)").map_err(|error| opening_error(error, subject))? != "ok"
    {
        return Err(corrupt(subject, "is damaged"));
    }
    Ok(())
}

/// Made under another name and given its own once complete and on disk: no crash leaves half a database under `file`.
fn create_file(file: &Path, subject: &str) -> Result<()> {
    let folder = folder_of(file);
    if !folder.exists() {
        let message = format!("{subject}: its folder does not exist; make it first");
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    require_writable(folder, subject)?;
    for remnant in [beside(file, "-wal"), beside(file, "-journal")] {
        // SQLite would mix it into the new database.
        if remnant.exists() {
            let what = format!("is missing, but {} is there and may hold its newest commits", remnant.display());
            return Err(corrupt_with(subject, &what, "put the file back, or remove both"));
        }
    }
    let draft = beside(file, &format!(".{}.new", random_name()?));
    let made = fill_and_name(&draft, file, folder, subject);
    for suffix in ["", "-journal", "-wal", "-shm"] {
        remove_if_present(&beside(&draft, suffix)).map_err(|error| file_error(error, subject))?;
    }
    made
}

fn fill_and_name(draft: &Path, file: &Path, folder: &Path, subject: &str) -> Result<()> {
    let io = |error| file_error(error, subject);
    // Before SQLite does, so that nobody else may read it.
    private_file(draft).map_err(io)?;
    let fill = || {
        let database = connect(draft, Access::ReadWrite)?;
        database.execute_batch(&format!("{CONNECTION_PRAGMAS} PRAGMA journal_mode = WAL;"))?;
        database.execute_batch(&format!(
            "BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        ))?;
        database.close().map_err(|(_, error)| error)
    };
    fill().map_err(|error| storage_error(error, subject))?;
    give_name(draft, file).map_err(io)?;
    sync_folder(folder).map_err(io)
}

/// Never replaces a file: one that another process has made meanwhile is the one to open.
fn give_name(draft: &Path, file: &Path) -> io::Result<()> {
    match fs::hard_link(draft, file) {
        Ok(()) => Ok(()),
        Err(error) => match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            io::ErrorKind::StorageFull | io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Err(error)
            }
            _ if file.exists() => Err(error),
            // File systems without hard links.
            _ => fs::rename(draft, file),
        },
    }
}

fn private_file(file: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

/// Windows cannot and need not.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(windows) { Ok(()) } else { fs::File::open(folder)?.sync_all() }
}

fn file_exists(file: &Path, subject: &str) -> Result<bool> {
    match fs::metadata(file) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => Err(Error::new(ErrorCode::InvalidArgument, format!("{subject}: is not a regular file; name a file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(file_error(error, subject)),
    }
}

fn require_writable(path: &Path, subject: &str) -> Result<()> {
    access(path).map_err(|error| {
        let path = path.display();
        let message = format!("{subject}: {path} is read-only; allow reading and writing it, or use another place");
        Error::new(ErrorCode::StorageFailed, message).caused_by(error)
    })
}

#[cfg(unix)]
fn access(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(path, Access::READ_OK | Access::WRITE_OK)?)
}

#[cfg(not(unix))]
fn access(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.permissions().readonly() { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
}

#[derive(Clone, Copy)]
enum Access {
    /// Without locks and without the -wal file.
    Immutable,
    ReadOnly,
    ReadWrite,
}

/// `mode` rather than flags alone: SQLite must not make a file that vanished since we looked.
fn connect(file: &Path, access: Access) -> rusqlite::Result<Connection> {
    let (parameters, flag) = match access {
        Access::Immutable => ("mode=ro&immutable=1", OpenFlags::SQLITE_OPEN_READ_ONLY),
        Access::ReadOnly => ("mode=ro", OpenFlags::SQLITE_OPEN_READ_ONLY),
        Access::ReadWrite => ("mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE),
    };
    let path = percent_encode(file.as_os_str().as_encoded_bytes(), PATH_CHARACTERS);
    let root = if cfg!(windows) { "file:///" } else { "file://" };
    let flags = flag | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(format!("{root}{path}?{parameters}"), flags)?;
    // A second client is told at once.
    database.busy_timeout(std::time::Duration::ZERO)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    Ok(database)
}

fn pragma<T: FromSql>(database: &Connection, text: &str) -> rusqlite::Result<T> {
    database.query_row(&format!("PRAGMA {text}"), [], |row| row.get(0))
}

fn page_count(maximum_bytes: u64) -> Result<u64> {
    match maximum_bytes / 4096 {
        0 => Err(Error::new(ErrorCode::InvalidArgument, "maximum_bytes: must be at least 4,096")),
        pages => Ok(pages.min(0xffff_fffe)),
    }
}

fn length_of(file: &Path) -> io::Result<u64> {
    fs::metadata(file).map(|found| found.len())
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove_if_present(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn random_name() -> Result<String> {
    Ok(hex::encode(crate::entropy::random::<8>()?))
}
