//! History goes on where nodes fail, and ends where they do not let it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};

use super::history::StoreNodes;
use super::history_tests::{Kept, Nodes, SHARD, all, both, in_pages, message, numbered, of_one_time, pushed};
use super::sharding::{Hash, message_hash};
use super::store_page::{Result, StoreNode};
use super::walk::MAX_STRAYS;
use super::wire::{StorePage, StoreQuery, StoredMessage, WakuMessage, WireError};

type MakePage = dyn Fn(usize) -> Vec<WakuMessage> + Send + Sync;

/// Pages as told, whatever is asked.
#[derive(Clone)]
struct Told {
    page: Arc<MakePage>,
    /// There is always one more.
    endless: bool,
    /// Pages from there on are not given.
    fails_at: usize,
    last: Arc<Mutex<Vec<WakuMessage>>>,
    asked: Arc<AtomicUsize>,
}

impl Told {
    fn new(endless: bool, page: impl Fn(usize) -> Vec<WakuMessage> + Send + Sync + 'static) -> Self {
        Self { page: Arc::new(page), endless, fails_at: usize::MAX, last: Arc::default(), asked: Arc::default() }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl StoreNodes for Told {
    fn store_nodes(&self) -> Vec<Arc<dyn StoreNode>> {
        vec![Arc::new(self.clone())]
    }
}

#[async_trait]
impl StoreNode for Told {
    async fn query(&self, query: &StoreQuery, include_data: bool) -> Result<StorePage> {
        assert!(self.asked.fetch_add(1, Ordering::SeqCst) < 100_000, "the node is asked for ever");
        let number = query.cursor.as_ref().map_or(0, |cursor| usize::from_be_bytes(cursor[..].try_into().unwrap()));
        if number >= self.fails_at {
            return Err(WireError::Broken("as told".into()));
        }
        let messages = (self.page)(number);
        let entry = |message: &WakuMessage| StoredMessage {
            hash: Some(message_hash(SHARD, message).to_vec()),
            message: include_data.then(|| message.clone()),
        };
        let entries = messages.iter().map(entry).collect();
        let more = self.endless || !(self.page)(number + 1).is_empty();
        *self.last.lock().unwrap() = messages;
        Ok(StorePage { entries, cursor: more.then(|| (number + 1).to_be_bytes().to_vec()) })
    }

    async fn messages(&self, hashes: &[Hash]) -> Result<StorePage> {
        let last = self.last.lock().unwrap().clone();
        let entries = last.into_iter().map(|message| StoredMessage {
            hash: Some(message_hash(SHARD, &message).to_vec()),
            message: Some(message),
        });
        let entries = entries.filter(|entry| hashes.iter().any(|hash| entry.hash.as_deref() == Some(hash))).collect();
        Ok(StorePage { entries, cursor: None })
    }
}

#[tokio::test(start_paused = true)]
async fn f4_a_node_that_goes_in_circles_is_left_for_another_and_alone_fails() {
    let kept = numbered(7);
    let stray = WakuMessage { timestamp: None, ..kept[0].clone() };
    let foreign = message("c", 9, 5);
    for circle in [
        vec![vec![kept[0].clone()]],
        vec![kept[..2].to_vec()],
        vec![of_one_time(3)],
        vec![kept[..3].to_vec(), kept[2..5].to_vec(), kept[1..4].to_vec()],
        vec![vec![kept[1].clone(), kept[0].clone()], vec![kept[1].clone(), kept[0].clone()], kept[2..4].to_vec()],
        vec![vec![stray], vec![foreign.clone()]],
        vec![vec![message("a", 9, 5_000), foreign]],
    ] {
        for missed_only in [None, Some(0), Some(1), Some(7)] {
            let taken = || missed_only.map(|count| pushed(&kept[..count]));
            let pages = circle.clone();
            let faulty = Told::new(true, move |number| pages[number % pages.len()].clone());
            let mut alone = in_pages(3, faulty.clone(), taken());
            let mut given = 0;
            let failure = loop {
                match alone.next().await.expect("it has an error at its end") {
                    Ok(page) => given += page.len(),
                    Err(error) => break error,
                }
            };
            assert!(failure.to_string().contains("nothing new"), "{failure}");
            let messages: usize = circle.iter().map(Vec::len).sum();
            assert!(given <= 2 * messages && faulty.asked() <= 20, "{given} of {circle:?}, asked {}", faulty.asked());
            if circle.concat().iter().all(|message| !kept.contains(message)) {
                continue;
            }
            // What the circle holds is not all: the other one has the rest.
            let asked = faulty.asked();
            let found = all(both(faulty.clone(), Kept::of(&kept)), taken()).await.unwrap();
            let found: HashSet<_> = found.into_iter().map(|message| message.payload).collect();
            let expected = kept[missed_only.unwrap_or(0)..].iter().map(|message| message.payload.clone()).collect();
            assert!(found.is_superset(&expected), "{circle:?}");
            assert!(faulty.asked() - asked <= 2 * circle.len() + 1, "{circle:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f4_a_node_that_makes_up_what_nobody_asked_for_is_left_though_it_never_repeats_itself() {
    let made_up = |number: usize| {
        let made = (0..100).map(|place| message("c", 100 * number + place, 5));
        made.map(|message| WakuMessage { timestamp: None, ..message }).collect()
    };
    for taken in [None, Some(pushed([]))] {
        let faulty = Told::new(true, made_up);
        let failure = in_pages(100, faulty.clone(), taken).try_concat().await.unwrap_err();
        assert!(failure.to_string().contains("nothing new"), "{failure}");
        assert_eq!(faulty.asked(), 4 * (MAX_STRAYS / 100 + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn f4_messages_out_of_place_are_passed() {
    // Pages of nothing else between those that are wanted, as at a node that files what has no timestamp by its arrival.
    let kept = numbered(4);
    let wanted = kept.clone();
    let page = move |number: usize| match number {
        0 | 60 => wanted[number / 30..][..2].to_vec(),
        1..60 => vec![WakuMessage { timestamp: None, ..message("a", 100 + number, 1) }],
        _ => Vec::new(),
    };
    for taken in [None, Some(pushed([]))] {
        let found = all(Told::new(false, page.clone()), taken).await.unwrap();
        let found: Vec<_> = found.into_iter().filter(|message| message.timestamp.is_some()).collect();
        assert_eq!(found, kept);
    }
}

#[tokio::test(start_paused = true)]
async fn f4_thousands_of_messages_of_one_time_come_also_if_a_node_fails_in_the_middle() {
    let kept = of_one_time(3_000);
    for missed in [None, Some(0), Some(1_000), Some(2_999)] {
        let taken = || missed.map(|from| pushed(&kept[..from]));
        let expected = &kept[missed.unwrap_or(0)..];
        let pages = kept.clone();
        let node = Told::new(false, move |number| pages.chunks(25).nth(number).unwrap_or_default().to_vec());
        let failing = Told { fails_at: 70, ..node.clone() };
        for nodes in [Nodes(vec![Arc::new(node.clone())]), both(failing, node)] {
            assert_eq!(in_pages(25, nodes, taken()).try_concat().await.unwrap(), expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f4_after_a_failure_on_a_later_page_the_next_node_is_asked() {
    let kept = of_one_time(7);
    for missed in [None, Some(0), Some(1)] {
        let pages = kept.clone();
        let node = Told::new(false, move |number| pages.chunks(3).nth(number).unwrap_or_default().to_vec());
        let first_page_only = Told { fails_at: 1, ..node };
        let taken = missed.map(|from| pushed(&kept[..from]));
        let found = all(both(first_page_only.clone(), Kept::of(&kept)), taken).await.unwrap();
        assert_eq!(found, kept[missed.unwrap_or(0)..]);
        assert_eq!(first_page_only.asked(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn f4_nodes_that_come_anew_after_each_failure_do_not_prolong_the_query() {
    /// Each time another node, with the same faults.
    #[derive(Clone)]
    struct Anew(Told);
    impl StoreNodes for Anew {
        fn store_nodes(&self) -> Vec<Arc<dyn StoreNode>> {
            vec![Arc::new(self.0.clone()), Arc::new(self.0.clone())]
        }
    }
    let node = Told { fails_at: 0, ..Told::new(false, |_| Vec::new()) };
    assert!(all(Anew(node.clone()), None).await.is_err());
    assert_eq!(node.asked(), 8);
}
