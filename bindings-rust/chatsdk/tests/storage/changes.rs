//! Changes, in few words.

use chatsdk::abi::{
    Change, Conversation, DeliveryStatus, Message, ReadChange, Record, StatusChange, TagChange, change,
};
use chatsdk::{SqliteOptions, SqliteStorage};
use tempfile::TempDir;

pub fn change(change: change::Change) -> Change {
    Change { change: Some(change) }
}

pub fn put(key: &str, value: u8) -> Change {
    put_bytes(key, vec![value])
}

pub fn put_bytes(key: &str, value: Vec<u8>) -> Change {
    change(change::Change::Put(Record { key: key.into(), value }))
}

pub fn delete(key: &str) -> Change {
    change(change::Change::Delete(key.into()))
}

pub fn delete_prefix(prefix: &str) -> Change {
    change(change::Change::DeletePrefix(prefix.into()))
}

pub fn tag(number: u8) -> Vec<u8> {
    vec![number; 8]
}

pub fn add_tags(key: &str, numbers: &[u8]) -> Change {
    change(change::Change::AddTags(TagChange {
        key: key.into(),
        tags: numbers.iter().flat_map(|&number| tag(number)).collect(),
    }))
}

pub fn remove_tags(numbers: &[u8]) -> Change {
    change(change::Change::RemoveTags(numbers.iter().flat_map(|&number| tag(number)).collect()))
}

/// An incoming text of conversation "c1".
pub fn message(id: &str, lamport: u64, text: &str) -> Message {
    Message {
        message_id: id.into(),
        conversation_id: "c1".into(),
        lamport,
        sequence: 1,
        tag: 1,
        version: 1,
        payload: text.as_bytes().to_vec(),
        text: Some(text.into()),
        ..Message::default()
    }
}

pub fn outgoing(id: &str, lamport: u64, status: DeliveryStatus) -> Message {
    Message { outgoing: true, status: status.into(), ..message(id, lamport, "ours") }
}

pub fn put_message(message: Message) -> Change {
    change(change::Change::PutMessage(message))
}

pub fn set_status(message_id: &str, status: DeliveryStatus) -> Change {
    let (conversation_id, message_id) = ("c1".into(), message_id.into());
    let failure_reason = if status == DeliveryStatus::Failed { 1 } else { 0 };
    change(change::Change::SetStatus(StatusChange {
        conversation_id,
        message_id,
        status: status.into(),
        failure_reason,
    }))
}

fn up_to(message_id: &str) -> ReadChange {
    ReadChange { conversation_id: "c1".into(), message_id: message_id.into() }
}

pub fn peer_read(message_id: &str) -> Change {
    change(change::Change::PeerRead(up_to(message_id)))
}

pub fn own_read(message_id: &str) -> Change {
    change(change::Change::OwnRead(up_to(message_id)))
}

pub fn put_conversation(id: &str, last_activity_ms: u64) -> Change {
    let conversation_id = id.into();
    change(change::Change::PutConversation(Conversation {
        conversation_id,
        last_activity_ms,
        ..Conversation::default()
    }))
}

pub fn delete_conversation(id: &str) -> Change {
    change(change::Change::DeleteConversation(id.into()))
}

pub const CREATE: SqliteOptions = SqliteOptions { create: true, maximum_bytes: None };

/// A new storage in a folder that goes with it.
pub fn fresh() -> (TempDir, SqliteStorage) {
    let folder = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::open(folder.path().join("chat.db"), CREATE).unwrap();
    (folder, storage)
}
