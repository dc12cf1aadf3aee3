//! Keeps some of the known nodes connected, and some of these subscribed.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;

use super::node::{Heard, Node};
use super::peer::{Peer, PeerSettings};
use super::wire::{MessagePush, WireError};
use super::{Shared, backoff, lock, shard_topic};

const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Not connected by then is reported as being offline, even if an attempt is still under way.
const FIRST_REPORT: Duration = Duration::from_secs(3);

/// A service node we know of.
pub(super) struct Candidate {
    pub(super) peer: Option<PeerId>,
    pub(super) addresses: Vec<Multiaddr>,
    busy: bool,
    failures: u32,
    next_attempt: Instant,
}

impl Candidate {
    pub(super) fn new(peer: Option<PeerId>, address: Multiaddr) -> Self {
        Self { peer, addresses: vec![address], busy: false, failures: 0, next_attempt: Instant::now() }
    }
}

/// Works until the transport is stopped.
pub(super) async fn run(shared: Arc<Shared>) {
    let stopping = shared.stopping.clone();
    tokio::select! {
        () = stopping.cancelled() => {}
        () = connect_and_keep(&shared) => {}
    }
}

async fn connect_and_keep(shared: &Arc<Shared>) {
    let options = &shared.options;
    let shards = if options.relay { (0..options.shard_count).collect() } else { Vec::new() };
    let (node, heard) = match Node::start(options.cluster_id, shards, options.relay).await {
        Ok(started) => started,
        Err(error) => {
            tracing::warn!("transport: the libp2p node cannot be started: {error}");
            shared.attempted.store(true, Ordering::SeqCst);
            return shared.set_online(false);
        }
    };
    if options.relay {
        let topics = Arc::clone(&lock(&shared.topics));
        node.join(topics.values().cloned().collect());
    }
    shared.node.send_replace(Some(node.clone()));
    tokio::join!(
        listen(shared, heard),
        connect(shared, &node),
        keep_subscribed(shared, &node),
        report_offline_first(shared)
    );
}

async fn report_offline_first(shared: &Shared) {
    tokio::time::sleep(FIRST_REPORT).await;
    report_offline(shared);
}

fn report_offline(shared: &Shared) {
    shared.attempted.store(true, Ordering::SeqCst);
    shared.changed.notify_one();
}

async fn listen(shared: &Arc<Shared>, mut heard: mpsc::UnboundedReceiver<Heard>) {
    while let Some(heard) = heard.recv().await {
        match heard {
            Heard::Push((connection, stream)) => {
                take_pushes(shared, connection, stream);
            }
            Heard::Relayed { pubsub_topic, message } => shared.receive_relayed(&pubsub_topic, message),
            Heard::RelayPeersChanged => shared.changed.notify_one(),
        }
    }
}

/// Only from nodes that we subscribed at.
fn take_pushes(shared: &Arc<Shared>, connection: ConnectionId, stream: libp2p::Stream) {
    let peer = lock(&shared.peers).iter().find(|peer| peer.is_on(connection)).cloned();
    let Some(peer) = peer.filter(|peer| peer.is_subscriber()) else { return };
    let Some(admitted) = peer.pushes.admit() else { return shared.reports.refuse() };
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let wanted = |push: &MessagePush| {
            let wanted = peer.is_subscriber() && shared.wants_push(push);
            if wanted {
                peer.heard();
            }
            wanted
        };
        if let Err(error) = peer.pushes.read(stream, &shared.reports, wanted).await {
            tracing::debug!("push: {error}");
        }
        drop(admitted);
    });
}

/// Gives the client what a node pushes, as there is room. One at a time: no node stands in line for more than one place.
async fn hand_over(shared: &Shared, peer: &Peer) {
    loop {
        let (push, share) = peer.pushes.next().await;
        // The transport has stopped, if there is none.
        let Some(place) = shared.reports.place().await else { return };
        shared.receive_pushed(push, place.keeping(share));
    }
}

/// Starts sessions with idle candidates until enough are under way; the one that waited longest goes first.
async fn connect(shared: &Arc<Shared>, node: &Node) {
    let freed = Arc::new(tokio::sync::Notify::new());
    loop {
        let wait = start_sessions(shared, node, &freed);
        tokio::select! {
            () = freed.notified() => {}
            () = tokio::time::sleep(wait.unwrap_or(Duration::from_secs(3600))) => {}
        }
    }
}

/// Gives how long to wait for the next.
fn start_sessions(shared: &Arc<Shared>, node: &Node, freed: &Arc<tokio::sync::Notify>) -> Option<Duration> {
    let mut candidates = lock(&shared.candidates);
    let busy = candidates.iter().filter(|candidate| candidate.busy).count();
    let mut idle: Vec<usize> = (0..candidates.len()).filter(|&place| !candidates[place].busy).collect();
    idle.sort_by_key(|&place| candidates[place].next_attempt);
    for place in idle.into_iter().take(shared.options.max_peers.saturating_sub(busy)) {
        let candidate = &mut candidates[place];
        let wait = candidate.next_attempt.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            return Some(wait);
        }
        candidate.busy = true;
        let (peer, addresses) = (candidate.peer, candidate.addresses.clone());
        let (shared, node, freed) = (Arc::clone(shared), node.clone(), Arc::clone(freed));
        tokio::spawn(async move {
            let stopping = shared.stopping.clone();
            tokio::select! {
                () = stopping.cancelled() => {}
                () = session(&shared, &node, place, peer, addresses) => freed.notify_one(),
            }
        });
    }
    None
}

/// One connection from dial to end.
async fn session(shared: &Arc<Shared>, node: &Node, place: usize, id: Option<PeerId>, addresses: Vec<Multiaddr>) {
    let failed = match open(shared, node, id, addresses).await {
        Ok(peer) => {
            lock(&shared.candidates)[place].failures = 0;
            shared.changed.notify_one();
            tokio::select! {
                () = peer.watch() => {}
                () = hand_over(shared, &peer) => {}
            }
            lock(&shared.peers).retain(|other| !Arc::ptr_eq(other, &peer));
            false
        }
        Err(error) => {
            tracing::debug!("a node cannot be used: {error}");
            true
        }
    };
    {
        let mut candidates = lock(&shared.candidates);
        let candidate = &mut candidates[place];
        candidate.busy = false;
        candidate.failures += u32::from(failed);
        let pause = backoff(candidate.failures, shared.options.reconnect_min, shared.options.reconnect_max);
        candidate.next_attempt = Instant::now() + pause;
    }
    report_offline(shared);
}

async fn open(
    shared: &Arc<Shared>,
    node: &Node,
    id: Option<PeerId>,
    addresses: Vec<Multiaddr>,
) -> Result<Arc<Peer>, WireError> {
    let options = &shared.options;
    let dialling = tokio::time::timeout(DIAL_TIMEOUT, node.dial(id, addresses)).await;
    let connected = dialling.map_err(|_| WireError::Deadline { what: "dial", after: DIAL_TIMEOUT })??;
    let (connection, peer_id) = (connected.id, connected.peer);
    if lock(&shared.peers).iter().any(|peer| peer.id == peer_id) {
        node.close(connection);
        return Err(WireError::Broken("this node is connected through another address".into()));
    }
    let settings = PeerSettings {
        cluster_id: options.cluster_id,
        request_timeout: options.request_timeout,
        watchdog_interval: options.watchdog_interval,
        relay: options.relay,
    };
    match Peer::open(node, connected, settings, Arc::clone(&shared.changed)).await {
        Ok(peer) => {
            lock(&shared.peers).push(Arc::clone(&peer));
            Ok(peer)
        }
        Err(error) => {
            node.close(connection);
            Err(error)
        }
    }
}

/// Chooses subscribers at each change, and tells whether we are online.
async fn keep_subscribed(shared: &Arc<Shared>, node: &Node) {
    loop {
        shared.changed.notified().await;
        if shared.reports.has_missed() {
            shared.set_online(false);
        }
        let open = shared.open_peers();
        let subscribed = if shared.options.relay {
            takes_part(shared, node).await
        } else {
            choose_subscribers(shared, &open);
            open.iter().any(|peer| peer.is_subscribed())
        };
        shared.set_online(subscribed && open.iter().any(|peer| peer.can_push));
    }
}

fn choose_subscribers(shared: &Arc<Shared>, open: &[Arc<Peer>]) {
    let mut subscribers = open.iter().filter(|peer| peer.is_subscriber()).count();
    for peer in open {
        if subscribers >= shared.options.filter_peers {
            return;
        }
        if peer.can_filter() && !peer.is_subscriber() {
            subscribers += 1;
            peer.choose(Arc::clone(&lock(&shared.topics)));
            let peer = Arc::clone(peer);
            tokio::spawn(async move { peer.sync().await });
        }
    }
}

/// Every shard of ours has a relay peer; before we have a shard, any will do.
async fn takes_part(shared: &Shared, node: &Node) -> bool {
    let ours: HashSet<String> = lock(&shared.topics).values().cloned().collect();
    let peers = node.relay_peers().await;
    let known: HashSet<String> =
        (0..shared.options.shard_count).map(|shard| shard_topic(shared.options.cluster_id, shard.into())).collect();
    if ours.is_empty() {
        return peers.values().any(|topics| !topics.is_disjoint(&known));
    }
    ours.iter().all(|topic| peers.values().any(|topics| topics.contains(topic)))
}
