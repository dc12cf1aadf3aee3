//! What the store nodes keep, oldest first, in pages.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};

use super::backoff;
use super::sharding::message_hash;
use super::wire::{StorePage, StoreQuery, WakuMessage, WireError};

const NS_PER_MS: i64 = 1_000_000;
/// How many times the whole list of nodes is tried for one page, and the first pause between.
const ROUNDS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

type Result<T> = std::result::Result<T, WireError>;
pub(super) type Pages = BoxStream<'static, Result<Vec<WakuMessage>>>;

/// A store node.
#[async_trait]
pub(super) trait StoreNode: Send + Sync {
    async fn query(&self, query: &StoreQuery) -> Result<StorePage>;
}

/// The store nodes connected now, the preferred one first.
pub(super) trait StoreNodes: Send + Sync + 'static {
    fn store_nodes(&self) -> Vec<std::sync::Arc<dyn StoreNode>>;
}

/// Messages of all topics with floor(timestamp / 1 ms) in [start, end], oldest first, page by page.
pub(super) fn history(
    nodes: impl StoreNodes + Clone,
    topics: BTreeMap<String, Vec<String>>,
    start_ms: u64,
    end_ms: u64,
    page_size: u64,
) -> Pages {
    // The store specification leaves the end out, go-waku and nwaku let it in: ask beyond it, and select here.
    let (start_ns, end_ns) = (to_ns(start_ms), to_ns(end_ms.saturating_add(1)));
    if start_ns >= end_ns {
        return stream::empty().boxed();
    }
    let groups = topics.into_iter().map(|(pubsub_topic, topics)| {
        let query = StoreQuery { pubsub_topic, topics, start_ns, end_ns, limit: page_size, cursor: None };
        pages_of(Walk::new(nodes.clone(), query)).boxed()
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

fn time_of(message: &WakuMessage) -> i64 {
    message.timestamp.unwrap_or(0)
}

/// One shard's history on its way.
struct Walk<Nodes> {
    nodes: Nodes,
    query: StoreQuery,
    start_ns: i64,
    node: Option<std::sync::Arc<dyn StoreNode>>,
    // Where to resume at another node, which may not know this one's cursor: from the newest timestamp seen, leaving out what
    // was given with it. The cursor alone would repeat messages, the timestamp alone skip those of equal time.
    newest: i64,
    at_newest: HashSet<[u8; 32]>,
    stalls: u32,
    ended: bool,
}

impl<Nodes: StoreNodes> Walk<Nodes> {
    fn new(nodes: Nodes, query: StoreQuery) -> Self {
        let start_ns = query.start_ns;
        Self {
            nodes,
            query,
            start_ns,
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
                Some(node) => match node.query(&self.query).await {
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
            self.ended = page.cursor.is_none() || page.messages.is_empty();
            self.query.cursor = page.cursor;
            let fresh = self.select(page.messages);
            if !fresh.is_empty() {
                self.stalls = 0;
                return Ok(Some(fresh));
            }
        }
        Ok(None)
    }

    /// The first page that any node gives.
    async fn first_answer(&self) -> Result<(std::sync::Arc<dyn StoreNode>, StorePage)> {
        let mut failure = WireError::Broken("no store node is connected".into());
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(backoff(round, PAUSE, LONGEST_PAUSE)).await;
            }
            for node in self.nodes.store_nodes() {
                match node.query(&self.query).await {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    /// A node that keeps messages, and fails at every `failing`-th query.
    #[derive(Clone)]
    struct Kept(Arc<(Vec<WakuMessage>, Mutex<u32>, u32)>);

    #[async_trait]
    impl StoreNode for Kept {
        async fn query(&self, query: &StoreQuery) -> Result<StorePage> {
            let (messages, count, failing) = &*self.0;
            let mut count = count.lock().unwrap();
            *count += 1;
            if *failing > 1 && *count % failing == 0 {
                return Err(WireError::Broken("as told".into()));
            }
            let mut found: Vec<_> = messages
                .iter()
                .filter(|message| query.topics.contains(&message.content_topic))
                .filter(|message| (query.start_ns..=query.end_ns).contains(&time_of(message)))
                .cloned()
                .collect();
            found.sort_by_key(|message| (time_of(message), message.payload.clone()));
            let skip = query.cursor.as_ref().map_or(0, |cursor| usize::from(cursor[0]) << 8 | usize::from(cursor[1]));
            let page: Vec<_> = found.iter().skip(skip).take(query.limit as usize).cloned().collect();
            let next = skip + page.len();
            let cursor = (next < found.len()).then(|| vec![(next >> 8) as u8, next as u8]);
            Ok(StorePage { messages: page, cursor })
        }
    }

    impl StoreNodes for Kept {
        fn store_nodes(&self) -> Vec<Arc<dyn StoreNode>> {
            vec![Arc::new(self.clone())]
        }
    }

    fn message(topic: &str, number: usize, ms: i64) -> WakuMessage {
        WakuMessage {
            payload: number.to_be_bytes().to_vec(),
            content_topic: topic.into(),
            // Pairs with the same time.
            timestamp: Some(ms * NS_PER_MS + number as i64 / 2),
            ..WakuMessage::default()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn f3_history_gives_each_message_of_the_interval_once_and_oldest_first(
            times in proptest::collection::vec((0_usize..3, 0_i64..12), 0..40),
            page_size in 2_u64..6,
            failing in prop_oneof![Just(0_u32), 5_u32..9],
            start in 0_u64..6,
            length in 0_u64..8,
        ) {
            let topics = ["a", "b", "c"];
            let kept: Vec<_> = times.iter().enumerate().map(|(number, &(topic, ms))| message(topics[topic], number, ms)).collect();
            let node = Kept(Arc::new((kept.clone(), Mutex::new(0), failing)));
            let wanted = BTreeMap::from([("p".to_owned(), vec!["a".to_owned()]), ("q".to_owned(), vec!["b".to_owned()])]);
            let end = start + length;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let pages: Vec<Result<Vec<WakuMessage>>> =
                runtime.block_on(history(node, wanted, start, end, page_size).collect());
            let found: Vec<WakuMessage> = pages.into_iter().flat_map(|page| page.unwrap()).collect();
            prop_assert!(found.is_sorted_by_key(time_of));
            let mut numbers: Vec<_> = found.iter().map(|message| message.payload.clone()).collect();
            numbers.sort();
            let inside = |message: &&WakuMessage| {
                let ms = (time_of(message) / NS_PER_MS) as u64;
                message.content_topic != "c" && (start..=end).contains(&ms)
            };
            let expected: Vec<_> = kept.iter().filter(inside).map(|message| message.payload.clone()).collect();
            prop_assert_eq!(numbers, expected);
        }
    }
}
