//! What the store nodes keep, oldest first, in pages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};

use super::pushed::Pushed;
use super::store_page::{Result, StoreNode, time_of};
use super::walk::Walk;
use super::wire::{StoreQuery, WakuMessage};

const NS_PER_MS: i64 = 1_000_000;

pub(super) type Pages = BoxStream<'static, Result<Vec<WakuMessage>>>;

/// The store nodes connected now, the preferred one first.
pub(super) trait StoreNodes: Send + Sync + 'static {
    fn store_nodes(&self) -> Vec<Arc<dyn StoreNode>>;
}

/// Messages of all topics with floor(timestamp / 1 ms) in [start, end], oldest first, page by page; without those `pushed`.
pub(super) fn history(
    nodes: impl StoreNodes + Clone,
    topics: BTreeMap<String, Vec<String>>,
    start_ms: u64,
    end_ms: u64,
    page_size: u64,
    pushed: Option<Arc<Pushed>>,
) -> Pages {
    // The store specification leaves the end out, go-waku and nwaku let it in: ask beyond it, and select here.
    let (start_ns, end_ns) = (to_ns(start_ms), to_ns(end_ms.saturating_add(1)));
    if start_ns >= end_ns {
        return stream::empty().boxed();
    }
    let groups = topics.into_iter().map(|(pubsub_topic, topics)| {
        let query = StoreQuery { pubsub_topic, topics, start_ns, end_ns, limit: page_size, cursor: None };
        pages_of(Walk::new(nodes.clone(), query, pushed.clone())).boxed()
    });
    let mut groups: Vec<Pages> = groups.collect();
    match groups.len() {
        1 => groups.remove(0),
        _ => merge_by_time(groups).boxed(),
    }
}

fn to_ns(ms: u64) -> i64 {
    i64::try_from(ms).ok().and_then(|ms| ms.checked_mul(NS_PER_MS)).unwrap_or(i64::MAX)
}

fn pages_of<Nodes: StoreNodes>(walk: Walk<Nodes>) -> impl Stream<Item = Result<Vec<WakuMessage>>> + Send {
    stream::try_unfold(walk, |mut walk| async move { Ok(walk.next().await?.map(|page| (page, walk))) })
}

/// Merges sorted sequences of pages into one: what is older than every sequence's newest known message is in place.
fn merge_by_time(sequences: Vec<Pages>) -> impl Stream<Item = Result<Vec<WakuMessage>>> + Send {
    let open: Vec<_> = sequences.into_iter().map(|pages| (pages, VecDeque::new())).collect();
    stream::try_unfold(open, |mut open| async move {
        loop {
            let mut still_open = Vec::new();
            for (mut pages, mut pending) in open {
                if pending.is_empty() {
                    match pages.next().await.transpose()? {
                        Some(page) => pending.extend(page),
                        None => continue,
                    }
                }
                still_open.push((pages, pending));
            }
            open = still_open;
            let newest = open.iter().filter_map(|(_, pending)| pending.back().map(time_of)).min();
            let Some(settled) = newest else { return Ok(None) };
            let mut page = Vec::new();
            for (_, pending) in &mut open {
                while let Some(message) = pending.pop_front_if(|message| time_of(message) <= settled) {
                    page.push(message);
                }
            }
            if !page.is_empty() {
                page.sort_by_key(time_of);
                return Ok(Some((page, open)));
            }
        }
    })
}
