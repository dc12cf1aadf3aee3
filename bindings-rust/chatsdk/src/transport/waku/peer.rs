//! One connected service node: what it can do, its filter subscription, and the watchdog that notices when either is gone.
//!
//! The watchdog sends a filter ping at each interval in which the node has pushed nothing. No answer: the connection is dead (a
//! paused node, a pulled cable, a laptop that slept; TCP alone takes minutes to tell), and is dropped. "No subscription": the
//! node forgot us, which nothing else tells; the transport sees the peer unsubscribed, then subscribed again, so the client
//! looks for what it missed.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::node::{Connected, Node};
use super::pushes::Pushes;
use super::sharding::Hash;
use super::store_page::StoreNode;
use super::wire::{
    FILTER_SUBSCRIBE, FilterAction, LIGHT_PUSH, METADATA, RELAY, STORE, StorePage, StoreQuery, WakuMessage, Wire,
    WireError,
};

/// go-waku and nwaku refuse more in one request.
const TOPICS_PER_REQUEST: usize = 100;
/// A page of history may be megabytes on a slow line.
const STORE_PATIENCE: u32 = 3;
/// go-waku's default is one filter request a second for each peer.
const BUSY_RETRIES: u32 = 3;
const BUSY_PAUSE: Duration = Duration::from_millis(1_100);
/// Of so many intervals, a node is pinged in one, also if it pushes in all.
const MAX_UNCHECKED: u32 = 7;
/// After a refusal the node is not asked to subscribe us for this long.
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);

type Result<T> = std::result::Result<T, WireError>;

/// What a peer is to be subscribed to: content topic and pubsub topic.
pub(super) type Topics = Arc<BTreeMap<String, String>>;

#[derive(Clone, Copy)]
pub(super) struct PeerSettings {
    pub(super) cluster_id: u32,
    pub(super) request_timeout: Duration,
    pub(super) watchdog_interval: Duration,
    /// Messages go by relay rather than light push and filter.
    pub(super) relay: bool,
}

/// A connected service node.
pub(super) struct Peer {
    pub(super) id: PeerId,
    connection: ConnectionId,
    pub(super) can_push: bool,
    pub(super) can_store: bool,
    pub(super) pushes: Pushes,
    has_filter: bool,
    wire: Wire,
    node: Node,
    settings: PeerSettings,
    closed: CancellationToken,
    /// Has the watchdog look now.
    alarm: Notify,
    heard: AtomicBool,
    state: Mutex<State>,
    /// Subscription changes and checks take turns.
    turn: tokio::sync::Mutex<()>,
    /// Something changed that the transport should know.
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    subscribed: HashMap<String, String>,
    wanted: Option<Topics>,
    synced: bool,
    refused_at: Option<Instant>,
}

impl Peer {
    /// Fails if the node is of another cluster or offers nothing we need.
    pub(super) async fn open(
        node: &Node,
        connected: Connected,
        settings: PeerSettings,
        changed: Arc<Notify>,
    ) -> Result<Arc<Self>> {
        let Connected { id: connection, peer: id, protocols, closed } = connected;
        let offers = |protocol: &str| protocols.iter().any(|offered| offered == protocol);
        let wire = Wire::new(node.control(), id);
        let [light_push, store] = [LIGHT_PUSH, STORE];
        let peer = Self {
            id,
            connection,
            can_push: offers(if settings.relay { RELAY } else { light_push.as_ref() }),
            can_store: offers(store.as_ref()),
            pushes: Pushes::new(),
            has_filter: !settings.relay && offers(FILTER_SUBSCRIBE.as_ref()),
            wire,
            node: node.clone(),
            settings,
            closed,
            alarm: Notify::new(),
            heard: AtomicBool::new(false),
            state: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
            changed,
        };
        if offers(METADATA.as_ref()) {
            let cluster = peer.timed("metadata", 1, peer.wire.ask_cluster(settings.cluster_id)).await?;
            if let Some(other) = cluster.filter(|&cluster| cluster != 0 && cluster != settings.cluster_id) {
                let message = format!("the node serves cluster {other}, not {}", settings.cluster_id);
                return Err(WireError::Broken(message));
            }
        }
        if !peer.can_push && !peer.has_filter && !peer.can_store {
            return Err(WireError::Broken("the node offers none of the protocols that are needed".into()));
        }
        Ok(Arc::new(peer))
    }

    pub(super) fn is_on(&self, connection: ConnectionId) -> bool {
        self.connection == connection
    }

    pub(super) fn is_open(&self) -> bool {
        !self.closed.is_cancelled()
    }

    /// Offers to push messages, and has not refused to just now.
    pub(super) fn can_filter(&self) -> bool {
        self.has_filter && self.lock().refused_at.is_none_or(|at| at.elapsed() > REFUSAL_PAUSE)
    }

    /// Chosen to be subscribed.
    pub(super) fn is_subscriber(&self) -> bool {
        self.lock().wanted.is_some()
    }

    /// Subscribed to all that was asked for last.
    pub(super) fn is_subscribed(&self) -> bool {
        let state = self.lock();
        self.is_open() && state.wanted.is_some() && state.synced
    }

    /// Chooses the peer to be a subscriber of exactly these topics; `sync` then makes it one.
    pub(super) fn choose(&self, topics: Topics) {
        self.lock().wanted = Some(topics);
    }

    /// Brings the node's view of our subscription to what is wanted.
    pub(super) async fn sync(&self) {
        self.in_turn(async {
            let wanted = self.lock().wanted.clone();
            if let Some(wanted) = wanted { self.sync_to(&wanted).await } else { Ok(()) }
        })
        .await;
    }

    pub(super) async fn push(&self, pubsub_topic: &str, message: WakuMessage) -> Result<()> {
        self.request("publish", 1, self.wire.light_push(pubsub_topic, message)).await
    }

    /// Runs the watchdog until the connection is gone, one way or the other.
    pub(super) async fn watch(&self) {
        let mut unchecked = 0;
        while self.is_open() {
            let suspected = tokio::select! {
                () = self.closed.cancelled() => break,
                () = self.alarm.notified() => true,
                () = tokio::time::sleep(self.settings.watchdog_interval) => false,
            };
            let alive = self.heard.swap(false, Ordering::Relaxed) && !suspected;
            unchecked += 1;
            if !alive || unchecked == MAX_UNCHECKED {
                unchecked = 0;
                self.in_turn(self.check()).await;
            }
            // Also lets a node that refused to subscribe us be asked again.
            self.changed.notify_one();
        }
    }

    /// The node pushed a message that we are subscribed to: proof of connection and subscription.
    pub(super) fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Drops the connection at once.
    pub(super) fn drop_connection(&self, reason: &WireError) {
        if self.is_open() {
            tracing::debug!("peer {}: {reason}", self.id);
            self.closed.cancel();
            self.node.close(self.connection);
            self.changed.notify_one();
        }
    }

    /// Takes leave: frees the subscription, which a node keeps for minutes after its client is gone, and closes.
    pub(super) async fn leave(&self, grace: Duration) {
        let subscribed = !self.lock().subscribed.is_empty();
        if self.is_open() && subscribed {
            let leaving = self.wire.filter(FilterAction::UnsubscribeAll, None, &[]);
            // It was a courtesy.
            drop(tokio::time::timeout(grace, leaving).await);
        }
        self.drop_connection(&WireError::Broken("stopped".into()));
    }

    async fn check(&self) -> Result<()> {
        let probed = match self.probe().await {
            // A stream that was reset says little; the next one decides.
            Err(WireError::Broken(_)) if self.is_open() => self.probe().await,
            probed => probed,
        };
        let Err(error) = probed else { return Ok(()) };
        if !error.is_status() {
            return Err(error);
        }
        let forgotten = error.code() == Some(404) && !self.lock().subscribed.is_empty();
        if forgotten {
            self.lock().subscribed.clear();
            self.set_synced(false);
            let wanted = self.lock().wanted.clone();
            if let Some(wanted) = wanted {
                self.sync_to(&wanted).await?;
            }
        }
        Ok(())
    }

    async fn probe(&self) -> Result<()> {
        if self.has_filter {
            self.timed("filter ping", 1, self.wire.filter(FilterAction::Ping, None, &[])).await
        } else {
            self.timed("metadata", 1, self.wire.ask_cluster(self.settings.cluster_id)).await.map(drop)
        }
    }

    /// Runs the task after those before it. A refusal by the node ends the subscription, any other error the connection.
    async fn in_turn(&self, task: impl Future<Output = Result<()>>) {
        let _turn = self.turn.lock().await;
        if !self.is_open() {
            return;
        }
        match task.await {
            Ok(()) => {}
            Err(error) if error.is_status() => self.refused(),
            Err(error) => self.drop_connection(&error),
        }
    }

    async fn sync_to(&self, wanted: &Topics) -> Result<()> {
        let subscribed = self.lock().subscribed.clone();
        let missing = wanted.iter().filter(|(topic, _)| !subscribed.contains_key(*topic));
        for (pubsub_topic, topics) in requests(missing) {
            self.filter(FilterAction::Subscribe, &pubsub_topic, &topics).await?;
            let added = topics.into_iter().map(|topic| (topic, pubsub_topic.clone()));
            self.lock().subscribed.extend(added);
        }
        let superfluous = subscribed.iter().filter(|(topic, _)| !wanted.contains_key(*topic));
        for (pubsub_topic, topics) in requests(superfluous) {
            self.filter(FilterAction::Unsubscribe, &pubsub_topic, &topics).await?;
            self.lock().subscribed.retain(|topic, _| !topics.contains(topic));
        }
        self.set_synced(true);
        Ok(())
    }

    /// The node is alive but does not want us as a subscriber: another one may, and this one still pushes and stores.
    fn refused(&self) {
        let mut state = self.lock();
        state.refused_at = Some(Instant::now());
        state.wanted = None;
        drop(state);
        self.set_synced(false);
    }

    async fn filter(&self, action: FilterAction, pubsub_topic: &str, topics: &[String]) -> Result<()> {
        let mut attempt = 0;
        loop {
            let asked = self.timed("filter", 1, self.wire.filter(action, Some(pubsub_topic), topics)).await;
            match asked {
                Err(error) if action == FilterAction::Unsubscribe && error.code() == Some(404) => return Ok(()),
                Err(error) if error.is_busy() && attempt < BUSY_RETRIES => {
                    attempt += 1;
                    self.unless_closed(tokio::time::sleep(BUSY_PAUSE * attempt)).await?;
                }
                asked => return asked,
            }
        }
    }

    fn set_synced(&self, synced: bool) {
        self.lock().synced = synced;
        self.changed.notify_one();
    }

    async fn timed<T>(&self, what: &'static str, patience: u32, task: impl Future<Output = Result<T>>) -> Result<T> {
        let after = self.settings.request_timeout * patience;
        let limited = tokio::time::timeout(after, task);
        self.unless_closed(limited).await?.map_err(|_| WireError::Deadline { what, after })?
    }

    /// A request of the client. If it fails without an answer, the watchdog looks at once.
    async fn request<T>(&self, what: &'static str, patience: u32, task: impl Future<Output = Result<T>>) -> Result<T> {
        let result = self.timed(what, patience, task).await;
        if result.as_ref().is_err_and(|error| !error.is_status()) {
            self.alarm.notify_one();
        }
        result
    }

    async fn unless_closed<T>(&self, task: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            () = self.closed.cancelled() => Err(WireError::Broken("the connection was closed".into())),
            done = task => Ok(done),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StoreNode for Peer {
    async fn query(&self, query: &StoreQuery, include_data: bool) -> Result<StorePage> {
        self.request("store query", STORE_PATIENCE, self.wire.query(query, include_data)).await
    }

    async fn messages(&self, hashes: &[Hash]) -> Result<StorePage> {
        self.request("store query", STORE_PATIENCE, self.wire.messages(hashes)).await
    }
}

/// Requests of one pubsub topic and a size nodes accept.
fn requests<'a>(topics: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<(String, Vec<String>)> {
    let mut by_pubsub_topic: BTreeMap<&String, Vec<String>> = BTreeMap::new();
    for (topic, pubsub_topic) in topics {
        by_pubsub_topic.entry(pubsub_topic).or_default().push(topic.clone());
    }
    let groups = by_pubsub_topic.into_iter();
    groups
        .flat_map(|(pubsub_topic, topics)| {
            let chunks: Vec<_> = topics.chunks(TOPICS_PER_REQUEST).map(<[String]>::to_vec).collect();
            chunks.into_iter().map(move |chunk| (pubsub_topic.clone(), chunk))
        })
        .collect()
}
