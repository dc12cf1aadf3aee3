//! What a storage refuses before it touches anything.

use crate::abi::{Change, change};
use crate::error::{Error, ErrorCode, Result};

pub(crate) const TAG_LENGTH: usize = 8;
const LARGEST_LIMIT: u32 = 1000;

/// Fails with `INTERNAL` for changes no core makes: with them refused up front, applying the others cannot fail halfway for
/// its input.
pub(crate) fn check_changes(changes: &[Change]) -> Result<()> {
    changes.iter().enumerate().try_for_each(|(index, change)| check_change(index, change))
}

fn check_change(index: usize, change: &Change) -> Result<()> {
    use change::Change::{AddTags, Put, PutConversation, PutMessage, RemoveTags};
    match &change.change {
        None => Err(defect(format!("changes[{index}]: no change this version knows"))),
        Some(Put(record)) => check_key(&record.key, || format!("changes[{index}].put.key")),
        Some(AddTags(tags)) => {
            check_key(&tags.key, || format!("changes[{index}].add_tags.key"))?;
            check_tags(&tags.tags, || format!("changes[{index}].add_tags.tags"))
        }
        Some(RemoveTags(tags)) => check_tags(tags, || format!("changes[{index}].remove_tags")),
        Some(PutMessage(message)) => {
            check_key(&message.conversation_id, || format!("changes[{index}].put_message.conversation_id"))?;
            check_key(&message.message_id, || format!("changes[{index}].put_message.message_id"))
        }
        Some(PutConversation(conversation)) => {
            check_key(&conversation.conversation_id, || format!("changes[{index}].put_conversation.conversation_id"))
        }
        Some(_) => Ok(()),
    }
}

/// Fails with `INVALID_ARGUMENT` unless `limit` is from 1 to 1,000.
pub(crate) fn check_limit(limit: u32) -> Result<()> {
    if (1..=LARGEST_LIMIT).contains(&limit) {
        return Ok(());
    }
    let message = format!("limit: {limit}, must be a whole number from 1 to {LARGEST_LIMIT}");
    Err(Error::new(ErrorCode::InvalidArgument, message))
}

fn check_tags(tags: &[u8], field: impl FnOnce() -> String) -> Result<()> {
    if tags.len().is_multiple_of(TAG_LENGTH) {
        return Ok(());
    }
    Err(defect(format!("{}: {} bytes, must be a multiple of {TAG_LENGTH}", field(), tags.len())))
}

/// A NUL would cut the key short where SQLite's C strings are read.
fn check_key(key: &str, field: impl FnOnce() -> String) -> Result<()> {
    if !key.is_empty() && !key.contains('\0') {
        return Ok(());
    }
    Err(defect(format!("{}: empty, or holds a NUL", field())))
}

fn defect(what: String) -> Error {
    Error::new(ErrorCode::Internal, format!("{what}; report this"))
}
