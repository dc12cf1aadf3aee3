//! Nodes that do more than they may, over real connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chatsdk::abi::{EnvelopeReceived, Publish, Subscribe, Transport as _, TransportEvent, transport_event};
use chatsdk::{Result, WakuOptions, WakuTransport};
use futures::future::join_all;
use futures::stream::BoxStream;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{PeerId, Stream, StreamProtocol, identify, noise, tcp, yamux};
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::timeout;

const PUSH: StreamProtocol = StreamProtocol::new("/vac/waku/filter-push/2.0.0-beta1");
const METADATA: StreamProtocol = StreamProtocol::new("/vac/waku/metadata/1.0.0");
/// What the nodes offer. Each request is answered with success.
const OFFERED: [StreamProtocol; 2] =
    [StreamProtocol::new("/vac/waku/filter-subscribe/2.0.0-beta1"), StreamProtocol::new("/vac/waku/lightpush/3.0.0")];
/// `status_code` 200, length-prefixed.
const SUCCESS: [u8; 4] = [3, 0x50, 0xc8, 1];
const TOPIC: &str = "/hostile/1/messages/proto";
const LARGEST: usize = 150_000;
const PATIENCE: Duration = Duration::from_secs(30);
/// The tests measure the memory of the process.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    streams: libp2p_stream::Behaviour,
}

struct Node {
    address: String,
    control: libp2p_stream::Control,
    client: watch::Receiver<Option<PeerId>>,
}

impl Node {
    async fn start() -> Self {
        let mut swarm = libp2p::SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|key| Behaviour {
                identify: identify::Behaviour::new(identify::Config::new("/ipfs/id/1.0.0".into(), key.public())),
                streams: libp2p_stream::Behaviour::new(),
            })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3600)))
            .build();
        let control = swarm.behaviour().streams.new_control();
        for protocol in OFFERED {
            let mut requests = control.clone().accept(protocol).unwrap();
            tokio::spawn(async move {
                while let Some((_, mut stream)) = requests.next().await {
                    stream.read_to_end(&mut Vec::new()).await.unwrap();
                    stream.write_all(&SUCCESS).await.unwrap();
                    stream.close().await.unwrap();
                }
            });
        }
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break format!("{address}/p2p/{}", swarm.local_peer_id());
            }
        };
        let (connected, client) = watch::channel(None);
        tokio::spawn(async move {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { peer_id, .. } => drop(connected.send(Some(peer_id))),
                    SwarmEvent::ConnectionClosed { .. } => drop(connected.send(None)),
                    _ => {}
                }
            }
        });
        Self { address, control, client }
    }

    async fn open(&self, protocol: StreamProtocol) -> std::io::Result<Stream> {
        let client = self.client.borrow().expect("the connection was lost");
        self.control.clone().open_stream(client, protocol).await.map_err(std::io::Error::other)
    }

    /// As a node should.
    async fn push(&self, mark: u8) {
        let mut stream = self.open(PUSH).await.unwrap();
        stream.write_all(&push(100, mark)).await.unwrap();
        stream.close().await.unwrap();
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct WakuMessage {
    #[prost(bytes = "vec", tag = "1")]
    payload: Vec<u8>,
    #[prost(string, tag = "2")]
    content_topic: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MessagePush {
    #[prost(message, optional, tag = "1")]
    message: Option<WakuMessage>,
    #[prost(string, tag = "2")]
    pubsub_topic: String,
}

/// A push of a message of its own, that begins with `mark`.
fn push(size: usize, mark: u8) -> Vec<u8> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let mut payload = vec![mark; size];
    payload[1..9].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let message = Some(WakuMessage { payload, content_topic: TOPIC.into() });
    MessagePush { message, pubsub_topic: "/waku/2/rs/42/0".into() }.encode_length_delimited_to_vec()
}

type Events = BoxStream<'static, Result<TransportEvent>>;

/// A client that both nodes have as a subscriber.
async fn subscribed(nodes: [&Node; 2]) -> (WakuTransport, Events) {
    let peers = nodes.map(|node| node.address.clone()).to_vec();
    let watchdog_interval = Duration::from_millis(500);
    let transport = WakuTransport::new(WakuOptions { peers, watchdog_interval, ..WakuOptions::new(42, 1) }).unwrap();
    let mut events = transport.start();
    transport.subscribe(Subscribe { topics: vec![TOPIC.into()] }).await.unwrap();
    for node in nodes {
        let mut heard = false;
        while !heard {
            if node.client.borrow().is_some() {
                drop(node.open(PUSH).await.unwrap().write_all(&push(100, b'?')).await);
            }
            heard = timeout(Duration::from_millis(200), marked(&mut events, b'?')).await.is_ok();
        }
    }
    (transport, events)
}

/// Waits for a message.
async fn marked(events: &mut Events, mark: u8) {
    loop {
        match events.next().await.unwrap().unwrap().event.unwrap() {
            transport_event::Event::Envelope(EnvelopeReceived { payload, .. }) if payload[0] == mark => return,
            transport_event::Event::Envelope(_) => {}
            transport_event::Event::Connection(change) => assert!(change.online, "the connection was lost"),
        }
    }
}

async fn arrives(events: &mut Events, mark: u8) -> Duration {
    let began = Instant::now();
    timeout(PATIENCE, marked(events, mark)).await.expect("it did not arrive");
    began.elapsed()
}

async fn publishes(transport: &WakuTransport) {
    transport.publish(Publish { topic: TOPIC.into(), payload: vec![1], ..Publish::default() }).await.unwrap();
}

/// Writes until the client ends the stream, and gives how much of it was taken.
async fn write_on(mut stream: Stream, bytes: impl Fn() -> Vec<u8>, written: &AtomicUsize) {
    loop {
        for chunk in bytes().chunks(16 * 1024) {
            if stream.write_all(chunk).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            written.fetch_add(chunk.len(), Ordering::Relaxed);
        }
    }
}

/// Memory of this process, the nodes included.
#[cfg(target_os = "linux")]
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_streams_that_a_node_begins_and_does_not_finish_end_and_nothing_else_waits_for_them() {
    let _alone = ALONE.lock().await;
    let (hostile, honest) = (Node::start().await, Node::start().await);
    let (transport, mut events) = subscribed([&hostile, &honest]).await;
    let halves = join_all((0..300).map(|_| async {
        let mut stream = hostile.open(PUSH).await?;
        stream.write_all(&push(LARGEST, b'h')[..LARGEST / 2]).await?;
        stream.flush().await?;
        Ok::<Stream, std::io::Error>(stream)
    }));
    let began = Instant::now();
    let halves = timeout(PATIENCE, halves).await.unwrap();
    honest.push(b'a').await;
    assert!(arrives(&mut events, b'a').await < Duration::from_secs(5));
    publishes(&transport).await;
    let ended = join_all(halves.into_iter().flatten().map(|mut stream| async move {
        drop(stream.read_to_end(&mut Vec::new()).await);
    }));
    timeout(PATIENCE, ended).await.expect("a stream was left open");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    hostile.push(b'b').await;
    arrives(&mut events, b'b').await;
    transport.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_what_is_too_large_is_refused_before_it_is_read() {
    let _alone = ALONE.lock().await;
    let (hostile, honest) = (Node::start().await, Node::start().await);
    let (transport, mut events) = subscribed([&hostile, &honest]).await;
    for protocol in [PUSH, METADATA] {
        let written = AtomicUsize::new(0);
        // A length of 1 MiB - 1.
        let endless = || [&[0xff, 0xff, 0x3f][..], &[7; 1 << 20]].concat();
        let writing = write_on(hostile.open(protocol.clone()).await.unwrap(), endless, &written);
        timeout(PATIENCE, writing).await.expect("it was read");
        // What may be on its way until then: the window of a stream, and what was read of it.
        assert!(written.into_inner() <= 300 * 1024, "{protocol}");
    }
    hostile.push(b'a').await;
    arrives(&mut events, b'a').await;
    publishes(&transport).await;
    transport.stop().await.unwrap();
}

/// While the client stands still, and then goes on.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn f3_a_node_that_pushes_without_end_fills_no_memory_and_takes_no_place_of_others() {
    let _alone = ALONE.lock().await;
    let (hostile, honest) = (Arc::new(Node::start().await), Node::start().await);
    let (transport, mut events) = subscribed([&hostile, &honest]).await;
    let written = Arc::new(AtomicUsize::new(0));
    let before = resident_bytes();
    let flood: Vec<_> = (0..200)
        .map(|_| {
            let (hostile, written) = (Arc::clone(&hostile), Arc::clone(&written));
            tokio::spawn(async move {
                while let Ok(stream) = hostile.open(PUSH).await {
                    write_on(stream, || push(LARGEST, b'h'), &written).await;
                }
            })
        })
        .collect();
    let mut most = 0;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(resident_bytes().saturating_sub(before));
    }
    eprintln!("{} KiB written, {} KiB more memory", written.load(Ordering::Relaxed) / 1024, most / 1024);
    assert!(most < 32 << 20, "{} MiB", most >> 20);
    honest.push(b'a').await;
    arrives(&mut events, b'a').await;
    publishes(&transport).await;
    for writer in flood {
        writer.abort();
    }
    hostile.push(b'b').await;
    arrives(&mut events, b'b').await;
    transport.stop().await.unwrap();
}
