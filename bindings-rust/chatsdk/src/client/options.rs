//! How a client is opened.

use std::path::PathBuf;
use std::sync::Arc;

use super::membership::RateLimitMembership;
use crate::abi::Clock;
use crate::abi::Config;
use crate::abi::Entropy;
use crate::abi::Storage;
use crate::abi::Transport;
use crate::clock::SystemClock;
use crate::entropy::SystemEntropy;
use crate::keys::StorageKey;
use crate::storage::RollbackAnchor;
use crate::transport::WakuOptions;

/// The network whose nodes this SDK's own service node serves by default.
pub(crate) const DEFAULT_CLUSTER_ID: u32 = 42;
pub(crate) const DEFAULT_SHARD_COUNT: u32 = 8;

/// How a client is opened: a database, what protects it, and nodes of a network. The rest has defaults.
///
/// ```no_run
/// # async fn open() -> chatsdk::Result<()> {
/// use chatsdk::{Client, Options, StorageKey};
/// let options = Options::new("alice.db", StorageKey::passphrase("correct horse battery staple"))
///     .peers(["/dns4/node.example/tcp/8000/wss/p2p/16Uiu2HAm..."]);
/// let chat = Client::open(options).await?;
/// # chat.close().await }
/// ```
#[must_use]
pub struct Options {
    pub(super) path: PathBuf,
    pub(super) storage_key: StorageKey,
    pub(super) waku: WakuOptions,
    /// What `network` said; `waku` has it, too.
    pub(super) network: Option<(u32, u32)>,
    pub(super) protocol: Config,
    pub(super) rln: Option<Arc<dyn RateLimitMembership>>,
    pub(super) accept_rollback: bool,
    pub(super) storage: Option<Arc<dyn Storage>>,
    pub(super) transport: Option<Arc<dyn Transport>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) anchor: Anchor,
}

/// Which rollback anchor.
pub(super) enum Anchor {
    OfUser,
    Given(Arc<dyn RollbackAnchor>),
    None,
}

impl Options {
    /// A database file, made if there is none (its folder must exist), and what protects it.
    pub fn new(path: impl Into<PathBuf>, storage_key: StorageKey) -> Self {
        Self {
            path: path.into(),
            storage_key,
            waku: WakuOptions::new(DEFAULT_CLUSTER_ID, DEFAULT_SHARD_COUNT),
            network: None,
            protocol: Config::default(),
            rln: None,
            accept_rollback: false,
            storage: None,
            transport: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            anchor: Anchor::OfUser,
        }
    }

    /// Multiaddrs of Waku service nodes, over TCP or websockets. Without any, the client stays offline.
    pub fn peers<Address: Into<String>>(mut self, peers: impl IntoIterator<Item = Address>) -> Self {
        self.waku.peers = peers.into_iter().map(Into::into).collect();
        self
    }

    /// The network, the same for all who talk to each other. Default: cluster 42 with 8 shards.
    pub fn network(mut self, cluster_id: u32, shard_count: u32) -> Self {
        self.network = Some((cluster_id, shard_count));
        (self.waku.cluster_id, self.waku.shard_count) = (cluster_id, shard_count);
        self
    }

    /// Further settings of the Waku transport. If they name no peers, those of `peers` hold. What `network` says holds in any case.
    ///
    /// ```
    /// use chatsdk::{Options, StorageKey, WakuOptions};
    /// let options = Options::new("alice.db", StorageKey::passphrase("correct horse battery staple"))
    ///     .peers(["/ip4/127.0.0.1/tcp/60000"])
    ///     .waku(WakuOptions { relay: true, ..WakuOptions::new(42, 8) });
    /// ```
    pub fn waku(mut self, options: WakuOptions) -> Self {
        let earlier = std::mem::replace(&mut self.waku, options);
        if self.waku.peers.is_empty() {
            self.waku.peers = earlier.peers;
        }
        match self.network {
            Some((cluster_id, shard_count)) => self.network(cluster_id, shard_count),
            None => self,
        }
    }

    /// The protocol's settings; a field that is zero has its default. `cluster_id` and `shard_count` are those of the network.
    pub fn protocol(mut self, config: Config) -> Self {
        self.protocol = config;
        self
    }

    /// S1: the membership of a network with RLN. It sets the rate limit, so that `protocol` must not, and makes the proofs of the Waku
    /// transport; another transport has to be given it as well. One that another client has is refused, and stays that client's.
    pub fn rln(mut self, membership: impl RateLimitMembership + 'static) -> Self {
        self.rln = Some(Arc::new(membership));
        self
    }

    /// Opens an old copy of the database all the same: all its sessions are marked lost, and can be repaired with the peers'
    /// consent.
    pub fn accept_rollback(mut self, accept: bool) -> Self {
        self.accept_rollback = accept;
        self
    }

    /// Another storage than the file at the path.
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.storage = Some(Arc::new(storage));
        self
    }

    /// Another transport than [`WakuTransport`](crate::WakuTransport). Its network must be the one of `network`.
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another generator than the system's. It must be cryptographically secure.
    pub fn entropy(mut self, entropy: impl Entropy + 'static) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Where to remember how far the database had come. Default: a file in the user's state folder.
    pub fn anchor(mut self, anchor: impl RollbackAnchor + 'static) -> Self {
        self.anchor = Anchor::Given(Arc::new(anchor));
        self
    }

    /// Does not notice that the database is an old copy.
    pub fn without_anchor(mut self) -> Self {
        self.anchor = Anchor::None;
        self
    }
}

/// Of an invite link.
#[derive(Clone, Copy, Debug, Default)]
pub struct InviteOptions {
    /// How long it can be accepted; default seven days, at most a year.
    pub valid_for: Option<std::time::Duration>,
    /// Several people may accept it; default: the first one only. Messages sent before our first answer are then readable by
    /// whoever steals the link's secret before it expires.
    pub reusable: bool,
}

/// Which part of a list: newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// Only older ones than this.
    pub before: Option<crate::abi::Position>,
    /// 1 to 1,000; default 50.
    pub limit: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self { before: None, limit: 50 }
    }
}

impl Page {
    /// The newest ones.
    pub fn newest(limit: u32) -> Self {
        Self { before: None, limit }
    }

    /// What is older than a message.
    pub fn before(message: &super::Message, limit: u32) -> Self {
        Self { before: Some(message.position()), limit }
    }
}

/// What a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// At least one service node is connected.
    pub online: bool,
    /// Linear memory of the module's instance. It is bounded, and never shrinks.
    pub module_bytes: usize,
    /// How often the instance was made anew after a trap.
    pub restarts: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options::new("alice.db", StorageKey::Unprotected)
    }

    fn relay(cluster_id: u32, shard_count: u32) -> WakuOptions {
        WakuOptions { relay: true, ..WakuOptions::new(cluster_id, shard_count) }
    }

    #[test]
    fn f3_settings_of_the_transport_keep_the_peers_and_the_network_that_were_given() {
        let of = |options: Options| (options.waku.peers, options.waku.cluster_id, options.waku.shard_count);
        let one = || vec!["/ip4/127.0.0.1/tcp/1".to_owned()];
        let other = || vec!["/ip4/127.0.0.1/tcp/2".to_owned()];
        let kept = options().peers(one()).network(7, 4).waku(relay(42, 8));
        assert!(kept.waku.relay);
        assert_eq!(of(kept), (one(), 7, 4));
        assert_eq!(of(options().waku(relay(42, 8)).peers(one()).network(7, 4)), (one(), 7, 4));
        let theirs = WakuOptions { peers: other(), ..relay(9, 2) };
        assert_eq!(of(options().peers(one()).waku(theirs)), (other(), 9, 2));
        assert_eq!(of(options().waku(relay(9, 2))), (vec![], 9, 2));
    }
}
