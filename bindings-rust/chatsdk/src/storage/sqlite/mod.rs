//! The default storage: both stores in one SQLite file, described in docs/database.md.

mod connection;
mod errors;
mod file;
mod lock;
mod messages;
mod rows;
mod schema;
mod secrets;

use std::path::Path;

use prost::Message as _;

use self::connection::{Connection, Reader};
use self::errors::{corrupt, corrupt_with};
pub use self::file::SqliteOptions;
pub(crate) use self::lock::{DatabaseLock, NoLock};
use super::validation::{check_changes, check_limit};
use crate::abi::{
    Change, Conversation, ListMessagesRequest, MessageRow, Record, SearchMessagesRequest, VaultHeader, change,
};
use crate::error::Result;

/// The default storage (F6, F7): one SQLite file. One client at a time may have it open. A commit returns once it is on the
/// disk.
pub struct SqliteStorage {
    connection: Connection,
}

impl SqliteStorage {
    /// Opens the database at `path`, on a local disk; with `create`, makes it if there is no file.
    ///
    /// # Errors
    /// - `INVALID_ARGUMENT`: no such file (and `create` is not set), no such folder, or not a file;
    /// - `DATABASE_CORRUPT`: empty, truncated, damaged, or not a database of this SDK. The file is left byte for byte as it is;
    /// - `DATABASE_LOCKED` (retryable): open in another process, or a second time in this one;
    /// - `UNSUPPORTED_VERSION`: written by a newer SDK;
    /// - `STORAGE_FULL` (retryable): no space for a new database;
    /// - `STORAGE_FAILED`: the file or its folder is read-only, or the disk fails.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self> {
        let (database, subject) = file::open_file(path.as_ref(), options)?;
        let connection = Connection::new(database, subject)?;
        if !options.create && connection.read(is_unfinished)? {
            let what = "holds nothing, making it was interrupted";
            return Err(corrupt_with(connection.subject(), what, "open it with create"));
        }
        Ok(Self { connection })
    }

    /// What was given to [`Self::put_header`]; `None` for a database that has none yet.
    pub fn header(&self) -> Result<Option<VaultHeader>> {
        let sql = "SELECT value FROM meta WHERE name = ?";
        let found = self.connection.read(|reader| reader.first(sql, [schema::VAULT_HEADER], |row| row.get(0)))?;
        let Some(encoded): Option<Vec<u8>> = found else { return Ok(None) };
        let header = VaultHeader::decode(&*encoded)
            .map_err(|error| corrupt(self.connection.subject(), "has an unreadable header").caused_by(error))?;
        Ok(Some(header))
    }

    /// Writes the header of a new database, or replaces it when its key is changed.
    pub fn put_header(&self, header: &VaultHeader) -> Result<()> {
        let sql =
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        let encoded = header.encode_to_vec();
        self.connection.transaction(|reader| reader.run(sql, rusqlite::params![schema::VAULT_HEADER, encoded]))
    }

    /// The record with a key.
    pub fn get(&self, key: &str) -> Result<Option<Record>> {
        self.connection.read(|reader| secrets::get(reader, key))
    }

    /// The record that an 8-byte tag finds.
    pub fn find_tag(&self, tag: &[u8]) -> Result<Option<Record>> {
        self.connection.read(|reader| secrets::find_tag(reader, tag))
    }

    /// Records whose key starts with `prefix`, in the order of the key's bytes; `limit` 0: all.
    pub fn scan(&self, prefix: &str, limit: u32) -> Result<Vec<Record>> {
        self.connection.read(|reader| secrets::scan(reader, prefix, limit))
    }

    /// Applies all changes in order, atomically and durably. Fails with `STORAGE_FULL` (retryable), `DATABASE_CORRUPT`,
    /// `STORAGE_FAILED`, `CLOSED`, or `INTERNAL` for malformed changes; then none of them is there.
    pub fn commit(&self, changes: &[Change]) -> Result<()> {
        check_changes(changes)?;
        self.connection.transaction(|reader| changes.iter().try_for_each(|change| apply(reader, change)))
    }

    /// Conversations of an account, or of all if `account_id` is empty; the latest activity first.
    pub fn conversations(&self, account_id: &str) -> Result<Vec<Conversation>> {
        self.connection.read(|reader| messages::conversations(reader, account_id))
    }

    /// One conversation.
    pub fn conversation(&self, conversation_id: &str) -> Result<Option<Conversation>> {
        self.connection.read(|reader| messages::conversation_of(reader, conversation_id))
    }

    /// One message.
    pub fn message(&self, conversation_id: &str, message_id: &str) -> Result<Option<MessageRow>> {
        self.connection.read(|reader| messages::message(reader, conversation_id, message_id))
    }

    /// A page of a conversation, newest first. Fails with `INVALID_ARGUMENT` for a limit out of range.
    pub fn page(&self, request: &ListMessagesRequest) -> Result<Vec<MessageRow>> {
        check_limit(request.limit)?;
        self.connection.read(|reader| messages::page(reader, request))
    }

    /// Incoming messages that are not marked read; reactions and receipts do not count.
    pub fn unread_count(&self, conversation_id: &str) -> Result<u32> {
        self.connection.read(|reader| messages::unread_count(reader, conversation_id))
    }

    /// Messages with every word of a query, newest first; only for databases whose messages are not sealed. Fails with
    /// `INVALID_ARGUMENT` for a limit out of range.
    pub fn search(&self, request: &SearchMessagesRequest) -> Result<Vec<MessageRow>> {
        check_limit(request.limit)?;
        self.connection.read(|reader| messages::search(reader, request))
    }

    /// Releases the file; every later call fails with `CLOSED`, but a second `close` does nothing.
    pub fn close(&self) {
        self.connection.close();
    }
}

fn apply(reader: &Reader<'_>, change: &Change) -> rusqlite::Result<()> {
    match &change.change {
        Some(change::Change::Put(record)) => secrets::put(reader, &record.key, &record.value),
        Some(change::Change::Delete(key)) => secrets::delete(reader, key),
        Some(change::Change::DeletePrefix(prefix)) => secrets::delete_prefix(reader, prefix),
        Some(change::Change::AddTags(added)) => secrets::add_tags(reader, &added.key, &added.tags),
        Some(change::Change::RemoveTags(tags)) => secrets::remove_tags(reader, tags),
        Some(change::Change::PutMessage(message)) => rows::put_message(reader, message),
        Some(change::Change::SetStatus(status)) => messages::set_status(reader, status),
        Some(change::Change::PeerRead(read)) => messages::peer_read(reader, read),
        Some(change::Change::OwnRead(read)) => messages::own_read(reader, read),
        Some(change::Change::PutConversation(conversation)) => rows::put_conversation(reader, conversation),
        Some(change::Change::DeleteConversation(id)) => messages::delete_conversation(reader, id),
        // `check_changes` refuses it.
        None => Ok(()),
    }
}

/// Made, but not given a header nor anything else: a crash came between. Nothing can be lost by finishing it.
fn is_unfinished(reader: &Reader<'_>) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM meta) OR EXISTS (SELECT 1 FROM records)
        OR EXISTS (SELECT 1 FROM conversations) OR EXISTS (SELECT 1 FROM messages)";
    let used: Option<bool> = reader.first(sql, [], |row| row.get(0))?;
    Ok(used == Some(false))
}
