//! Files that are whole, damaged, foreign, locked, or left by a crash.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chatsdk::abi::VaultHeader;
use chatsdk::{Error, ErrorCode, SqliteOptions, SqliteStorage};
use tempfile::TempDir;

use crate::changes::*;

/// A closed database with some records.
fn sound() -> (TempDir, PathBuf) {
    let (folder, storage) = fresh();
    storage.put_header(&VaultHeader { format: 1, ..VaultHeader::default() }).unwrap();
    for number in 0..40 {
        storage
            .commit(&[
                put_bytes(&format!("batch/{number}"), vec![number; 500]),
                put_message(message(&format!("m{number}"), number.into(), "text")),
            ])
            .unwrap();
    }
    storage.close();
    let path = folder.path().join("chat.db");
    (folder, path)
}

fn refused(path: &Path) -> Error {
    SqliteStorage::open(path, SqliteOptions::default()).err().expect("must be refused")
}

/// Refused, and left byte for byte as it was.
fn expect_corrupt(path: &Path, about: &str) {
    let before = std::fs::read(path).unwrap();
    for options in [SqliteOptions::default(), CREATE] {
        let error = SqliteStorage::open(path, options).err().unwrap_or_else(|| panic!("opened: {about}"));
        assert_eq!(error.code(), ErrorCode::DatabaseCorrupt, "{error}");
        assert!(error.message().contains(about) && error.message().contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(std::fs::read(path).unwrap(), before);
}

#[test]
fn f7_a_missing_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let error = refused(&path);
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::InvalidArgument, false));
    assert!(error.message().contains(path.to_str().unwrap()));
    for wrong in [folder.path().join("none/chat.db"), folder.path().to_owned(), PathBuf::new(), PathBuf::from("a\0b")] {
        assert_eq!(SqliteStorage::open(wrong, CREATE).err().unwrap().code(), ErrorCode::InvalidArgument);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn f7_a_new_database_is_private_whole_and_alone_in_its_folder() {
    let (folder, storage) = fresh();
    storage.close();
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["chat.db"]);
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(folder.path().join("chat.db")).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }
    let unfinished = refused(&folder.path().join("chat.db"));
    assert_eq!(unfinished.code(), ErrorCode::DatabaseCorrupt, "{unfinished}");
    SqliteStorage::open(folder.path().join("chat.db"), CREATE).unwrap();
}

#[test]
fn f7_names_with_characters_that_mean_something_in_a_uri() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a b?mode=memory#x%20.db", "ü&=;'\".db"] {
        let storage = SqliteStorage::open(folder.path().join(name), CREATE).unwrap();
        storage.commit(&[put("a", 1)]).unwrap();
        storage.close();
        assert!(folder.path().join(name).exists());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn f7_damaged_and_foreign_files_are_refused_and_not_touched() {
    let (_folder, path) = sound();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"").unwrap();
    expect_corrupt(&path, "is empty");
    std::fs::write(&path, b"This is a letter to my grandmother, and no database at all.").unwrap();
    expect_corrupt(&path, "is damaged");
    std::fs::write(&path, &whole[..whole.len() - 4096]).unwrap();
    expect_corrupt(&path, "");
    std::fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    expect_corrupt(&path, "is cut short");
    let mut damaged = whole.clone();
    damaged[3 * 4096..4 * 4096].fill(0x5a);
    std::fs::write(&path, &damaged).unwrap();
    expect_corrupt(&path, "");
    let mut foreign = whole.clone();
    foreign[68..72].copy_from_slice(b"MAPS");
    std::fs::write(&path, &foreign).unwrap();
    expect_corrupt(&path, "another application");
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&2_u32.to_be_bytes());
    std::fs::write(&path, &newer).unwrap();
    assert_eq!(refused(&path).code(), ErrorCode::UnsupportedVersion);
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(SqliteStorage::open(&path, SqliteOptions::default()).unwrap().scan("batch/", 0).unwrap().len(), 40);
}

#[test]
fn f7_any_damaged_byte_opens_or_is_refused_and_nothing_panics() {
    let (_folder, path) = sound();
    let whole = std::fs::read(&path).unwrap();
    for place in (0..whole.len()).step_by(whole.len() / 61) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0xff;
        std::fs::write(&path, &damaged).unwrap();
        if let Ok(storage) = SqliteStorage::open(&path, SqliteOptions::default()) {
            drop(storage.scan("", 0));
            drop(storage.header());
        }
    }
}

#[test]
fn f7_what_a_crash_left_in_the_log_is_there_again_and_the_log_is_emptied() {
    let (folder, path) = sound();
    let storage = SqliteStorage::open(&path, SqliteOptions::default()).unwrap();
    storage.commit(&[put("late", 7), delete("batch/0")]).unwrap();
    let crashed = folder.path().join("crashed.db");
    std::fs::copy(&path, &crashed).unwrap();
    std::fs::copy(folder.path().join("chat.db-wal"), folder.path().join("crashed.db-wal")).unwrap();
    storage.close();
    let again = SqliteStorage::open(&crashed, SqliteOptions::default()).unwrap();
    assert_eq!(std::fs::metadata(folder.path().join("crashed.db-wal")).unwrap().len(), 0, "deleted keys must not stay");
    assert_eq!(again.get("late").unwrap().unwrap().value, [7]);
    assert!(again.get("batch/0").unwrap().is_none());
    again.close();
    std::fs::remove_file(&crashed).unwrap();
    std::fs::write(folder.path().join("crashed.db-wal"), b"remnant").unwrap();
    let remnant = SqliteStorage::open(&crashed, CREATE).err().unwrap();
    assert_eq!(remnant.code(), ErrorCode::DatabaseCorrupt, "{remnant}");
}

#[test]
fn f7_deleted_values_are_not_found_in_the_file() {
    let (_folder, path) = sound();
    let storage = SqliteStorage::open(&path, SqliteOptions::default()).unwrap();
    let secret = b"a key that must be forgotten, 4711";
    let word = "unforgettableword";
    storage.commit(&[put_bytes("key", secret.to_vec()), put_message(message("m", 99, word))]).unwrap();
    storage.commit(&[delete("key"), delete_conversation("c1")]).unwrap();
    storage.close();
    let file = std::fs::read(&path).unwrap();
    for needle in [&secret[..], word.as_bytes()] {
        assert!(!file.windows(needle.len()).any(|window| window == needle));
    }
}

/// Tells the child below what to open.
const CHILD: &str = "CHATSDK_TEST_HOLDS";

/// The second process of the next test: opens, says so, and waits for the end of its input.
#[test]
fn f7_second_process_that_holds_the_database() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let storage = SqliteStorage::open(PathBuf::from(path), SqliteOptions::default()).unwrap();
    println!("open");
    std::io::stdin().lines().count();
    storage.close();
}

#[test]
fn f7_a_database_open_in_another_process_is_locked() {
    let (_folder, path) = sound();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "opening::f7_second_process_that_holds_the_database", "--nocapture"])
        .env(CHILD, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().ends_with("open")));
    for options in [SqliteOptions::default(), CREATE] {
        let error = SqliteStorage::open(&path, options).err().unwrap();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::DatabaseLocked, true), "{error}");
    }
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    let storage = SqliteStorage::open(&path, SqliteOptions::default()).unwrap();
    let twice = SqliteStorage::open(&path, SqliteOptions::default()).err().unwrap();
    assert_eq!(twice.code(), ErrorCode::DatabaseLocked, "also within a process");
    assert_eq!(storage.scan("batch/", 0).unwrap().len(), 40);
}

/// Every bit takes two minutes.
const BITS_APART: usize = 23;

#[test]
fn f7_a_flipped_bit_in_the_schema_is_noticed_when_the_file_is_opened() {
    let (_folder, path) = sound();
    let whole = std::fs::read(&path).unwrap();
    for text in schema_texts(&path) {
        let mut places = (0..=whole.len() - text.len()).filter(|&place| whole[place..].starts_with(text.as_bytes()));
        let (start, None) = (places.next().unwrap(), places.next()) else { panic!("{text} is there twice") };
        for bit in (start * 8..(start + text.len()) * 8).step_by(BITS_APART) {
            std::fs::write(&path, flipped(&whole, bit)).unwrap();
            expect_corrupt(&path, "");
        }
    }
}

#[test]
fn f7_a_flipped_bit_in_the_header_is_noticed_when_the_file_is_opened_or_does_no_harm() {
    let (_folder, path) = sound();
    let whole = std::fs::read(&path).unwrap();
    for bit in 0..100 * 8 {
        std::fs::write(&path, flipped(&whole, bit)).unwrap();
        match SqliteStorage::open(&path, SqliteOptions::default()) {
            Ok(storage) => {
                storage.commit(&[put("late", 1), put_message(message("late", 41, "late"))]).unwrap();
                assert_eq!(storage.scan("batch/", 0).unwrap().len(), 40);
                storage.close();
            }
            Err(error) => {
                let version = (60 * 8..64 * 8).contains(&bit) && error.code() == ErrorCode::UnsupportedVersion;
                assert!(version || error.code() == ErrorCode::DatabaseCorrupt, "bit {bit}: {error}");
                assert_eq!(std::fs::read(&path).unwrap(), flipped(&whole, bit));
            }
        }
    }
}

fn flipped(whole: &[u8], bit: usize) -> Vec<u8> {
    let mut damaged = whole.to_vec();
    damaged[bit / 8] ^= 1 << (bit % 8);
    damaged
}

/// All text of the schema, in the pieces that stand together in the file: type, name and table; then the statement.
fn schema_texts(path: &Path) -> Vec<String> {
    let database = rusqlite::Connection::open(path).unwrap();
    let mut statement = database.prepare("SELECT type || name || tbl_name, sql FROM sqlite_schema").unwrap();
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default()]));
    let pieces = rows.unwrap().flat_map(Result::unwrap);
    pieces.filter(|piece: &String| !piece.is_empty()).collect()
}
