//! What the store nodes keep, oldest first, in pages.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};

use super::backoff;
use super::pushed::Pushed;
use super::sharding::{Hash, message_hash};
use super::store_page::{Page, Result, StoreNode, read_page, time_of};
use super::wire::{StoreQuery, WakuMessage, WireError};

const NS_PER_MS: i64 = 1_000_000;
/// How many times the whole list of nodes is tried for one page, and the first pause between.
const ROUNDS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

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

/// One shard's history on its way.
struct Walk<Nodes> {
    nodes: Nodes,
    query: StoreQuery,
    start_ns: i64,
    /// Left out.
    pushed: Option<Arc<Pushed>>,
    node: Option<Arc<dyn StoreNode>>,
    // Where to resume at another node, which may not know this one's cursor: from the newest timestamp seen, leaving out what
    // was given with it. The cursor alone would repeat messages, the timestamp alone skip those of equal time.
    newest: i64,
    at_newest: HashSet<Hash>,
    stalls: u32,
    ended: bool,
}

impl<Nodes: StoreNodes> Walk<Nodes> {
    fn new(nodes: Nodes, query: StoreQuery, pushed: Option<Arc<Pushed>>) -> Self {
        let start_ns = query.start_ns;
        Self {
            nodes,
            query,
            start_ns,
            pushed,
            node: None,
            newest: start_ns,
            at_newest: HashSet::new(),
            stalls: 0,
            ended: false,
        }
    }

    /// The next page with something new.
    async fn next(&mut self) -> Result<Option<Vec<WakuMessage>>> {
        while !self.ended {
            let page = match &self.node {
                None => {
                    self.query.start_ns = self.newest;
                    self.query.cursor = None;
                    let (node, page) = self.first_answer().await?;
                    self.node = Some(node);
                    page
                }
                Some(node) => match self.read_page(&**node).await {
                    Ok(page) => page,
                    Err(error) => {
                        self.stalls += 1;
                        if self.stalls > ROUNDS {
                            return Err(error);
                        }
                        self.node = None;
                        continue;
                    }
                },
            };
            self.ended = page.cursor.is_none() || page.is_empty;
            self.query.cursor = page.cursor;
            let before = self.newest;
            let fresh = self.select(page.messages);
            if page.pushed_until > self.newest {
                self.newest = page.pushed_until;
                self.at_newest.clear();
            }
            if !fresh.is_empty() || self.newest > before {
                self.stalls = 0;
            }
            if !fresh.is_empty() {
                return Ok(Some(fresh));
            }
        }
        Ok(None)
    }

    async fn read_page(&self, node: &dyn StoreNode) -> Result<Page> {
        read_page(node, &self.query, self.pushed.as_deref()).await
    }

    /// The first page that any node gives.
    async fn first_answer(&self) -> Result<(Arc<dyn StoreNode>, Page)> {
        let mut failure = WireError::Broken("no store node is connected".into());
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(backoff(round, PAUSE, LONGEST_PAUSE)).await;
            }
            for node in self.nodes.store_nodes() {
                match self.read_page(&*node).await {
                    Ok(page) => return Ok((node, page)),
                    Err(error) => failure = error,
                }
            }
        }
        Err(failure)
    }

    fn select(&mut self, messages: Vec<WakuMessage>) -> Vec<WakuMessage> {
        let mut fresh = Vec::new();
        for message in messages {
            let time = time_of(&message);
            let wanted = self.query.topics.contains(&message.content_topic);
            if !wanted || time < self.start_ns || time >= self.query.end_ns {
                continue;
            }
            let hash = message_hash(&self.query.pubsub_topic, &message);
            if time == self.newest && self.at_newest.contains(&hash) {
                continue;
            }
            if time > self.newest {
                self.newest = time;
                self.at_newest.clear();
            }
            if time == self.newest {
                self.at_newest.insert(hash);
            }
            fresh.push(message);
        }
        fresh
    }
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
