//! Settings of the Waku transport.

use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use super::sessions::Candidate;
use crate::error::{Error, ErrorCode, Result};
use crate::transport::RateLimitProver;

const MAX_CLUSTER_ID: u64 = 65_535;
const MAX_SHARDS: u64 = 1_024;
const LONGEST: Duration = Duration::from_hours(24);
const EXAMPLE_PEER: &str = "/dns4/node.example/tcp/8000/wss/p2p/16Uiu2HAmBB53mmnjokf8qCmJd8DxDnQKpRsbkH6Pz9yB8kLv4HkC";

/// Settings of the Waku transport. `..WakuOptions::new(cluster, shards)` fills in the defaults. No time may be longer than a day.
#[derive(Clone, Debug)]
pub struct WakuOptions {
    /// The network, 0 to 65,535: the same for all who talk to each other.
    pub cluster_id: u32,
    /// Shards of the network, 1 to 1,024.
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
        let numbers = [
            ("cluster_id", u64::from(self.cluster_id), 0..=MAX_CLUSTER_ID, "0 to 65,535"),
            ("shard_count", self.shard_count.into(), 1..=MAX_SHARDS, "1 to 1,024"),
            ("max_peers", self.max_peers as u64, 1..=u64::MAX, "1 or more"),
            ("filter_peers", self.filter_peers as u64, 1..=u64::MAX, "1 or more"),
            ("publish_concurrency", self.publish_concurrency as u64, 1..=u64::MAX, "1 or more"),
            ("history_page_size", self.history_page_size.into(), 1..=u64::MAX, "1 or more"),
        ];
        if let Some((name, number, _, range)) = numbers.iter().find(|(_, number, range, _)| !range.contains(number)) {
            return Err(unusable(format!("{name}: {number}; give {range}")));
        }
        let durations = [
            ("publish_timeout", self.publish_timeout),
            ("request_timeout", self.request_timeout),
            ("watchdog_interval", self.watchdog_interval),
            ("reconnect_min", self.reconnect_min),
            ("reconnect_max", self.reconnect_max),
        ];
        // Sums with much longer ones overflow.
        let unusable_time = |duration: &Duration| duration.is_zero() || *duration > LONGEST;
        if let Some((name, duration)) = durations.iter().find(|(_, duration)| unusable_time(duration)) {
            return Err(unusable(format!("{name}: {duration:?}; give more than zero, and a day at most")));
        }
        let mut candidates: Vec<Candidate> = Vec::new();
        for (place, text) in self.peers.iter().enumerate() {
            let wrong = |what| format!("peers[{place}]: {what}; give one such as {EXAMPLE_PEER:?}");
            // Not the error's words: they quote what is there, of any length.
            let address: Multiaddr = text.parse().map_err(|error| unusable(wrong("no multiaddr")).caused_by(error))?;
            if !can_be_dialled(&address) {
                return Err(unusable(wrong("no address over TCP or websockets")));
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

/// Host and port, perhaps websockets, perhaps the peer's id, and nothing else.
fn can_be_dialled(address: &Multiaddr) -> bool {
    use Protocol::{Dns, Dns4, Dns6, Ip4, Ip6, P2p, Tcp, Tls, Ws, Wss};
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    let [Ip4(_) | Ip6(_) | Dns(_) | Dns4(_) | Dns6(_), Tcp(1..), rest @ ..] = &parts[..] else { return false };
    let rest = if let [rest @ .., P2p(_)] = rest { rest } else { rest };
    matches!(rest, [] | [Ws(_) | Wss(_)] | [Tls, Ws(_)])
}

fn unusable(message: String) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::WakuTransport;

    #[test]
    fn f3_unusable_options_are_invalid_arguments_with_name_and_remedy() {
        let good = || WakuOptions::new(42, 8);
        for (message, options) in [
            ("cluster_id: 65536; give 0 to 65,535", WakuOptions::new(65_536, 8)),
            ("shard_count: 0; give 1 to 1,024", WakuOptions::new(42, 0)),
            ("shard_count: 1025; give 1 to 1,024", WakuOptions::new(42, 1_025)),
            ("max_peers: 0; give 1 or more", WakuOptions { max_peers: 0, ..good() }),
            ("request_timeout: 0ns; give more", WakuOptions { request_timeout: Duration::ZERO, ..good() }),
            ("request_timeout: 18446744073709551615.", WakuOptions { request_timeout: Duration::MAX, ..good() }),
            ("reconnect_max: 86401s; give more", WakuOptions { reconnect_max: Duration::from_secs(86_401), ..good() }),
        ] {
            let error = WakuTransport::new(options).err().unwrap();
            assert_eq!((error.code(), error.is_retryable()), (ErrorCode::InvalidArgument, false));
            assert!(error.message().starts_with(message), "{error}");
        }
        let largest = WakuOptions {
            max_peers: usize::MAX,
            filter_peers: usize::MAX,
            publish_concurrency: usize::MAX,
            history_page_size: u32::MAX,
            request_timeout: LONGEST,
            ..good()
        };
        assert!(WakuTransport::new(largest).is_ok());
        assert!(WakuOptions::new(65_535, 1_024).check().is_ok() && WakuOptions::new(0, 1).check().is_ok());
    }

    #[test]
    fn f3_peers_that_can_never_be_reached_are_invalid_arguments_and_not_quoted() {
        let id = "16Uiu2HAmBB53mmnjokf8qCmJd8DxDnQKpRsbkH6Pz9yB8kLv4HkC";
        let check = |peer: String| {
            let peers = vec![EXAMPLE_PEER.to_owned(), peer];
            WakuOptions { peers, ..WakuOptions::new(42, 8) }.check()
        };
        for (what, peer) in [
            ("no multiaddr", "secret.example:8000".to_owned()),
            ("no multiaddr", format!("/{}", "secret".repeat(10_000))),
            ("no multiaddr", "/ip4/127.0.0.1/tcp/1/p2p/secret".into()),
            ("no address over TCP or websockets", String::new()),
            ("no address over TCP or websockets", "/ip4/127.0.0.1/udp/1/quic-v1".into()),
            ("no address over TCP or websockets", "/dns4/secret.example".into()),
            ("no address over TCP or websockets", "/ip4/127.0.0.1/tcp/0".into()),
            ("no address over TCP or websockets", "/tcp/1".into()),
            ("no address over TCP or websockets", "/ip4/127.0.0.1/tcp/1/http".into()),
            ("no address over TCP or websockets", format!("/ip4/127.0.0.1/tcp/1/p2p/{id}/p2p-circuit/p2p/{id}")),
        ] {
            let error = check(peer.clone()).err().unwrap_or_else(|| panic!("{peer} is taken"));
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
            assert_eq!(error.message(), format!("peers[1]: {what}; give one such as \"{EXAMPLE_PEER}\""));
        }
        for end in ["", "/ws", "/wss", "/tls/ws", "/x-parity-ws/%2Fpath"] {
            for host in ["/ip4/127.0.0.1", "/ip6/::1", "/dns/node.example", "/dns4/node.example", "/dns6/node.example"]
            {
                assert!(check(format!("{host}/tcp/1{end}")).is_ok(), "{host} {end}");
                assert!(check(format!("{host}/tcp/1{end}/p2p/{id}")).is_ok(), "{host} {end}");
            }
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
