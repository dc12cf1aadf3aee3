//! A network within the process: it delivers, keeps history, and can be out of order.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use chatsdk::abi::{
    ConnectionChanged, EnvelopeBatch, EnvelopeReceived, Publish, QueryHistory, Subscribe, Transport, TransportEvent,
    transport_event,
};
use chatsdk::{Error, ErrorCode, Result};
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::stream::{self, BoxStream};

#[derive(Clone, Default)]
pub struct Network {
    state: Arc<Mutex<State>>,
    /// One publication at a time, as where each needs a proof.
    line: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    kept: Vec<(u64, EnvelopeReceived)>,
    members: Vec<Member>,
    broken: bool,
}

struct Member {
    topics: HashSet<String>,
    events: UnboundedSender<Event>,
    /// Places in `kept` of what it has taken from its subscription.
    taken: HashSet<usize>,
}

struct Event {
    event: transport_event::Event,
    place_in_kept: Option<usize>,
}

impl Network {
    /// A transport to this network.
    pub fn transport(&self) -> LocalTransport {
        LocalTransport { network: self.clone(), place: Mutex::new(None) }
    }

    /// While it is broken, publishing fails.
    pub fn set_broken(&self, broken: bool) {
        self.state.lock().unwrap().broken = broken;
    }

    /// All envelopes so far.
    pub fn kept(&self) -> Vec<EnvelopeReceived> {
        self.state.lock().unwrap().kept.iter().map(|(_, envelope)| envelope.clone()).collect()
    }

    /// How many transports have started so far.
    pub fn members(&self) -> usize {
        self.state.lock().unwrap().members.len()
    }

    /// Puts an envelope of nobody's on the network.
    pub fn inject(&self, envelope: &EnvelopeReceived) {
        self.state.lock().unwrap().deliver(envelope, None);
    }
}

impl State {
    fn deliver(&mut self, envelope: &EnvelopeReceived, place_in_kept: Option<usize>) {
        for member in self.members.iter().filter(|member| member.topics.contains(&envelope.topic)) {
            let event = transport_event::Event::Envelope(envelope.clone());
            drop(member.events.unbounded_send(Event { event, place_in_kept }));
        }
    }
}

pub struct LocalTransport {
    network: Network,
    place: Mutex<Option<usize>>,
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[async_trait]
impl Transport for LocalTransport {
    fn start(&self) -> BoxStream<'static, Result<TransportEvent>> {
        let (events, receiver) = unbounded();
        let event = transport_event::Event::Connection(ConnectionChanged { online: true });
        events.unbounded_send(Event { event, place_in_kept: None }).unwrap();
        let mut state = self.network.state.lock().unwrap();
        let place = state.members.len();
        *self.place.lock().unwrap() = Some(place);
        state.members.push(Member { topics: HashSet::new(), events, taken: HashSet::new() });
        let network = self.network.clone();
        // Whoever asks for the next event has taken the last one.
        let next = move |(mut receiver, last): (UnboundedReceiver<Event>, Option<usize>)| {
            network.state.lock().unwrap().members[place].taken.extend(last);
            async move {
                let Event { event, place_in_kept } = receiver.next().await?;
                Some((Ok(TransportEvent { event: Some(event) }), (receiver, place_in_kept)))
            }
        };
        stream::unfold((receiver, None), next).boxed()
    }

    async fn subscribe(&self, request: Subscribe) -> Result<()> {
        let place = self.place.lock().unwrap().unwrap();
        self.network.state.lock().unwrap().members[place].topics = request.topics.into_iter().collect();
        Ok(())
    }

    async fn publish(&self, request: Publish) -> Result<()> {
        let _turn = self.network.line.lock().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut state = self.network.state.lock().unwrap();
        if state.broken {
            return Err(Error::new(ErrorCode::TransportFailed, "the network is broken").retryable());
        }
        let envelope = EnvelopeReceived { topic: request.topic, payload: request.payload };
        let place = state.kept.len();
        state.kept.push((now_ms(), envelope.clone()));
        state.deliver(&envelope, Some(place));
        Ok(())
    }

    fn query_history(&self, request: QueryHistory) -> BoxStream<'static, Result<EnvelopeBatch>> {
        let state = self.network.state.lock().unwrap();
        let member = self.place.lock().unwrap().map(|place| &state.members[place]);
        let left_out = |place| request.missed_only && member.is_some_and(|member| member.taken.contains(&place));
        let found: Vec<_> = state
            .kept
            .iter()
            .enumerate()
            .filter(|(place, (at, envelope))| {
                let wanted =
                    (request.start_ms..=request.end_ms).contains(at) && request.topics.contains(&envelope.topic);
                wanted && !left_out(*place)
            })
            .map(|(_, (_, envelope))| envelope.clone())
            .collect();
        let pages: Vec<_> = found.chunks(3).map(|page| Ok(EnvelopeBatch { envelopes: page.to_vec() })).collect();
        stream::iter(pages).boxed()
    }

    async fn stop(&self) -> Result<()> {
        if let Some(place) = *self.place.lock().unwrap() {
            self.network.state.lock().unwrap().members[place].topics.clear();
        }
        Ok(())
    }
}
