//! The tables `conversations` and `messages`.

use rusqlite::types::Value;
use rusqlite::{params, params_from_iter};

use super::connection::Reader;
use super::rows::{
    SELECT_CONVERSATION, SELECT_MESSAGE, conversation, message_row, reason_text, signed, status_at, status_text,
};
use crate::abi::{
    Conversation, DeliveryStatus, ListMessagesRequest, MessageRow, Position, ReadChange, SearchMessagesRequest,
    StatusChange,
};
use crate::storage::delivery_status::may_become;
use crate::storage::search_words::query_words;

type Outcome<T> = rusqlite::Result<T>;

const NEWEST_FIRST: &str = "ORDER BY lamport DESC, message_id DESC LIMIT ?";
const UNREAD: &str = "SELECT count(*) FROM messages
    WHERE conversation_id = ? AND outgoing = 0 AND read_by_us = 0 AND (domain <> 0 OR tag IN (1, 2, 5))";

/// Of all accounts if `account_id` is empty. The latest activity first.
pub(super) fn conversations(reader: &Reader<'_>, account_id: &str) -> Outcome<Vec<Conversation>> {
    let latest_first = "ORDER BY last_activity_ms DESC, conversation_id";
    if account_id.is_empty() {
        return reader.all(&format!("{SELECT_CONVERSATION} {latest_first}"), [], conversation);
    }
    reader.all(&format!("{SELECT_CONVERSATION} WHERE account_id = ? {latest_first}"), [account_id], conversation)
}

pub(super) fn conversation_of(reader: &Reader<'_>, conversation_id: &str) -> Outcome<Option<Conversation>> {
    reader.first(&format!("{SELECT_CONVERSATION} WHERE conversation_id = ?"), [conversation_id], conversation)
}

pub(super) fn message(reader: &Reader<'_>, conversation_id: &str, message_id: &str) -> Outcome<Option<MessageRow>> {
    let sql = format!("{SELECT_MESSAGE} WHERE conversation_id = ? AND message_id = ?");
    reader.first(&sql, [conversation_id, message_id], message_row)
}

pub(super) fn page(reader: &Reader<'_>, request: &ListMessagesRequest) -> Outcome<Vec<MessageRow>> {
    let (older, position) = older_than(request.before.as_ref());
    let sql = format!("{SELECT_MESSAGE} WHERE conversation_id = ? {older} {NEWEST_FIRST}");
    let mut values = vec![Value::from(request.conversation_id.clone())];
    values.extend(position);
    values.push(request.limit.into());
    reader.all(&sql, params_from_iter(values), message_row)
}

pub(super) fn unread_count(reader: &Reader<'_>, conversation_id: &str) -> Outcome<u32> {
    reader.first(UNREAD, [conversation_id], |row| row.get(0)).map(Option::unwrap_or_default)
}

pub(super) fn search(reader: &Reader<'_>, request: &SearchMessagesRequest) -> Outcome<Vec<MessageRow>> {
    let words = query_words(&request.query);
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let (older, position) = older_than(request.before.as_ref());
    let mut values = vec![Value::from(match_expression(&words))];
    let in_conversation = if request.conversation_id.is_empty() {
        ""
    } else {
        values.push(request.conversation_id.clone().into());
        "AND conversation_id = ?"
    };
    values.extend(position);
    values.push(request.limit.into());
    let found = "id IN (SELECT rowid FROM messages_fts WHERE messages_fts MATCH ?)";
    let sql = format!("{SELECT_MESSAGE} WHERE {found} {in_conversation} {older} {NEWEST_FIRST}");
    reader.all(&sql, params_from_iter(values), message_row)
}

// The rest belongs to a transaction of the storage.

pub(super) fn set_status(reader: &Reader<'_>, change: &StatusChange) -> Outcome<()> {
    let row = reader.first(
        "SELECT id, status FROM messages WHERE conversation_id = ? AND message_id = ? AND outgoing = 1",
        [&change.conversation_id, &change.message_id],
        |row| Ok((row.get::<_, i64>(0)?, status_at(row, 1)?)),
    )?;
    let Some((id, from)) = row else { return Ok(()) };
    if !may_become(from, change.status) {
        return Ok(());
    }
    let failed = change.status == i32::from(DeliveryStatus::Failed);
    let reason = reason_text(if failed { change.failure_reason } else { 0 });
    let sql = "UPDATE messages SET status = ?, failure_reason = ? WHERE id = ?";
    reader.run(sql, params![status_text(change.status), reason, id])
}

pub(super) fn peer_read(reader: &Reader<'_>, change: &ReadChange) -> Outcome<()> {
    let sql = "UPDATE messages SET status = 'read'
        WHERE conversation_id = ?1 AND outgoing = 1 AND status = 'delivered' AND lamport <=
        (SELECT lamport FROM messages WHERE conversation_id = ?1 AND message_id = ?2 AND outgoing = 1)";
    reader.run(sql, [&change.conversation_id, &change.message_id])
}

pub(super) fn own_read(reader: &Reader<'_>, change: &ReadChange) -> Outcome<()> {
    let sql = "UPDATE messages SET read_by_us = 1
        WHERE conversation_id = ?1 AND outgoing = 0 AND read_by_us = 0 AND lamport <=
        (SELECT lamport FROM messages WHERE conversation_id = ?1 AND message_id = ?2 AND outgoing = 0)";
    reader.run(sql, [&change.conversation_id, &change.message_id])
}

pub(super) fn delete_conversation(reader: &Reader<'_>, conversation_id: &str) -> Outcome<()> {
    reader.run("DELETE FROM messages WHERE conversation_id = ?", [conversation_id])?;
    reader.run("DELETE FROM conversations WHERE conversation_id = ?", [conversation_id])
}

fn older_than(before: Option<&Position>) -> (&'static str, Vec<Value>) {
    match before {
        None => ("", Vec::new()),
        Some(Position { lamport, message_id }) => {
            ("AND (lamport, message_id) < (?, ?)", vec![signed(*lamport).into(), message_id.clone().into()])
        }
    }
}

/// Each word in quotes, so that none is an operator of FTS5; the last also matches as the start of a word.
fn match_expression(words: &[String]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    quoted.join(" ") + " *"
}
