//! History from nodes that do as they should, and from others.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use proptest::prelude::*;

use super::history::{Pages, StoreNodes, history};
use super::pushed::Pushed;
use super::sharding::{Hash, message_hash};
use super::store_page::{Result, StoreNode, time_of};
use super::wire::{StorePage, StoreQuery, StoredMessage, WakuMessage, WireError};

pub(super) const SHARD: &str = "p";

/// Nodes that keep messages, and what they do wrong.
#[derive(Clone, Default)]
pub(super) struct Kept {
    messages: Vec<WakuMessage>,
    /// Every so many questions are not answered.
    failing: u32,
    /// Questions that go on from a cursor are not answered.
    forgets_cursors: bool,
    /// Named, and not given.
    withheld: Option<WakuMessage>,
    /// Named, whatever is asked.
    intruders: Vec<WakuMessage>,
    asked: Arc<Mutex<Asked>>,
}

#[derive(Default)]
struct Asked {
    count: u32,
    fetched: HashSet<Hash>,
}

impl Kept {
    pub(super) fn of(messages: &[WakuMessage]) -> Self {
        Self { messages: messages.to_vec(), ..Self::default() }
    }

    fn entry(&self, pubsub_topic: &str, message: &WakuMessage, include_data: bool) -> StoredMessage {
        let hash = Some(message_hash(pubsub_topic, message).to_vec());
        StoredMessage { hash, message: include_data.then(|| message.clone()) }
    }

    fn count(&self, resumes: bool) -> Result<()> {
        let mut asked = self.asked.lock().unwrap();
        asked.count += 1;
        let fails = self.failing > 0 && asked.count.is_multiple_of(self.failing) || resumes && self.forgets_cursors;
        if fails { Err(WireError::Broken("as told".into())) } else { Ok(()) }
    }

    fn fetched(&self) -> usize {
        self.asked.lock().unwrap().fetched.len()
    }
}

#[async_trait]
impl StoreNode for Kept {
    async fn query(&self, query: &StoreQuery, include_data: bool) -> Result<StorePage> {
        self.count(query.cursor.is_some())?;
        let mut found: Vec<_> = self
            .messages
            .iter()
            .filter(|message| query.topics.contains(&message.content_topic))
            .filter(|message| (query.start_ns..=query.end_ns).contains(&time_of(message)))
            .collect();
        found.sort_by_key(|message| (time_of(message), message.payload.clone()));
        let skip = query.cursor.as_ref().map_or(0, |cursor| usize::from(cursor[0]) << 8 | usize::from(cursor[1]));
        let room = (query.limit as usize).saturating_sub(self.intruders.len());
        let page = found.iter().skip(skip).take(room).copied();
        let mut entries: Vec<_> = page.map(|message| self.entry(&query.pubsub_topic, message, include_data)).collect();
        let next = skip + entries.len();
        let cursor = (next < found.len()).then(|| vec![(next >> 8) as u8, next as u8]);
        entries.extend(self.intruders.iter().map(|message| self.entry(&query.pubsub_topic, message, include_data)));
        Ok(StorePage { entries, cursor })
    }

    /// Two in one answer.
    async fn messages(&self, hashes: &[Hash]) -> Result<StorePage> {
        self.count(false)?;
        self.asked.lock().unwrap().fetched.extend(hashes);
        let shard = |message: &WakuMessage| if message.content_topic == "b" { "q" } else { SHARD };
        let named = |message: &&WakuMessage| hashes.contains(&message_hash(shard(message), message));
        let given = |message: &&WakuMessage| self.withheld.as_ref() != Some(*message);
        let found: Vec<_> = self.messages.iter().filter(named).filter(given).collect();
        let entries = found.iter().take(2).map(|message| self.entry(shard(message), message, true)).collect();
        Ok(StorePage { entries, cursor: (found.len() > 2).then(|| vec![1]) })
    }
}

impl StoreNodes for Kept {
    fn store_nodes(&self) -> Vec<Arc<dyn StoreNode>> {
        vec![Arc::new(self.clone())]
    }
}

/// Connected nodes, the preferred one first.
#[derive(Clone)]
pub(super) struct Nodes(pub(super) Vec<Arc<dyn StoreNode>>);

impl StoreNodes for Nodes {
    fn store_nodes(&self) -> Vec<Arc<dyn StoreNode>> {
        self.0.clone()
    }
}

pub(super) fn both(preferred: impl StoreNode + 'static, other: impl StoreNode + 'static) -> Nodes {
    Nodes(vec![Arc::new(preferred), Arc::new(other)])
}

pub(super) fn message(topic: &str, number: usize, ms: i64) -> WakuMessage {
    WakuMessage {
        payload: number.to_be_bytes().to_vec(),
        content_topic: topic.into(),
        // Pairs with the same time.
        timestamp: Some(ms * 1_000_000 + number as i64 / 2),
        ..WakuMessage::default()
    }
}

pub(super) fn pushed<'a>(messages: impl IntoIterator<Item = &'a WakuMessage>) -> Arc<Pushed> {
    let pushed = Pushed::default();
    for message in messages {
        let hash = message_hash(if message.content_topic == "b" { "q" } else { SHARD }, message);
        pushed.add(hash, time_of(message));
        pushed.set_taken(&hash);
    }
    Arc::new(pushed)
}

/// Of topic "a", in pages of 3.
pub(super) async fn all(nodes: impl StoreNodes + Clone, pushed: Option<Arc<Pushed>>) -> Result<Vec<WakuMessage>> {
    in_pages(3, nodes, pushed).try_concat().await
}

/// Of topic "a".
pub(super) fn in_pages(size: u64, nodes: impl StoreNodes + Clone, pushed: Option<Arc<Pushed>>) -> Pages {
    let topics = BTreeMap::from([(SHARD.to_owned(), vec!["a".to_owned()])]);
    history(nodes, topics, 0, 1000, size, pushed)
}

pub(super) fn numbered(count: usize) -> Vec<WakuMessage> {
    (0..count).map(|number| message("a", number, number as i64 + 1)).collect()
}

pub(super) fn of_one_time(count: usize) -> Vec<WakuMessage> {
    numbered(count).into_iter().map(|message| WakuMessage { timestamp: Some(1_000_000), ..message }).collect()
}

#[tokio::test]
async fn f3_what_was_pushed_is_not_fetched_again_though_whole_pages_are_known() {
    let kept = numbered(7);
    for missed in [&[][..], &[6], &[0, 1, 2, 3], &[1, 4], &[0, 1, 2, 3, 4, 5, 6]] {
        let node = Kept::of(&kept);
        let is_missed = |number: &usize| missed.contains(number);
        let taken = pushed((0..7).filter(|number| !is_missed(number)).map(|number| &kept[number]));
        let expected: Vec<_> = missed.iter().map(|&number| kept[number].clone()).collect();
        assert_eq!(all(node.clone(), Some(taken.clone())).await.unwrap(), expected);
        assert_eq!(node.fetched(), missed.len());
        assert_eq!(all(node, None).await.unwrap(), kept);
    }
}

#[tokio::test]
async fn f3_what_the_client_has_not_taken_yet_comes() {
    let kept = numbered(3);
    let pushed = pushed([&kept[0]]);
    pushed.add(message_hash(SHARD, &kept[1]), time_of(&kept[1]));
    assert_eq!(all(Kept::of(&kept), Some(pushed)).await.unwrap(), kept[1..]);
}

#[tokio::test(start_paused = true)]
async fn f4_a_node_that_does_not_give_what_it_names_is_left_for_another_and_alone_fails() {
    let kept = numbered(7);
    let faulty = Kept { withheld: Some(kept[4].clone()), ..Kept::of(&kept) };
    let taken = || Some(pushed([&kept[2]]));
    let expected: Vec<_> = kept.iter().filter(|&message| *message != kept[2]).cloned().collect();
    assert_eq!(all(both(faulty.clone(), Kept::of(&kept)), taken()).await.unwrap(), expected);
    let failure = all(faulty, taken()).await.unwrap_err();
    assert!(failure.to_string().contains("does not give"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn f4_a_node_that_names_something_else_hides_nothing() {
    let kept = numbered(7);
    let late = message("a", 9, 5_000);
    let taken = || Some(pushed([&late]));
    // Known, but beyond the interval: the rest must not be asked for from there on.
    let faulty = Kept { intruders: vec![late.clone()], forgets_cursors: true, ..Kept::of(&kept) };
    assert_eq!(all(faulty, taken()).await.unwrap(), kept);
    let more = Kept { intruders: vec![late.clone(); 4], ..Kept::of(&kept) };
    assert!(all(more, taken()).await.unwrap_err().to_string().contains("more hashes"));
    struct Nameless;
    #[async_trait]
    impl StoreNode for Nameless {
        async fn query(&self, _: &StoreQuery, _: bool) -> Result<StorePage> {
            Ok(StorePage { entries: vec![StoredMessage::default()], cursor: None })
        }
        async fn messages(&self, _: &[Hash]) -> Result<StorePage> {
            Ok(StorePage::default())
        }
    }
    impl StoreNodes for Arc<Nameless> {
        fn store_nodes(&self) -> Vec<Arc<dyn StoreNode>> {
            vec![Arc::<Nameless>::clone(self)]
        }
    }
    assert!(all(Arc::new(Nameless), taken()).await.unwrap_err().to_string().contains("leaves out a hash"));
}

#[tokio::test(start_paused = true)]
async fn f4_a_node_that_forgets_every_cursor_gives_all_by_time_or_an_error_in_the_end() {
    let kept = numbered(7);
    let node = Kept { forgets_cursors: true, ..Kept::of(&kept) };
    assert_eq!(all(node.clone(), None).await.unwrap(), kept);
    assert_eq!(all(node, Some(pushed(&kept[..6]))).await.unwrap(), kept[6..]);
    let same_time = of_one_time(7);
    let node = Kept { forgets_cursors: true, ..Kept::of(&same_time) };
    assert!(all(node.clone(), None).await.is_err());
    assert!(all(node, Some(pushed(&same_time[..6]))).await.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn f3_history_gives_each_message_of_the_interval_once_and_oldest_first(
        times in proptest::collection::vec((0_usize..3, 0_i64..12, any::<bool>()), 0..40),
        page_size in 2_u64..6,
        failing in prop_oneof![Just(0_u32), 5_u32..9],
        start in 0_u64..6,
        length in 0_u64..8,
        missed_only in any::<bool>(),
    ) {
        let topics = ["a", "b", "c"];
        let kept: Vec<_> =
            times.iter().enumerate().map(|(number, &(topic, ms, _))| message(topics[topic], number, ms)).collect();
        let was_pushed = |number: usize| missed_only && times[number].2;
        let pushed = missed_only.then(|| {
            pushed(kept.iter().enumerate().filter(|&(number, _)| was_pushed(number)).map(|(_, message)| message))
        });
        let node = Kept { failing, ..Kept::of(&kept) };
        let wanted = BTreeMap::from([(SHARD.to_owned(), vec!["a".to_owned()]), ("q".to_owned(), vec!["b".to_owned()])]);
        let end = start + length;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let pages: Result<Vec<Vec<WakuMessage>>> =
            runtime.block_on(history(node, wanted, start, end, page_size, pushed).try_collect());
        let found: Vec<WakuMessage> = pages.unwrap().into_iter().flatten().collect();
        prop_assert!(found.is_sorted_by_key(time_of));
        let mut numbers: Vec<_> = found.iter().map(|message| message.payload.clone()).collect();
        numbers.sort();
        let inside = |&(number, message): &(usize, &WakuMessage)| {
            let ms = (time_of(message) / 1_000_000) as u64;
            message.content_topic != "c" && (start..=end).contains(&ms) && !was_pushed(number)
        };
        let expected: Vec<_> =
            kept.iter().enumerate().filter(inside).map(|(_, message)| message.payload.clone()).collect();
        prop_assert_eq!(numbers, expected);
    }
}
