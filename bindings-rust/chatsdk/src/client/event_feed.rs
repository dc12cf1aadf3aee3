//! Events on their way to the application's streams.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::Stream;

use super::event::Event;

/// A stored event counts as dealt with once every stream that there is has been asked for the one after it; without a stream
/// events wait, so that the first one sees all of them.
pub(super) struct EventFeed {
    state: Mutex<State>,
    on_acknowledged: Box<dyn Fn(u64) + Send + Sync>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    /// Place of the first of `events`.
    base: u64,
    readers: HashMap<u64, Reader>,
    next_reader: u64,
    acknowledged: u64,
    closed: bool,
}

struct Reader {
    /// Place of the next event.
    next: u64,
    /// `next` was handed out, and is dealt with when the one after it is asked for.
    handed_out: bool,
    waker: Option<Waker>,
}

impl EventFeed {
    pub(super) fn new(on_acknowledged: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { state: Mutex::default(), on_acknowledged: Box::new(on_acknowledged) }
    }

    pub(super) fn push(&self, event: Event) {
        let mut state = self.lock();
        // Of the moment only: for those who listen now.
        if event.number() == 0 && state.readers.is_empty() {
            return;
        }
        state.events.push_back(event);
        state.wake_all();
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.wake_all();
    }

    pub(super) fn read(self: &Arc<Self>) -> Events {
        let mut state = self.lock();
        let id = state.next_reader;
        state.next_reader += 1;
        let reader = Reader { next: state.base, handed_out: false, waker: None };
        state.readers.insert(id, reader);
        drop(state);
        Events { feed: Arc::clone(self), id }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acknowledge(&self, number: Option<u64>) {
        if let Some(number) = number {
            (self.on_acknowledged)(number);
        }
    }
}

impl State {
    fn wake_all(&mut self) {
        for reader in self.readers.values_mut() {
            if let Some(waker) = reader.waker.take() {
                waker.wake();
            }
        }
    }

    fn poll(&mut self, id: u64, context: &Context<'_>) -> (Option<u64>, Poll<Option<Event>>) {
        let Some(reader) = self.readers.get_mut(&id) else { return (None, Poll::Ready(None)) };
        let dealt_with = std::mem::take(&mut reader.handed_out);
        reader.next += u64::from(dealt_with);
        let acknowledged = if dealt_with { self.forget() } else { None };
        if self.closed {
            return (acknowledged, Poll::Ready(None));
        }
        let base = self.base;
        let Some(reader) = self.readers.get_mut(&id) else { return (acknowledged, Poll::Ready(None)) };
        let place = usize::try_from(reader.next - base).unwrap_or(usize::MAX);
        match self.events.get(place) {
            Some(event) => {
                reader.handed_out = true;
                (acknowledged, Poll::Ready(Some(event.clone())))
            }
            None => {
                reader.waker = Some(context.waker().clone());
                (acknowledged, Poll::Pending)
            }
        }
    }

    /// Drops what all readers have dealt with. Gives the number of the last stored event among it, if it is news.
    fn forget(&mut self) -> Option<u64> {
        let slowest = self.readers.values().map(|reader| reader.next).min()?;
        let done = usize::try_from(slowest.saturating_sub(self.base)).unwrap_or(usize::MAX).min(self.events.len());
        let last = self.events.drain(..done).map(|event| event.number()).max().unwrap_or(0);
        self.base += done as u64;
        (last > self.acknowledged).then(|| {
            self.acknowledged = last;
            last
        })
    }
}

/// What happens, in order, from the first event the application has not dealt with. An event counts as dealt with when the
/// stream is polled for the next one. Ends when the client closes.
pub struct Events {
    feed: Arc<EventFeed>,
    id: u64,
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let (acknowledged, polled) = self.feed.lock().poll(self.id, context);
        self.feed.acknowledge(acknowledged);
        polled
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut state = self.feed.lock();
        state.readers.remove(&self.id);
        // What only this one held up.
        let acknowledged = state.forget();
        drop(state);
        self.feed.acknowledge(acknowledged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt as _, StreamExt as _};

    fn numbered(number: u64) -> Event {
        Event::InviteReused { number, account_id: String::new(), invite_id: String::new() }
    }

    fn feed() -> (Arc<EventFeed>, Arc<Mutex<Vec<u64>>>) {
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&acknowledged);
        (Arc::new(EventFeed::new(move |number| log.lock().unwrap().push(number))), acknowledged)
    }

    fn next(events: &mut Events) -> Option<Option<u64>> {
        events.next().now_or_never().map(|event| event.map(|event| event.number()))
    }

    #[test]
    fn f4_an_event_is_dealt_with_when_the_next_one_is_asked_for() {
        let (feed, acknowledged) = feed();
        (1..=3).for_each(|number| feed.push(numbered(number)));
        let mut events = feed.read();
        assert_eq!(next(&mut events), Some(Some(1)));
        assert!(acknowledged.lock().unwrap().is_empty());
        assert_eq!(next(&mut events), Some(Some(2)));
        assert_eq!(*acknowledged.lock().unwrap(), [1]);
        drop(events);
        let mut again = feed.read();
        assert_eq!(next(&mut again), Some(Some(2)), "what was handed out last comes again");
    }

    #[test]
    fn f4_the_slowest_stream_decides_and_each_sees_all() {
        let (feed, acknowledged) = feed();
        let (mut fast, mut slow) = (feed.read(), feed.read());
        (1..=3).for_each(|number| feed.push(numbered(number)));
        for number in 1..=3 {
            assert_eq!(next(&mut fast), Some(Some(number)));
        }
        assert_eq!(next(&mut fast), None);
        assert!(acknowledged.lock().unwrap().is_empty());
        assert_eq!(next(&mut slow), Some(Some(1)));
        assert_eq!(next(&mut slow), Some(Some(2)));
        assert_eq!(*acknowledged.lock().unwrap(), [1]);
        drop(slow);
        assert_eq!(*acknowledged.lock().unwrap(), [1, 3], "only the slow one held it up");
    }

    #[test]
    fn f4_what_is_of_the_moment_is_for_those_who_listen() {
        let (feed, acknowledged) = feed();
        feed.push(Event::ConnectionChanged { online: true });
        let mut events = feed.read();
        assert_eq!(next(&mut events), None);
        feed.push(Event::ConnectionChanged { online: false });
        assert_eq!(next(&mut events), Some(Some(0)));
        feed.close();
        assert_eq!(next(&mut events), Some(None));
        assert!(acknowledged.lock().unwrap().is_empty());
    }
}
