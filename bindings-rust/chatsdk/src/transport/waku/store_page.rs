//! One page of what a store node keeps, without what was pushed.

use std::collections::HashSet;

use async_trait::async_trait;

use super::pushed::Pushed;
use super::sharding::{Hash, message_hash};
use super::wire::{StorePage, StoreQuery, StoredMessage, WakuMessage, WireError};

pub(super) type Result<T> = std::result::Result<T, WireError>;

/// A store node.
#[async_trait]
pub(super) trait StoreNode: Send + Sync {
    /// Messages, or with `include_data` false their hashes.
    async fn query(&self, query: &StoreQuery, include_data: bool) -> Result<StorePage>;
    /// Messages by their hashes. If one answer does not hold all, it has a cursor.
    async fn messages(&self, hashes: &[Hash]) -> Result<StorePage>;
}

pub(super) fn time_of(message: &WakuMessage) -> i64 {
    message.timestamp.unwrap_or(0)
}

pub(super) struct Page {
    /// Oldest first, also those of no interest.
    pub(super) messages: Vec<WakuMessage>,
    /// Also without those left out.
    pub(super) is_empty: bool,
    /// The newest timestamp of those left out.
    pub(super) pushed_until: i64,
    pub(super) cursor: Option<Vec<u8>>,
}

/// Without what was `pushed`: then hashes are asked for first, and the messages of those that are not known.
pub(super) async fn read_page(node: &dyn StoreNode, query: &StoreQuery, pushed: Option<&Pushed>) -> Result<Page> {
    let Some(pushed) = pushed else {
        let StorePage { entries, cursor } = node.query(query, true).await?;
        let (is_empty, messages) = (entries.is_empty(), entries.into_iter().filter_map(|entry| entry.message));
        return Ok(Page { messages: messages.collect(), is_empty, pushed_until: i64::MIN, cursor });
    };
    let StorePage { entries, cursor } = node.query(query, false).await?;
    if entries.len() as u64 > query.limit {
        return Err(WireError::Broken("the node gives more hashes than it was asked for".into()));
    }
    let is_empty = entries.is_empty();
    let mut pushed_until = i64::MIN;
    let mut missed = HashSet::new();
    for StoredMessage { hash, .. } in entries {
        let Some(hash) = hash.and_then(|hash| Hash::try_from(hash).ok()) else {
            return Err(WireError::Broken("the node leaves out a hash".into()));
        };
        match pushed.taken_at(&hash) {
            Some(time) if (query.start_ns..query.end_ns).contains(&time) => {
                pushed_until = pushed_until.max(time);
            }
            // It does not belong here.
            Some(_) => {}
            None => drop(missed.insert(hash)),
        }
    }
    let mut messages = fetch(node, &query.pubsub_topic, missed).await?;
    messages.sort_by_key(time_of);
    Ok(Page { messages, is_empty, pushed_until, cursor })
}

/// All of them, or the node has not answered.
async fn fetch(node: &dyn StoreNode, pubsub_topic: &str, mut missed: HashSet<Hash>) -> Result<Vec<WakuMessage>> {
    let mut messages = Vec::new();
    while !missed.is_empty() {
        let hashes: Vec<Hash> = missed.iter().copied().collect();
        let answer = node.messages(&hashes).await?;
        for StoredMessage { hash, message } in answer.entries {
            let Some(message) = message else { continue };
            // Languages do not agree on the hash of a message without a timestamp, which no interval holds.
            let stated = hash.and_then(|hash| Hash::try_from(hash).ok()).filter(|_| time_of(&message) == 0);
            let hash = stated.unwrap_or_else(|| message_hash(pubsub_topic, &message));
            if missed.remove(&hash) {
                messages.push(message);
            }
        }
        let cut = answer.cursor.is_some() && missed.len() < hashes.len();
        if !missed.is_empty() && !cut {
            return Err(WireError::Broken("the node does not give a message that it has named".into()));
        }
    }
    Ok(messages)
}
