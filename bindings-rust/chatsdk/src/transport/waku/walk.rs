//! One shard's history, page by page, going on at another node where one fails.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::backoff;
use super::history::StoreNodes;
use super::pushed::Pushed;
use super::sharding::Hash;
use super::store_page::{Entry, Result, StoreNode, read_page};
use super::wire::{StoreQuery, WakuMessage, WireError};

/// How many times all nodes are tried without anything new, and the first pause between.
const ROUNDS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Messages out of place that a node may give in a row. A node as it should be has some, too: what has no timestamp is filed under
/// its time of arrival.
pub(super) const MAX_STRAYS: usize = 10_000;

pub(super) struct Walk<Nodes> {
    nodes: Nodes,
    query: StoreQuery,
    /// Left out.
    pushed: Option<Arc<Pushed>>,
    node: Option<Arc<dyn StoreNode>>,
    // Where to resume at another node, which may not know this one's cursor: from the newest timestamp seen, leaving out what
    // was given with it. The cursor alone would repeat messages, the timestamp alone skip those of equal time.
    newest: i64,
    at_newest: HashSet<Hash>,
    /// By this node, since a page of its own with something newer. What other nodes gave does not count: the node has to pass it.
    given: HashSet<Hash>,
    strays: usize,
    /// Nodes that failed in this round, since anything was new.
    left: Vec<Arc<dyn StoreNode>>,
    round: u32,
    failure: WireError,
    ended: bool,
}

/// What a page brings.
struct Selected {
    /// Of what is wanted.
    fresh: Vec<WakuMessage>,
    /// The node gave something that it had not given yet: it does not go in circles.
    goes_on: bool,
}

impl<Nodes: StoreNodes> Walk<Nodes> {
    pub(super) fn new(nodes: Nodes, query: StoreQuery, pushed: Option<Arc<Pushed>>) -> Self {
        Self {
            nodes,
            newest: query.start_ns,
            query,
            pushed,
            node: None,
            at_newest: HashSet::new(),
            given: HashSet::new(),
            strays: 0,
            left: Vec::new(),
            round: 0,
            failure: WireError::Broken("no store node is connected".into()),
            ended: false,
        }
    }

    /// The next page with something new.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<WakuMessage>>> {
        while !self.ended {
            let node = match self.node.take() {
                Some(node) => node,
                None => self.begin().await?,
            };
            let page = match read_page(&*node, &self.query, self.pushed.as_deref()).await {
                Ok(page) => page,
                Err(error) => {
                    self.leave(node, error);
                    continue;
                }
            };
            self.ended = page.cursor.is_none() || page.entries.is_empty();
            self.query.cursor = page.cursor;
            let Selected { fresh, goes_on } = self.select(page.entries);
            if goes_on {
                self.node = Some(node);
            } else {
                self.leave(node, WireError::Broken("the node gives pages without end and nothing new in them".into()));
            }
            if !fresh.is_empty() {
                return Ok(Some(fresh));
            }
        }
        Ok(None)
    }

    /// The next node, to be asked from the newest timestamp on. Fails if all failed in all rounds.
    async fn begin(&mut self) -> Result<Arc<dyn StoreNode>> {
        loop {
            let nodes = self.nodes.store_nodes();
            let is_left = |node: &Arc<dyn StoreNode>| self.left.iter().any(|left| Arc::ptr_eq(left, node));
            // Nodes that come and go make a round no longer.
            if self.left.len() < nodes.len()
                && let Some(node) = nodes.into_iter().find(|node| !is_left(node))
            {
                self.query.start_ns = self.newest;
                self.query.cursor = None;
                self.given.clear();
                self.strays = 0;
                return Ok(node);
            }
            self.round += 1;
            if self.round == ROUNDS {
                return Err(self.failure.clone());
            }
            self.left.clear();
            tokio::time::sleep(backoff(self.round, PAUSE, LONGEST_PAUSE)).await;
        }
    }

    fn leave(&mut self, node: Arc<dyn StoreNode>, why: WireError) {
        self.left.push(node);
        self.failure = why;
    }

    /// Takes a page, oldest first.
    fn select(&mut self, entries: Vec<Entry>) -> Selected {
        let before = self.newest;
        if entries.iter().any(|entry| self.wants(entry) && entry.time > before) {
            self.given.clear();
            self.strays = 0;
        }
        let mut fresh = Vec::new();
        let mut goes_on = false;
        for entry in entries {
            if !self.given.insert(entry.hash) {
                continue;
            }
            goes_on = true;
            let wanted = self.wants(&entry);
            if wanted && entry.time >= self.newest {
                if !self.is_new(&entry) {
                    continue;
                }
                self.round = 0;
                self.left.clear();
            } else {
                self.strays += 1;
            }
            fresh.extend(entry.message.filter(|_| wanted));
        }
        Selected { fresh, goes_on: goes_on && self.strays <= MAX_STRAYS }
    }

    /// The node was asked for it.
    fn wants(&self, entry: &Entry) -> bool {
        let of_topic = entry.message.as_ref().is_none_or(|message| self.query.topics.contains(&message.content_topic));
        of_topic && (self.query.start_ns..self.query.end_ns).contains(&entry.time)
    }

    /// Neither yielded nor left out before. Of those at the newest timestamp, or newer.
    fn is_new(&mut self, entry: &Entry) -> bool {
        if entry.time > self.newest {
            self.newest = entry.time;
            self.at_newest.clear();
        }
        self.at_newest.insert(entry.hash)
    }
}
