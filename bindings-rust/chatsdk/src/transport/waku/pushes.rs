//! What a node pushes, and how much of it may be under way.
//!
//! Streams are read to their end whether the client is slow or not: what lies unread in one takes 256 KiB and more (the window
//! of yamux). What was read is counted, and waits here.

use std::sync::Arc;
use std::time::Duration;

use futures::AsyncRead;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

use super::reports::Reports;
use super::wire::{MessagePush, WireError, begin_push, push_length, read_push};

/// Streams of one node. It opens one for each message it pushes, in a burst many at a time; yamux allows 512. What comes on
/// further ones is left to the history.
const STREAMS: usize = 256;
/// Of one node's messages, from their first byte until the client has taken them. What is more is left to the history.
const BYTES: usize = 8 * 1024 * 1024;
/// What a message takes beside its bytes.
const OVERHEAD: usize = 512;
/// How long a frame may take, from its first byte on, and the first one of a stream to begin.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);

/// A message, and its share of `BYTES`.
type Waiting = (MessagePush, OwnedSemaphorePermit);

/// Shared by the streams of one node.
pub(super) struct Pushes {
    streams: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    arrivals: mpsc::UnboundedSender<Waiting>,
    waiting: Mutex<mpsc::UnboundedReceiver<Waiting>>,
}

impl Pushes {
    pub(super) fn new() -> Self {
        let (arrivals, waiting) = mpsc::unbounded_channel();
        Self {
            streams: Arc::new(Semaphore::new(STREAMS)),
            bytes: Arc::new(Semaphore::new(BYTES)),
            arrivals,
            waiting: Mutex::new(waiting),
        }
    }

    /// For one more stream; `None` if there are too many.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    /// Reads a stream to its end, or until more would wait than may. Messages that are `wanted` then wait.
    pub(super) async fn read(
        &self,
        mut stream: impl AsyncRead + Unpin,
        reports: &Reports,
        mut wanted: impl FnMut(&MessagePush) -> bool,
    ) -> Result<(), WireError> {
        let mut begun = in_time(begin_push(&mut stream)).await?;
        while let Some(first) = begun {
            let Some(message) = in_time(self.finish(&mut stream, first)).await? else {
                reports.refuse();
                return Ok(());
            };
            if wanted(&message.0) {
                // The receiver is ours.
                let _ = self.arrivals.send(message);
            }
            // A node may keep its stream for the next message, however late that comes.
            begun = begin_push(&mut stream).await?;
        }
        Ok(())
    }

    /// `None` if there is no room for it.
    async fn finish(&self, stream: &mut (impl AsyncRead + Unpin), first: u8) -> Result<Option<Waiting>, WireError> {
        let length = push_length(stream, first).await?;
        let size = u32::try_from(length + OVERHEAD).unwrap_or(u32::MAX);
        match Arc::clone(&self.bytes).try_acquire_many_owned(size) {
            Ok(share) => Ok(Some((read_push(stream, length).await?, share))),
            Err(_) => Ok(None),
        }
    }

    /// The message that waits longest. Its share is given back when it is dropped.
    pub(super) async fn next(&self) -> Waiting {
        match self.waiting.lock().await.recv().await {
            Some(message) => message,
            // Never, the sender is ours.
            None => std::future::pending().await,
        }
    }
}

async fn in_time<T>(reading: impl Future<Output = Result<T, WireError>>) -> Result<T, WireError> {
    let late = |_| WireError::Deadline { what: "push", after: FRAME_TIMEOUT };
    tokio::time::timeout(FRAME_TIMEOUT, reading).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use std::io::Result;

    use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
    use prost::Message as _;
    use tokio::sync::Notify;
    use tokio::time::Instant;

    use super::*;
    use crate::transport::waku::wire::WakuMessage;

    fn push(size: usize) -> Vec<u8> {
        let message = WakuMessage { payload: vec![7; size], ..WakuMessage::default() };
        MessagePush { message: Some(message), pubsub_topic: Some("/waku/2/rs/42/0".into()) }
            .encode_length_delimited_to_vec()
    }

    /// A node that sends this, and neither more nor an end.
    fn stalling(bytes: Vec<u8>) -> impl AsyncRead + Unpin {
        readable(stream::iter([Ok(bytes)]).chain(stream::pending()))
    }

    fn readable(chunks: impl Stream<Item = Result<Vec<u8>>> + Send + 'static) -> impl AsyncRead + Unpin {
        chunks.boxed().into_async_read()
    }

    fn reports() -> Reports {
        Reports::new(Arc::new(Notify::new()))
    }

    fn is_late(ended: &std::result::Result<(), WireError>) -> bool {
        matches!(ended, Err(WireError::Deadline { .. }))
    }

    fn payload_of(push: &MessagePush) -> usize {
        push.message.as_ref().unwrap().payload.len()
    }

    #[tokio::test(start_paused = true)]
    async fn f3_pushes_that_are_begun_and_not_finished_end_in_time_and_leave_nothing() {
        let (pushes, other, reports) = (Pushes::new(), Pushes::new(), reports());
        let began = Instant::now();
        let half = &push(1000)[..500];
        let read = |_| async {
            let ended = pushes.read(stalling(half.to_vec()), &reports, |_| panic!("it is not whole")).await;
            assert!(is_late(&ended), "{ended:?}");
        };
        let hostile = futures::future::join_all((0..STREAMS).map(read));
        let honest = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            other.read(readable(stream::iter([Ok(push(1000))])), &reports, |_| true).await.unwrap();
            assert_eq!(payload_of(&other.next().await.0), 1000, "another node is heard meanwhile");
            assert_eq!(began.elapsed().as_secs(), 1);
        };
        futures::join!(hostile, honest);
        assert_eq!(began.elapsed(), FRAME_TIMEOUT);
        assert_eq!(pushes.bytes.available_permits(), BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn f3_a_stream_that_a_node_keeps_for_its_next_push_stays_and_one_that_brings_nothing_ends() {
        let (pushes, reports) = (Pushes::new(), reports());
        let later = stream::unfold(0, |sent| async move {
            tokio::time::sleep(Duration::from_secs(if sent == 0 { 1 } else { 3600 })).await;
            (sent < 3).then(|| (Ok(push(sent)), sent + 1))
        });
        pushes.read(readable(later), &reports, |push| payload_of(push) != 1).await.unwrap();
        assert_eq!(payload_of(&pushes.next().await.0), 0);
        assert_eq!(payload_of(&pushes.next().await.0), 2, "the one between is not wanted");
        let began = Instant::now();
        let silent = pushes.read(readable(stream::pending()), &reports, |_| true).await;
        assert!(is_late(&silent) && began.elapsed() == FRAME_TIMEOUT, "{silent:?}");
    }

    #[tokio::test]
    async fn f3_what_waits_is_bounded_and_more_is_left_to_the_history_if_the_client_is_slow() {
        let (pushes, reports) = (Pushes::new(), reports());
        let mut read = 0;
        let endless = || readable(stream::repeat_with(|| Ok(push(150_000))).take(100));
        pushes
            .read(endless(), &reports, |_| {
                read += 1;
                true
            })
            .await
            .unwrap();
        assert_eq!(read, BYTES / (push(150_000).len() + OVERHEAD));
        assert!(!reports.has_missed(), "the client is not slow, the node sends too much");
        let mut held: Vec<_> = std::iter::from_fn(|| reports.place_now()).collect();
        pushes.read(endless(), &reports, |_| panic!("there is no room")).await.unwrap();
        held.clear();
        assert!(reports.has_missed());
        for _ in 0..read {
            drop(pushes.next().await);
        }
        assert_eq!(pushes.bytes.available_permits(), BYTES);
    }

    #[tokio::test]
    async fn f3_the_smallest_messages_are_bounded_too() {
        let (pushes, reports) = (Pushes::new(), reports());
        let empty = MessagePush { message: Some(WakuMessage::default()), pubsub_topic: None };
        let bytes = empty.encode_length_delimited_to_vec().repeat(2 * BYTES / OVERHEAD);
        pushes.read(bytes.as_slice(), &reports, |_| true).await.unwrap();
        let waiting = pushes.waiting.lock().await.len();
        assert_eq!(waiting, BYTES / (OVERHEAD + 2));
        assert!(waiting * size_of::<Waiting>() < BYTES);
    }

    #[tokio::test]
    async fn f3_the_largest_message_of_a_network_is_taken_and_more_is_refused_before_it_is_read() {
        let (pushes, reports) = (Pushes::new(), reports());
        pushes.read(readable(stream::iter([Ok(push(150 * 1024))])), &reports, |_| true).await.unwrap();
        assert_eq!(payload_of(&pushes.next().await.0), 150 * 1024);
        let too_large = stalling(push(200 * 1024)[..10].to_vec());
        let refused = pushes.read(too_large, &reports, |_| true).await;
        assert!(matches!(refused, Err(WireError::Broken(_))), "{refused:?}");
    }

    #[test]
    fn f3_a_node_has_so_many_streams_and_gets_one_back_when_another_ends() {
        let pushes = Pushes::new();
        let mut admitted: Vec<_> = std::iter::from_fn(|| pushes.admit()).collect();
        assert_eq!(admitted.len(), STREAMS);
        drop(admitted.pop());
        assert!(pushes.admit().is_some());
        assert!(Pushes::new().admit().is_some(), "another node has its own");
    }
}
