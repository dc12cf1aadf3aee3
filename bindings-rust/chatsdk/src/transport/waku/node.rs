//! The libp2p node: connections, streams, and relay.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance, TopicHash};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, noise, ping, tcp, yamux};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::inbound::{self, Inbound};
use super::wire::{METADATA, RELAY, WakuMessage, WireError, answer_cluster};

/// Streams of one connection whose protocol is not agreed on yet: as many as yamux allows at all.
const MAX_NEGOTIATING: usize = 512;
/// The network's largest message (150 KB), and what surrounds it.
const MAX_RELAY_BYTES: usize = 160 * 1024;
/// Connections are closed by us, not for want of streams.
const IDLE: Duration = Duration::from_secs(365 * 24 * 3600);
/// The watchdog of a peer tells more, sooner.
const PING_INTERVAL: Duration = Duration::from_secs(60);

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: libp2p_stream::Behaviour,
    inbound: inbound::Behaviour,
    relay: Toggle<gossipsub::Behaviour>,
}

/// A connection that has said what it offers.
pub(super) struct Connected {
    pub(super) id: ConnectionId,
    pub(super) peer: PeerId,
    pub(super) protocols: Vec<String>,
    /// Cancelled when the connection is gone.
    pub(super) closed: CancellationToken,
}

/// What a node hears.
pub(super) enum Heard {
    /// A stream on which a peer pushes messages.
    Push(Inbound),
    /// A message of relay.
    Relayed { pubsub_topic: String, message: WakuMessage },
    /// The relay peers of a topic changed.
    RelayPeersChanged,
}

enum Command {
    Dial(DialOpts, oneshot::Sender<Result<Connected, WireError>>),
    Close(ConnectionId),
    /// Takes part in exactly these topics.
    Join(HashSet<String>),
    Relay(String, Vec<u8>, oneshot::Sender<Result<(), WireError>>),
    RelayPeers(oneshot::Sender<HashMap<PeerId, HashSet<String>>>),
}

/// The door to the node, which works in a task of its own until all doors are gone.
#[derive(Clone)]
pub(super) struct Node {
    commands: mpsc::UnboundedSender<Command>,
    control: libp2p_stream::Control,
}

impl Node {
    /// `shards`: those this node says it serves; a light client serves none.
    pub(super) async fn start(
        cluster_id: u32,
        shards: Vec<u32>,
        relay: bool,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Heard>), Box<dyn std::error::Error + Send + Sync>> {
        let (inbound, pushes) = mpsc::unbounded_channel();
        let swarm = swarm(relay, inbound).await?;
        let mut control = swarm.behaviour().streams.new_control();
        let mut questions = control.accept(METADATA)?;
        tokio::spawn(async move {
            while let Some((_, stream)) = questions.next().await {
                let shards = shards.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer_cluster(stream, cluster_id, shards).await {
                        tracing::debug!("metadata: {error}");
                    }
                });
            }
        });
        let (commands, inbox) = mpsc::unbounded_channel();
        let (to_transport, heard) = mpsc::unbounded_channel();
        let work = Work { swarm, pushes, heard: to_transport, dials: HashMap::new(), connections: HashMap::new() };
        tokio::spawn(work.run(inbox));
        Ok((Self { commands, control }, heard))
    }

    pub(super) fn control(&self) -> libp2p_stream::Control {
        self.control.clone()
    }

    /// Connects, and waits until the node at the other end has said what it offers. A dropped future takes the connection
    /// with it.
    pub(super) async fn dial(&self, peer: Option<PeerId>, addresses: Vec<Multiaddr>) -> Result<Connected, WireError> {
        let options = match (peer, addresses.into_iter()) {
            (Some(peer), addresses) => {
                DialOpts::peer_id(peer).addresses(addresses.collect()).condition(PeerCondition::Always).build()
            }
            (None, mut addresses) => {
                let address = addresses.next().ok_or_else(|| WireError::Broken("no address".into()))?;
                DialOpts::unknown_peer_id().address(address).build()
            }
        };
        let mut guard = CloseOnDrop { node: self, id: Some(options.connection_id()) };
        let (reply, answer) = oneshot::channel();
        self.send(Command::Dial(options, reply))?;
        let connected = answer.await.map_err(|_| stopped())??;
        guard.id = None;
        Ok(connected)
    }

    pub(super) fn close(&self, id: ConnectionId) {
        // Stopped, if it fails: then all connections are closed.
        let _ = self.send(Command::Close(id));
    }

    pub(super) fn join(&self, topics: HashSet<String>) {
        let _ = self.send(Command::Join(topics));
    }

    /// Returns once the message is on its way to at least one relay peer.
    pub(super) async fn relay(&self, pubsub_topic: &str, message: &WakuMessage) -> Result<(), WireError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Relay(pubsub_topic.to_owned(), message.encode_to_vec(), reply))?;
        answer.await.map_err(|_| stopped())?
    }

    /// Relay peers, with the topics they take part in.
    pub(super) async fn relay_peers(&self) -> HashMap<PeerId, HashSet<String>> {
        let (reply, answer) = oneshot::channel();
        match self.send(Command::RelayPeers(reply)) {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => HashMap::new(),
        }
    }

    fn send(&self, command: Command) -> Result<(), WireError> {
        self.commands.send(command).map_err(|_| stopped())
    }
}

fn stopped() -> WireError {
    WireError::Broken("the transport was stopped".into())
}

struct CloseOnDrop<'a> {
    node: &'a Node,
    id: Option<ConnectionId>,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.node.close(id);
        }
    }
}

async fn swarm(
    relay: bool,
    inbound: mpsc::UnboundedSender<Inbound>,
) -> Result<Swarm<Behaviour>, Box<dyn std::error::Error + Send + Sync>> {
    let relay = if relay { Some(relay_behaviour()?) } else { None };
    let swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, muxer)?
        .with_dns()?
        .with_websocket(noise::Config::new, muxer)
        .await?
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new("/ipfs/id/1.0.0".into(), key.public())),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
            streams: libp2p_stream::Behaviour::new(),
            inbound: inbound::Behaviour::new(inbound),
            relay: relay.into(),
        })?
        .with_swarm_config(|config| {
            config.with_idle_connection_timeout(IDLE).with_max_negotiating_inbound_streams(MAX_NEGOTIATING)
        })
        .build();
    Ok(swarm)
}

/// As it is: any setting changes to version 0.12 of yamux, in which a node can fill the memory (CVE-2024-32984, and first frames
/// of 1 MiB).
fn muxer() -> yamux::Config {
    yamux::Config::default()
}

/// 11/WAKU2-RELAY: gossipsub without signatures, messages named by their content.
fn relay_behaviour() -> Result<gossipsub::Behaviour, Box<dyn std::error::Error + Send + Sync>> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id(RELAY, gossipsub::Version::V1_1)
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(|message| gossipsub::MessageId::from(Sha256::digest(&message.data).to_vec()))
        .max_transmit_size(MAX_RELAY_BYTES)
        .flood_publish(true)
        .validate_messages()
        .build()?;
    Ok(gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config)?)
}

struct Work {
    swarm: Swarm<Behaviour>,
    pushes: mpsc::UnboundedReceiver<Inbound>,
    heard: mpsc::UnboundedSender<Heard>,
    /// Until the other end has said what it offers.
    dials: HashMap<ConnectionId, oneshot::Sender<Result<Connected, WireError>>>,
    connections: HashMap<ConnectionId, CancellationToken>,
}

impl Work {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        loop {
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.serve(command),
                    None => break,
                },
                Some(push) = self.pushes.recv() => self.tell(Heard::Push(push)),
                event = self.swarm.select_next_some() => self.on_event(event),
            }
        }
        for closed in self.connections.into_values() {
            closed.cancel();
        }
    }

    fn serve(&mut self, command: Command) {
        match command {
            Command::Dial(options, reply) => {
                let id = options.connection_id();
                match self.swarm.dial(options) {
                    Ok(()) => drop(self.dials.insert(id, reply)),
                    Err(error) => drop(reply.send(Err(WireError::Broken(error.to_string())))),
                }
            }
            Command::Close(id) => {
                self.dials.remove(&id);
                self.swarm.close_connection(id);
            }
            Command::Join(topics) => self.join(&topics),
            Command::Relay(topic, data, reply) => drop(reply.send(self.relay(topic, data))),
            Command::RelayPeers(reply) => drop(reply.send(self.relay_peers())),
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                if self.dials.get(&connection_id).is_none_or(oneshot::Sender::is_closed) {
                    self.swarm.close_connection(connection_id);
                }
                self.connections.insert(connection_id, CancellationToken::new());
            }
            SwarmEvent::ConnectionClosed { connection_id, cause, .. } => {
                if let Some(closed) = self.connections.remove(&connection_id) {
                    closed.cancel();
                }
                let cause = cause.map_or_else(|| "closed".to_owned(), |cause| cause.to_string());
                self.end_dial(connection_id, &cause);
                self.tell(Heard::RelayPeersChanged);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.end_dial(connection_id, &error.to_string());
            }
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { connection_id, peer_id, info }) => {
                let closed = self.connections.get(&connection_id).cloned();
                if let (Some(reply), Some(closed)) = (self.dials.remove(&connection_id), closed) {
                    let protocols = info.protocols.iter().map(ToString::to_string).collect();
                    let connected = Connected { id: connection_id, peer: peer_id, protocols, closed };
                    if reply.send(Ok(connected)).is_err() {
                        self.swarm.close_connection(connection_id);
                    }
                }
            }
            BehaviourEvent::Identify(identify::Event::Error { connection_id, error, .. }) => {
                self.end_dial(connection_id, &error.to_string());
            }
            BehaviourEvent::Relay(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                let pubsub_topic = message.topic.to_string();
                let decoded = WakuMessage::decode(&*message.data);
                let accepted = if decoded.is_ok() { MessageAcceptance::Accept } else { MessageAcceptance::Reject };
                if let Some(relay) = self.swarm.behaviour_mut().relay.as_mut() {
                    relay.report_message_validation_result(&message_id, &propagation_source, accepted);
                }
                if let Ok(message) = decoded {
                    self.tell(Heard::Relayed { pubsub_topic, message });
                }
            }
            BehaviourEvent::Relay(gossipsub::Event::Subscribed { .. } | gossipsub::Event::Unsubscribed { .. }) => {
                self.tell(Heard::RelayPeersChanged);
            }
            _ => {}
        }
    }

    fn join(&mut self, topics: &HashSet<String>) {
        let Some(relay) = self.swarm.behaviour_mut().relay.as_mut() else { return };
        let joined: HashSet<String> = relay.topics().map(ToString::to_string).collect();
        for topic in joined.difference(topics) {
            relay.unsubscribe(&IdentTopic::new(topic));
        }
        for topic in topics.difference(&joined) {
            if let Err(error) = relay.subscribe(&IdentTopic::new(topic)) {
                tracing::warn!("relay: {topic} cannot be joined: {error}");
            }
        }
    }

    fn relay(&mut self, topic: String, data: Vec<u8>) -> Result<(), WireError> {
        let Some(relay) = self.swarm.behaviour_mut().relay.as_mut() else {
            return Err(WireError::Broken("this node takes no part in relay".into()));
        };
        match relay.publish(IdentTopic::new(topic), data) {
            Ok(_) | Err(gossipsub::PublishError::Duplicate) => Ok(()),
            Err(error) => Err(WireError::Broken(format!("relay: {error}"))),
        }
    }

    fn relay_peers(&self) -> HashMap<PeerId, HashSet<String>> {
        let relay = self.swarm.behaviour().relay.as_ref();
        let peers = relay.into_iter().flat_map(gossipsub::Behaviour::all_peers);
        peers.map(|(peer, topics)| (*peer, topics.into_iter().map(TopicHash::to_string).collect())).collect()
    }

    fn end_dial(&mut self, id: ConnectionId, why: &str) {
        if let Some(reply) = self.dials.remove(&id) {
            drop(reply.send(Err(WireError::Broken(why.to_owned()))));
        }
    }

    fn tell(&self, heard: Heard) {
        // The transport has stopped, if nobody listens.
        let _ = self.heard.send(heard);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn s4_streams_are_those_of_yamux_0_13() {
        let muxer = format!("{:?}", super::muxer());
        assert!(muxer.starts_with("Config(Right(Config013("), "{muxer}");
    }
}
