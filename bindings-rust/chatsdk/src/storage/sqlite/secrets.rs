//! The tables `records` and `tags`.

use rusqlite::Row;

use super::connection::Reader;
use crate::abi::Record;
use crate::storage::key_order::prefix_end;
use crate::storage::validation::TAG_LENGTH;

type Outcome<T> = rusqlite::Result<T>;

pub(super) fn get(reader: &Reader<'_>, key: &str) -> Outcome<Option<Record>> {
    reader.first("SELECT key, value FROM records WHERE key = ?", [key], record)
}

pub(super) fn find_tag(reader: &Reader<'_>, tag: &[u8]) -> Outcome<Option<Record>> {
    reader.first("SELECT key, value FROM tags JOIN records USING (key) WHERE tag = ?", [tag], record)
}

/// `limit` 0: all.
pub(super) fn scan(reader: &Reader<'_>, prefix: &str, limit: u32) -> Outcome<Vec<Record>> {
    let limit = if limit == 0 { -1 } else { i64::from(limit) };
    let order = "ORDER BY key LIMIT ?";
    match prefix_end(prefix) {
        None => {
            let sql = format!("SELECT key, value FROM records WHERE key >= ? {order}");
            reader.all(&sql, rusqlite::params![prefix, limit], record)
        }
        Some(end) => {
            let sql = format!("SELECT key, value FROM records WHERE key >= ? AND key < ? {order}");
            reader.all(&sql, rusqlite::params![prefix, end, limit], record)
        }
    }
}

// The rest belongs to a transaction of the storage.

pub(super) fn put(reader: &Reader<'_>, key: &str, value: &[u8]) -> Outcome<()> {
    // Not REPLACE: it deletes the old row, and a setting decides whether the trigger then takes the tags.
    let sql = "INSERT INTO records (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    reader.run(sql, rusqlite::params![key, value])
}

pub(super) fn delete(reader: &Reader<'_>, key: &str) -> Outcome<()> {
    reader.run("DELETE FROM records WHERE key = ?", [key])
}

/// A range of the primary key rather than LIKE, which ignores case and knows wildcards.
pub(super) fn delete_prefix(reader: &Reader<'_>, prefix: &str) -> Outcome<()> {
    match prefix_end(prefix) {
        None => reader.run("DELETE FROM records WHERE key >= ?", [prefix]),
        Some(end) => reader.run("DELETE FROM records WHERE key >= ? AND key < ?", [prefix, &end]),
    }
}

pub(super) fn add_tags(reader: &Reader<'_>, key: &str, tags: &[u8]) -> Outcome<()> {
    let sql = "INSERT INTO tags (tag, key) VALUES (?, ?) ON CONFLICT (tag) DO UPDATE SET key = excluded.key";
    tags.chunks(TAG_LENGTH).try_for_each(|tag| reader.run(sql, rusqlite::params![tag, key]))
}

pub(super) fn remove_tags(reader: &Reader<'_>, tags: &[u8]) -> Outcome<()> {
    tags.chunks(TAG_LENGTH).try_for_each(|tag| reader.run("DELETE FROM tags WHERE tag = ?", [tag]))
}

fn record(row: &Row<'_>) -> Outcome<Record> {
    Ok(Record { key: row.get(0)?, value: row.get(1)? })
}
