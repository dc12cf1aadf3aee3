//! The Waku network through service nodes: light push, filter and store, or relay and store, over TCP and websockets.

mod history;
#[cfg(test)]
mod history_tests;
mod inbound;
mod node;
mod options;
mod outgoing;
mod peer;
mod pushed;
mod pushes;
mod reports;
mod sessions;
mod sharding;
mod store_page;
mod timestamps;
mod walk;
#[cfg(test)]
mod walk_tests;
mod wire;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use self::history::{StoreNodes, history};
use self::node::Node;
pub use self::options::WakuOptions;
use self::outgoing::Outgoing;
use self::peer::{Peer, Topics};
use self::reports::{Place, Reports};
use self::sessions::Candidate;
use self::sharding::{pubsub_topic, shard_topic};
use self::store_page::StoreNode;
use self::wire::{MessagePush, WakuMessage, WireError};
use crate::abi::{EnvelopeBatch, EnvelopeReceived, Publish, QueryHistory, Subscribe, Transport, TransportEvent};
use crate::error::{Error, ErrorCode, Result};

const LEAVE_GRACE: Duration = Duration::from_millis(500);
const BUSY_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_BUSY_PAUSE: Duration = Duration::from_secs(2);

/// The Waku network through service nodes: light push, filter and store, or relay and store.
///
/// It connects in the background, keeps several nodes, connects again after a break, subscribes again where a node forgot us,
/// and takes history from any node that has it.
pub struct WakuTransport {
    shared: Arc<Shared>,
}

struct Shared {
    options: WakuOptions,
    candidates: Mutex<Vec<Candidate>>,
    peers: Mutex<Vec<Arc<Peer>>>,
    topics: Mutex<Topics>,
    slots: Semaphore,
    outgoing: Outgoing,
    reports: Arc<Reports>,
    started: AtomicBool,
    /// `None` until the node works.
    node: watch::Sender<Option<Node>>,
    online: Mutex<Option<bool>>,
    /// An attempt to connect has ended, so that "offline" is news.
    attempted: AtomicBool,
    /// A peer or a candidate changed.
    changed: Arc<Notify>,
    stopping: CancellationToken,
}

impl WakuTransport {
    /// Fails with `INVALID_ARGUMENT` if an option can never work; the message names it, and what to give.
    pub fn new(options: WakuOptions) -> Result<Self> {
        let candidates = options.check()?;
        let slots = Semaphore::new(options.publish_concurrency.min(Semaphore::MAX_PERMITS));
        let outgoing = Outgoing::new(options.prover.clone());
        let changed = Arc::new(Notify::new());
        Ok(Self {
            shared: Arc::new(Shared {
                options,
                candidates: Mutex::new(candidates),
                peers: Mutex::default(),
                topics: Mutex::default(),
                slots,
                outgoing,
                reports: Arc::new(Reports::new(Arc::clone(&changed))),
                started: AtomicBool::new(false),
                node: watch::Sender::new(None),
                online: Mutex::new(None),
                attempted: AtomicBool::new(false),
                changed,
                stopping: CancellationToken::new(),
            }),
        })
    }
}

impl Drop for WakuTransport {
    fn drop(&mut self) {
        self.shared.stopping.cancel();
    }
}

#[async_trait]
impl Transport for WakuTransport {
    fn start(&self) -> BoxStream<'static, Result<TransportEvent>> {
        if self.shared.started.swap(true, Ordering::SeqCst) || self.shared.stopping.is_cancelled() {
            return stream::once(async { Err(failed("a transport is started once")) }).boxed();
        }
        let reports = self.shared.reports.follow();
        tokio::spawn(sessions::run(Arc::clone(&self.shared)));
        reports
    }

    async fn subscribe(&self, request: Subscribe) -> Result<()> {
        let pubsub_topics = request.topics.into_iter().map(|topic| {
            let pubsub_topic = self.shared.pubsub_topic(&topic)?;
            Ok((topic, pubsub_topic))
        });
        let topics: Topics = Arc::new(pubsub_topics.collect::<Result<_>>()?);
        *lock(&self.shared.topics) = Arc::clone(&topics);
        if let (true, Some(node)) = (self.shared.options.relay, &*self.shared.node.borrow()) {
            node.join(topics.values().cloned().collect());
        }
        let peers = self.shared.open_peers();
        let subscribers = peers.iter().filter(|peer| peer.is_subscriber());
        let syncing = subscribers.map(|peer| {
            peer.choose(Arc::clone(&topics));
            peer.sync()
        });
        futures::future::join_all(syncing).await;
        self.shared.changed.notify_one();
        Ok(())
    }

    async fn publish(&self, request: Publish) -> Result<()> {
        tokio::select! {
            () = self.shared.stopping.cancelled() => Err(stopped()),
            published = self.shared.publish(request) => published,
        }
    }

    fn query_history(&self, request: QueryHistory) -> BoxStream<'static, Result<EnvelopeBatch>> {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for topic in request.topics.into_iter().collect::<HashSet<_>>() {
            match self.shared.pubsub_topic(&topic) {
                Ok(pubsub_topic) => groups.entry(pubsub_topic).or_default().push(topic),
                Err(error) => return stream::once(async { Err(error) }).boxed(),
            }
        }
        let nodes = ConnectedNodes(Arc::downgrade(&self.shared));
        let page_size = self.shared.options.history_page_size.into();
        let pushed = request.missed_only.then(|| Arc::clone(&self.shared.reports.pushed));
        let pages = history(nodes, groups, request.start_ms, request.end_ms, page_size, pushed);
        let stopping = self.shared.stopping.clone();
        pages
            .map(|page| match page {
                Ok(messages) => Ok(EnvelopeBatch { envelopes: messages.into_iter().map(envelope).collect() }),
                Err(error) => Err(failed(format!("no store node answers: {error}")).retryable().caused_by(error)),
            })
            .take_until(async move { stopping.cancelled().await })
            .boxed()
    }

    async fn stop(&self) -> Result<()> {
        self.shared.stopping.cancel();
        self.shared.reports.close();
        let peers = std::mem::take(&mut *lock(&self.shared.peers));
        futures::future::join_all(peers.iter().map(|peer| peer.leave(LEAVE_GRACE))).await;
        self.shared.node.send_replace(None);
        Ok(())
    }
}

impl Shared {
    fn open_peers(&self) -> Vec<Arc<Peer>> {
        lock(&self.peers).iter().filter(|peer| peer.is_open()).cloned().collect()
    }

    fn pubsub_topic(&self, content_topic: &str) -> Result<String> {
        pubsub_topic(content_topic, self.options.cluster_id, self.options.shard_count)
    }

    async fn publish(&self, request: Publish) -> Result<()> {
        let pubsub_topic = self.pubsub_topic(&request.topic)?;
        let _slot = self.slots.acquire().await.map_err(|_| stopped())?;
        let message = self.outgoing.message(request).await?;
        let limit = self.options.publish_timeout;
        let late = |_| failed(format!("no node took the message within {} ms", limit.as_millis())).retryable();
        tokio::time::timeout(limit, self.push(&pubsub_topic, &message)).await.map_err(late)?
    }

    async fn push(&self, pubsub_topic: &str, message: &WakuMessage) -> Result<()> {
        for attempt in 0.. {
            let mut failures = Vec::new();
            for peer in self.open_peers().iter().filter(|peer| peer.can_push) {
                match self.push_to(peer, pubsub_topic, message).await {
                    Ok(()) => return Ok(()),
                    Err(error) => failures.push(error),
                }
                if self.options.relay {
                    // One call reaches all relay peers.
                    break;
                }
            }
            if !failures.iter().any(WireError::is_busy) {
                let refused = failures.iter().any(WireError::is_status) && failures.iter().all(WireError::is_final);
                return Err(untaken(failures.into_iter().next(), !refused));
            }
            tokio::time::sleep(backoff(attempt, BUSY_PAUSE, LONGEST_BUSY_PAUSE)).await;
        }
        Ok(())
    }

    async fn push_to(&self, peer: &Peer, pubsub_topic: &str, message: &WakuMessage) -> Result<(), WireError> {
        if !self.options.relay {
            return peer.push(pubsub_topic, message.clone()).await;
        }
        let node = self.node.borrow().clone();
        match node {
            Some(node) => node.relay(pubsub_topic, message).await,
            None => Err(WireError::Broken("the node does not work yet".into())),
        }
    }

    fn wants_push(&self, push: &MessagePush) -> bool {
        let parts = push.pubsub_topic.as_ref().zip(push.message.as_ref());
        parts.is_some_and(|(pubsub_topic, message)| self.wants(pubsub_topic, message))
    }

    /// Takes a message that a node pushed, unless it is not wanted any more.
    fn receive_pushed(&self, push: MessagePush, place: Place) {
        if let (true, Some(pubsub_topic), Some(message)) = (self.wants_push(&push), push.pubsub_topic, push.message) {
            self.reports.envelope(&pubsub_topic, message, place);
        }
    }

    /// Takes a message that came by relay, if there is room for it.
    fn receive_relayed(&self, pubsub_topic: &str, message: WakuMessage) {
        if self.wants(pubsub_topic, &message)
            && let Some(place) = self.reports.place_now()
        {
            self.reports.envelope(pubsub_topic, message, place);
        }
    }

    fn wants(&self, pubsub_topic: &str, message: &WakuMessage) -> bool {
        lock(&self.topics).get(&message.content_topic).is_some_and(|topic| topic == pubsub_topic)
    }

    fn set_online(&self, online: bool) {
        let mut known = lock(&self.online);
        let news = *known != Some(online) && (online || self.attempted.load(Ordering::SeqCst));
        if news {
            *known = Some(online);
            self.attempted.store(true, Ordering::SeqCst);
            self.reports.connection(online);
        }
    }
}

#[derive(Clone)]
struct ConnectedNodes(Weak<Shared>);

impl StoreNodes for ConnectedNodes {
    fn store_nodes(&self) -> Vec<Arc<dyn StoreNode>> {
        let peers = self.0.upgrade().map(|shared| shared.open_peers()).unwrap_or_default();
        peers.into_iter().filter(|peer| peer.can_store).map(|peer| peer as Arc<dyn StoreNode>).collect()
    }
}

fn envelope(message: WakuMessage) -> EnvelopeReceived {
    EnvelopeReceived { topic: message.content_topic, payload: message.payload }
}

fn untaken(first: Option<WireError>, retryable: bool) -> Error {
    let error = match first {
        None => failed("no node is connected"),
        Some(cause) => failed(format!("no node took the message: {cause}")).caused_by(cause),
    };
    if retryable { error.retryable() } else { error }
}

fn stopped() -> Error {
    failed("the transport was stopped")
}

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::TransportFailed, message)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Exponential, with jitter: between half of and the full `first * 2^attempt`, at most `longest`.
fn backoff(attempt: u32, first: Duration, longest: Duration) -> Duration {
    let full = first.saturating_mul(1 << attempt.min(20)).min(longest);
    let jitter = crate::entropy::random::<2>().map_or(0, u16::from_be_bytes);
    full / 2 + full.mul_f64(f64::from(jitter) / f64::from(u16::MAX)) / 2
}
