//! Settings of the Waku transport.

use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use super::failed;
use super::sessions::Candidate;
use crate::error::Result;
use crate::transport::RateLimitProver;

/// Settings of the Waku transport. `..WakuOptions::new(cluster, shards)` fills in the defaults.
#[derive(Clone, Debug)]
pub struct WakuOptions {
    /// The network: the same for all who talk to each other.
    pub cluster_id: u32,
    /// Shards of the network, 1 or more.
    pub shard_count: u32,
    /// Multiaddrs of service nodes, over TCP or websockets, such as "/dns4/node.example/tcp/8000/wss/p2p/16Uiu2...". None: the
    /// transport stays offline.
    pub peers: Vec<String>,
    /// Messages go by relay: this node takes part in the network, carries messages of others on its shards, and hides which
    /// topics it wants, at the price of their traffic. Default: false, light push and filter.
    pub relay: bool,
    /// Connections kept at a time. Default 3.
    pub max_peers: usize,
    /// How many of these are subscribed: a second one covers for a first that forgets us, at twice the traffic. Default 2.
    pub filter_peers: usize,
    /// How long one publication may take once its turn has come. Default 10 s.
    pub publish_timeout: Duration,
    /// Messages on their way to a node at a time; others wait in line. Default 16.
    pub publish_concurrency: usize,
    /// How long a node may take for one answer; three times as long for a page of history. Default 4 s.
    pub request_timeout: Duration,
    /// Messages asked for in one page of history; nodes give 100 at most. Default 100.
    pub history_page_size: u32,
    /// A connection is checked this often, unless messages come in. Default 8 s: one that died in silence is noticed within this
    /// and `request_timeout`, and sooner if something is published; one that was closed at once. A check costs 0.4 KB.
    pub watchdog_interval: Duration,
    /// First pause between attempts to connect to a node; it doubles each time. Default 250 ms.
    pub reconnect_min: Duration,
    /// Longest pause between attempts. Default 15 s.
    pub reconnect_max: Duration,
    /// Makes the proofs of a network with RLN. Needed if the client has a rate limit, and given by the client's option `rln`.
    pub prover: Option<Arc<dyn RateLimitProver>>,
}

impl WakuOptions {
    /// The defaults, for a network.
    pub fn new(cluster_id: u32, shard_count: u32) -> Self {
        Self {
            cluster_id,
            shard_count,
            peers: Vec::new(),
            relay: false,
            max_peers: 3,
            filter_peers: 2,
            publish_timeout: Duration::from_secs(10),
            publish_concurrency: 16,
            request_timeout: Duration::from_secs(4),
            history_page_size: 100,
            watchdog_interval: Duration::from_secs(8),
            reconnect_min: Duration::from_millis(250),
            reconnect_max: Duration::from_secs(15),
            prover: None,
        }
    }

    /// The nodes they name.
    pub(super) fn check(&self) -> Result<Vec<Candidate>> {
        if self.cluster_id > 0xffff {
            return Err(failed("cluster_id: a number from 0 to 65535 is needed"));
        }
        let counts = [
            ("shard_count", self.shard_count == 0),
            ("max_peers", self.max_peers == 0),
            ("filter_peers", self.filter_peers == 0),
            ("publish_timeout", self.publish_timeout.is_zero()),
            ("publish_concurrency", self.publish_concurrency == 0),
            ("request_timeout", self.request_timeout.is_zero()),
            ("history_page_size", self.history_page_size == 0),
            ("watchdog_interval", self.watchdog_interval.is_zero()),
            ("reconnect_min", self.reconnect_min.is_zero()),
            ("reconnect_max", self.reconnect_max.is_zero()),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, zero)| *zero) {
            return Err(failed(format!("{name}: must not be zero")));
        }
        let mut candidates: Vec<Candidate> = Vec::new();
        for (place, text) in self.peers.iter().enumerate() {
            let address: Multiaddr = text
                .parse()
                .map_err(|error| failed(format!("peers[{place}]: no multiaddr: {error}")).caused_by(error))?;
            if !address.iter().any(|part| matches!(part, Protocol::Tcp(_))) {
                return Err(failed(format!("peers[{place}]: {text} is no TCP or websocket address")));
            }
            let peer = address.iter().find_map(|part| if let Protocol::P2p(peer) = part { Some(peer) } else { None });
            // Addresses with the same peer id belong together.
            match candidates.iter_mut().find(|candidate| peer.is_some() && candidate.peer == peer) {
                Some(known) => known.addresses.push(address),
                None => candidates.push(Candidate::new(peer, address)),
            }
        }
        Ok(candidates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn f3_unusable_options_are_named() {
        let good = || WakuOptions::new(42, 8);
        let peers = |peer: &str| WakuOptions { peers: vec![peer.into()], ..good() };
        for (field, options) in [
            ("cluster_id", WakuOptions::new(70_000, 8)),
            ("shard_count", WakuOptions::new(42, 0)),
            ("max_peers", WakuOptions { max_peers: 0, ..good() }),
            ("request_timeout", WakuOptions { request_timeout: Duration::ZERO, ..good() }),
            ("peers[0]", peers("node.example:8000")),
            ("peers[0]", peers("/ip4/127.0.0.1/udp/1/quic-v1")),
        ] {
            let error = options.check().err().unwrap();
            assert_eq!(error.code(), ErrorCode::TransportFailed);
            assert!(error.message().starts_with(field), "{error}");
        }
    }

    #[test]
    fn f3_addresses_of_one_node_are_one_candidate() {
        let id = "16Uiu2HAmBB53mmnjokf8qCmJd8DxDnQKpRsbkH6Pz9yB8kLv4HkC";
        let peers = vec![
            format!("/ip4/127.0.0.1/tcp/1/p2p/{id}"),
            format!("/ip4/127.0.0.1/tcp/2/ws/p2p/{id}"),
            "/ip4/127.0.0.1/tcp/3".into(),
        ];
        let candidates = WakuOptions { peers, ..WakuOptions::new(42, 8) }.check().unwrap();
        assert_eq!(candidates.iter().map(|candidate| candidate.addresses.len()).collect::<Vec<_>>(), [2, 1]);
    }
}
