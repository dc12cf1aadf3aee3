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

/// A message that the node has.
pub(super) struct Entry {
    pub(super) hash: Hash,
    pub(super) time: i64,
    /// Absent if it was pushed, and so is left out.
    pub(super) message: Option<WakuMessage>,
}

impl Entry {
    fn of(pubsub_topic: &str, message: WakuMessage) -> Self {
        Self { hash: message_hash(pubsub_topic, &message), time: time_of(&message), message: Some(message) }
    }
}

pub(super) struct Page {
    /// Oldest first, also those of no interest.
    pub(super) entries: Vec<Entry>,
    pub(super) cursor: Option<Vec<u8>>,
}

/// Without what was `pushed`: then hashes are asked for first, and the messages of those that are not known.
pub(super) async fn read_page(node: &dyn StoreNode, query: &StoreQuery, pushed: Option<&Pushed>) -> Result<Page> {
    let StorePage { entries, cursor } = node.query(query, pushed.is_none()).await?;
    let mut entries = match pushed {
        Some(pushed) => missed(node, query, pushed, entries).await?,
        None => {
            let messages = entries.into_iter().map(|entry| entry.message.ok_or_else(withheld));
            messages.map(|message| Ok(Entry::of(&query.pubsub_topic, message?))).collect::<Result<_>>()?
        }
    };
    entries.sort_by_key(|entry| entry.time);
    Ok(Page { entries, cursor })
}

/// Fetches what was not pushed.
async fn missed(
    node: &dyn StoreNode,
    query: &StoreQuery,
    pushed: &Pushed,
    named: Vec<StoredMessage>,
) -> Result<Vec<Entry>> {
    if named.len() as u64 > query.limit {
        return Err(WireError::Broken("the node gives more hashes than it was asked for".into()));
    }
    let mut entries = Vec::new();
    let mut missed = HashSet::new();
    for StoredMessage { hash, .. } in named {
        let Some(hash) = hash.and_then(|hash| Hash::try_from(hash).ok()) else {
            return Err(WireError::Broken("the node leaves out a hash".into()));
        };
        match pushed.taken_at(&hash) {
            Some(time) => entries.push(Entry { hash, time, message: None }),
            None => drop(missed.insert(hash)),
        }
    }
    entries.extend(fetch(node, &query.pubsub_topic, missed).await?);
    Ok(entries)
}

/// All of them, or the node has not answered.
async fn fetch(node: &dyn StoreNode, pubsub_topic: &str, mut missed: HashSet<Hash>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    while !missed.is_empty() {
        let hashes: Vec<Hash> = missed.iter().copied().collect();
        let answer = node.messages(&hashes).await?;
        for StoredMessage { hash, message } in answer.entries {
            let Some(message) = message else { continue };
            let mut entry = Entry::of(pubsub_topic, message);
            // Languages do not agree on the hash of a message without a timestamp, which no interval holds.
            if let (0, Some(stated)) = (entry.time, hash.and_then(|hash| Hash::try_from(hash).ok())) {
                entry.hash = stated;
            }
            if missed.remove(&entry.hash) {
                entries.push(entry);
            }
        }
        let cut = answer.cursor.is_some() && missed.len() < hashes.len();
        if !missed.is_empty() && !cut {
            return Err(withheld());
        }
    }
    Ok(entries)
}

fn withheld() -> WireError {
    WireError::Broken("the node does not give a message that it has named".into())
}
