//! What the transport tells its client, and has not been asked for yet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::pushed::Pushed;
use super::sharding::{Hash, message_hash};
use super::wire::WakuMessage;
use super::{envelope, lock};
use crate::abi::{ConnectionChanged, TransportEvent, transport_event};
use crate::error::Result;

/// Envelopes that wait at a time. Those that nodes push are bounded in bytes, too, see `Pushes`.
const ROOM: usize = 256;

/// A place in the queue, until the client has taken what is in it; connection changes need none, they are few.
pub(super) struct Place {
    _room: OwnedSemaphorePermit,
    _share: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Keeps a share of something else for as long.
    pub(super) fn keeping(self, share: OwnedSemaphorePermit) -> Self {
        Self { _share: Some(share), ..self }
    }
}

struct Report {
    event: transport_event::Event,
    /// Of an envelope.
    pushed: Option<(Hash, Place)>,
}

pub(super) struct Reports {
    queue: Mutex<Option<mpsc::UnboundedSender<Report>>>,
    pub(super) pushed: Arc<Pushed>,
    room: Arc<Semaphore>,
    missed: AtomicBool,
    /// Notified when it may be time to ask `has_missed`.
    changed: Arc<Notify>,
}

impl Reports {
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        let room = Arc::new(Semaphore::new(ROOM));
        Self { queue: Mutex::default(), pushed: Arc::default(), room, missed: AtomicBool::new(false), changed }
    }

    pub(super) fn follow(self: &Arc<Self>) -> BoxStream<'static, Result<TransportEvent>> {
        let (sender, receiver) = mpsc::unbounded_channel::<Report>();
        *lock(&self.queue) = Some(sender);
        let next = |(reports, mut receiver, taken): (Arc<Self>, mpsc::UnboundedReceiver<Report>, Option<Hash>)| async move {
            // Whoever asks for the next has taken the last one.
            if let Some(hash) = taken {
                reports.pushed.set_taken(&hash);
            }
            let Report { event, pushed } = receiver.recv().await?;
            // Its place is free.
            let hash = pushed.map(|(hash, _)| hash);
            if reports.missed.load(Ordering::SeqCst) && reports.is_half_empty() {
                reports.changed.notify_one();
            }
            Some((Ok(TransportEvent { event: Some(event) }), (reports, receiver, hash)))
        };
        stream::unfold((Arc::clone(self), receiver, None), next).boxed()
    }

    /// Waits for room. `None` once nobody follows any more.
    pub(super) async fn place(&self) -> Option<Place> {
        let room = Arc::clone(&self.room).acquire_owned().await.ok()?;
        Some(Place { _room: room, _share: None })
    }

    /// A push was refused: if it is the client that is slow, it is left to the history, see `has_missed`.
    pub(super) fn refuse(&self) {
        drop(self.place_now());
    }

    /// Relay does not wait: without room the envelope is left to the history, see `has_missed`.
    pub(super) fn place_now(&self) -> Option<Place> {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            self.missed.store(true, Ordering::SeqCst);
            self.changed.notify_one();
            return None;
        };
        Some(Place { _room: room, _share: None })
    }

    /// Each once, from whichever node it comes first.
    pub(super) fn envelope(&self, pubsub_topic: &str, message: WakuMessage, place: Place) {
        let hash = message_hash(pubsub_topic, &message);
        if self.pushed.add(hash, message.timestamp.unwrap_or_default()) {
            let event = transport_event::Event::Envelope(envelope(message));
            self.report(Report { event, pushed: Some((hash, place)) });
        }
    }

    pub(super) fn connection(&self, online: bool) {
        let event = transport_event::Event::Connection(ConnectionChanged { online });
        self.report(Report { event, pushed: None });
    }

    /// Whether envelopes were left to the history, told once there is room again: a client looks for history when it comes online.
    pub(super) fn has_missed(&self) -> bool {
        self.is_half_empty() && self.missed.swap(false, Ordering::SeqCst)
    }

    pub(super) fn close(&self) {
        *lock(&self.queue) = None;
        self.room.close();
    }

    fn is_half_empty(&self) -> bool {
        self.room.available_permits() >= ROOM / 2
    }

    fn report(&self, report: Report) {
        if let Some(queue) = &*lock(&self.queue) {
            // Nobody follows any more, if it fails.
            let _ = queue.send(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use futures::FutureExt as _;

    use super::*;
    use crate::abi::{Subscribe, Transport as _};
    use crate::transport::waku::wire::MessagePush;
    use crate::transport::{WakuOptions, WakuTransport};

    const TOPIC: &str = "/app/1/name/proto";

    fn message(number: usize) -> WakuMessage {
        let payload = number.to_be_bytes().to_vec();
        WakuMessage { payload, content_topic: TOPIC.into(), timestamp: Some(1), ..WakuMessage::default() }
    }

    fn number_of(payload: &[u8]) -> usize {
        usize::from_be_bytes(payload.try_into().unwrap())
    }

    async fn subscribed() -> (WakuTransport, String, BoxStream<'static, Result<TransportEvent>>) {
        let transport = WakuTransport::new(WakuOptions::new(42, 8)).unwrap();
        let events = transport.start();
        transport.subscribe(Subscribe { topics: vec![TOPIC.into()] }).await.unwrap();
        let pubsub_topic = transport.shared.pubsub_topic(TOPIC).unwrap();
        (transport, pubsub_topic, events)
    }

    #[tokio::test]
    async fn f3_pushed_messages_wait_for_a_slow_client_and_none_is_lost() {
        const COUNT: usize = ROOM + 50;
        let (transport, topic, mut events) = subscribed().await;
        let (shared, topic) = (&transport.shared, topic.as_str());
        let push = |number| {
            tokio::task::unconstrained(async move {
                let place = shared.reports.place().await.unwrap();
                let push = MessagePush { message: Some(message(number)), pubsub_topic: Some(topic.to_owned()) };
                shared.receive_pushed(push, place);
            })
        };
        let mut pushing: Vec<_> = (0..COUNT).map(|number| Box::pin(push(number))).collect();
        let taken = pushing.iter_mut().filter_map(|push| push.now_or_never()).count();
        assert_eq!(taken, ROOM, "the others keep their streams waiting");
        drop(pushing.drain(..ROOM));
        let mut seen = HashSet::new();
        let following = async {
            while seen.len() < COUNT {
                if let Some(transport_event::Event::Envelope(it)) = events.next().await.unwrap().unwrap().event {
                    seen.insert(number_of(&it.payload));
                }
            }
        };
        let patience = std::time::Duration::from_secs(30);
        let both = futures::future::join(following, futures::future::join_all(pushing));
        tokio::time::timeout(patience, both).await.unwrap();
        transport.stop().await.unwrap();
    }

    #[tokio::test]
    async fn f3_what_relay_brings_without_room_is_left_to_the_history_which_a_new_connection_asks_for() {
        let (transport, topic, mut events) = subscribed().await;
        transport.shared.set_online(true);
        for number in 0..=ROOM {
            transport.shared.receive_relayed(&topic, message(number));
        }
        let mut heard = Vec::new();
        let offline = async {
            loop {
                match events.next().await.unwrap().unwrap().event.unwrap() {
                    transport_event::Event::Envelope(it) => heard.push(number_of(&it.payload)),
                    transport_event::Event::Connection(change) if !change.online => return,
                    transport_event::Event::Connection(_) => {}
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(2), offline).await.expect("the gap was not told");
        assert!(heard.len() >= ROOM / 2, "told while there was no room yet");
        while let Some(Some(Ok(TransportEvent { event }))) = events.next().now_or_never() {
            if let Some(transport_event::Event::Envelope(it)) = event {
                heard.push(number_of(&it.payload));
            }
        }
        assert_eq!(heard, (0..ROOM).collect::<Vec<_>>());
        // It counts as not seen.
        transport.shared.receive_relayed(&topic, message(ROOM));
        let last = events.next().await.unwrap().unwrap().event;
        assert!(matches!(last, Some(transport_event::Event::Envelope(it)) if number_of(&it.payload) == ROOM));
        transport.stop().await.unwrap();
    }

    #[tokio::test]
    async fn f3_a_stop_frees_those_who_wait_for_room() {
        let (transport, topic, _events) = subscribed().await;
        for number in 0..ROOM {
            transport.shared.receive_relayed(&topic, message(number));
        }
        let (place, stopped) = futures::join!(transport.shared.reports.place(), transport.stop());
        assert!(place.is_none());
        stopped.unwrap();
    }
}
