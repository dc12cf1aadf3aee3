//! Rows of `messages` and `conversations`, there and back.

use rusqlite::types::ValueRef;
use rusqlite::{Row, ToSql, params};

use super::connection::Reader;
use crate::abi::{Conversation, DeliveryStatus, FailureReason, Message, MessageRow, SessionState};

/// Replaces a message but keeps its row id, which the search index knows, and whether we have read it.
const PUT_MESSAGE: &str = "
    INSERT INTO messages (conversation_id, message_id, outgoing, sequence, lamport, timestamp_ms, stored_ms, domain, tag,
        version, payload, text, refers_to, status, failure_reason, read_by_us)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (conversation_id, message_id) DO UPDATE SET outgoing = excluded.outgoing, sequence = excluded.sequence,
        lamport = excluded.lamport, timestamp_ms = excluded.timestamp_ms, stored_ms = excluded.stored_ms,
        domain = excluded.domain, tag = excluded.tag, version = excluded.version, payload = excluded.payload,
        text = excluded.text, refers_to = excluded.refers_to, status = excluded.status,
        failure_reason = excluded.failure_reason";

/// What `message_row` needs.
pub(super) const SELECT_MESSAGE: &str = "SELECT conversation_id, message_id, outgoing, sequence, lamport, timestamp_ms,
    stored_ms, domain, tag, version, payload, text, refers_to, status, failure_reason, read_by_us FROM messages";

const PUT_CONVERSATION: &str = "
    INSERT INTO conversations (conversation_id, account_id, peer_identity_key, created_ms, suite, session_state, verified,
        initiator, last_activity_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (conversation_id) DO UPDATE SET account_id = excluded.account_id,
        peer_identity_key = excluded.peer_identity_key, created_ms = excluded.created_ms, suite = excluded.suite,
        session_state = excluded.session_state, verified = excluded.verified, initiator = excluded.initiator,
        last_activity_ms = excluded.last_activity_ms";

/// What `conversation` needs.
pub(super) const SELECT_CONVERSATION: &str = "SELECT conversation_id, account_id, peer_identity_key, created_ms, suite,
    session_state, verified, initiator, last_activity_ms FROM conversations";

pub(super) fn put_message(reader: &Reader<'_>, message: &Message) -> rusqlite::Result<()> {
    let values = params![
        message.conversation_id,
        message.message_id,
        message.outgoing,
        message.sequence,
        signed(message.lamport),
        signed(message.timestamp_ms),
        signed(message.stored_ms),
        message.domain,
        message.tag,
        message.version,
        message.payload,
        message.text,
        message.refers_to,
        status_text(message.status),
        reason_text(message.failure_reason),
        // Kept when a message is replaced. Our own messages need no reading.
        message.outgoing,
    ];
    reader.run(PUT_MESSAGE, values)
}

pub(super) fn message_row(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    let message = Message {
        conversation_id: row.get(0)?,
        message_id: row.get(1)?,
        outgoing: row.get(2)?,
        sequence: row.get(3)?,
        lamport: unsigned(row, 4)?,
        timestamp_ms: unsigned(row, 5)?,
        stored_ms: unsigned(row, 6)?,
        domain: row.get(7)?,
        tag: row.get(8)?,
        version: row.get(9)?,
        payload: row.get(10)?,
        text: lenient_text(row, 11)?,
        refers_to: lenient_text(row, 12)?,
        status: enum_value(row, 13, |name| DeliveryStatus::from_str_name(name).map(i32::from))?,
        failure_reason: enum_value(row, 14, |name| FailureReason::from_str_name(name).map(i32::from))?,
    };
    Ok(MessageRow { message: Some(message), read_by_us: row.get(15)? })
}

pub(super) fn put_conversation(reader: &Reader<'_>, conversation: &Conversation) -> rusqlite::Result<()> {
    let values = params![
        conversation.conversation_id,
        conversation.account_id,
        conversation.peer_identity_key,
        signed(conversation.created_ms),
        conversation.suite,
        enum_text(
            conversation.session_state,
            SessionState::try_from(conversation.session_state).ok().map(|it| it.as_str_name())
        ),
        conversation.verified,
        conversation.initiator,
        signed(conversation.last_activity_ms),
    ];
    reader.run(PUT_CONVERSATION, values)
}

pub(super) fn conversation(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation {
        conversation_id: row.get(0)?,
        account_id: row.get(1)?,
        peer_identity_key: row.get(2)?,
        created_ms: unsigned(row, 3)?,
        suite: row.get(4)?,
        session_state: enum_value(row, 5, |name| SessionState::from_str_name(name).map(i32::from))?,
        verified: row.get(6)?,
        initiator: row.get(7)?,
        last_activity_ms: unsigned(row, 8)?,
    })
}

pub(super) fn status_text(status: i32) -> impl ToSql {
    enum_text(status, DeliveryStatus::try_from(status).ok().map(|it| it.as_str_name()))
}

pub(super) fn reason_text(reason: i32) -> impl ToSql {
    enum_text(reason, FailureReason::try_from(reason).ok().map(|it| it.as_str_name()))
}

/// The status in column `index`.
pub(super) fn status_at(row: &Row<'_>, index: usize) -> rusqlite::Result<i32> {
    enum_value(row, index, |name| DeliveryStatus::from_str_name(name).map(i32::from))
}

/// SQLite's integers are signed. Values from 2^63 on, which only a hostile peer sends, become negative and come back unharmed.
pub(super) fn signed(value: u64) -> i64 {
    value.cast_signed()
}

fn unsigned(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(index).map(i64::cast_unsigned)
}

/// The enum's name in lower case; NULL for "unspecified", the number for a value of a newer version.
fn enum_text(value: i32, name: Option<&str>) -> Option<String> {
    (value != 0).then(|| name.map_or_else(|| value.to_string(), str::to_lowercase))
}

/// The inverse of `enum_text`.
fn enum_value(row: &Row<'_>, index: usize, of_name: impl FnOnce(&str) -> Option<i32>) -> rusqlite::Result<i32> {
    let text: Option<String> = row.get(index)?;
    let Some(text) = text else { return Ok(0) };
    match of_name(&text.to_uppercase()).map_or_else(|| text.parse(), Ok) {
        Ok(value) => Ok(value),
        Err(error) => {
            Err(rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(error)))
        }
    }
}

/// Text of a peer, which SQLite does not check.
fn lenient_text(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    })
}
