//! What a node pushes, and how much of it may be under way.

use std::sync::Arc;
use std::time::Duration;

use futures::AsyncRead;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reports::{Place, Reports};
use super::wire::{MessagePush, WireError, begin_push, finish_push};

/// Streams of one node. It opens one for each message it pushes, in a burst many at a time. What comes on further ones is left to the history.
const STREAMS: usize = 512;
/// Frames of one node that are read at a time: a part of the places for envelopes, so that one node cannot hold them all.
const READING: usize = 64;
/// How long a frame may take, from its first byte on, and the first one of a stream to begin.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);

/// Shared by the streams of one node.
pub(super) struct Pushes {
    streams: Arc<Semaphore>,
    reading: Semaphore,
}

impl Pushes {
    pub(super) fn new() -> Self {
        Self { streams: Arc::new(Semaphore::new(STREAMS)), reading: Semaphore::new(READING) }
    }

    /// For one more stream; `None` if there are too many.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    /// Reads a stream to its end, or until `take` has enough. A frame is read once there is a place for what is in it.
    pub(super) async fn read(
        &self,
        mut stream: impl AsyncRead + Unpin,
        reports: &Reports,
        mut take: impl FnMut(MessagePush, Place) -> bool,
    ) -> Result<(), WireError> {
        let mut begun = in_time(begin_push(&mut stream)).await?;
        while let Some(first) = begun {
            // Neither closes but with the transport.
            let Ok(reading) = self.reading.acquire().await else { return Ok(()) };
            let Some(place) = reports.place().await else { return Ok(()) };
            let push = in_time(finish_push(&mut stream, first)).await?;
            if !take(push, place) {
                return Ok(());
            }
            drop(reading);
            // A node may keep its stream for the next message, however late that comes.
            begun = begin_push(&mut stream).await?;
        }
        Ok(())
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

    #[tokio::test(start_paused = true)]
    async fn f3_pushes_that_are_begun_and_not_finished_end_in_time_and_few_of_a_node_are_read_at_once() {
        let (pushes, other, reports) = (Pushes::new(), Pushes::new(), reports());
        let began = Instant::now();
        let half = &push(1000)[..500];
        let read = |_| async {
            let ended = pushes.read(stalling(half.to_vec()), &reports, |_, _| panic!("it is not whole")).await;
            assert!(is_late(&ended), "{ended:?}");
            began.elapsed().as_secs()
        };
        let hostile = futures::future::join_all((0..2 * READING).map(read));
        let honest = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut heard = 0;
            let whole = readable(stream::iter([Ok(push(1000))]));
            other
                .read(whole, &reports, |_, _| {
                    heard += 1;
                    true
                })
                .await
                .unwrap();
            (heard, began.elapsed().as_secs())
        };
        let (took, honest) = futures::join!(hostile, honest);
        assert_eq!(honest, (1, 1), "another node is heard meanwhile");
        assert_eq!(took.iter().filter(|&&seconds| seconds == 10).count(), READING);
        assert_eq!(took.iter().filter(|&&seconds| seconds == 20).count(), READING);
    }

    #[tokio::test(start_paused = true)]
    async fn f3_a_stream_that_a_node_keeps_for_its_next_push_stays_and_one_that_brings_nothing_ends() {
        let (pushes, reports) = (Pushes::new(), reports());
        let later = stream::unfold(0, |sent| async move {
            tokio::time::sleep(Duration::from_secs(if sent == 0 { 1 } else { 3600 })).await;
            (sent < 3).then(|| (Ok(push(sent)), sent + 1))
        });
        let mut heard = Vec::new();
        let take = |push: MessagePush, _: Place| {
            heard.push(push.message.unwrap().payload.len());
            true
        };
        pushes.read(readable(later), &reports, take).await.unwrap();
        assert_eq!(heard, [0, 1, 2]);
        let began = Instant::now();
        let silent = pushes.read(readable(stream::pending()), &reports, |_, _| true).await;
        assert!(is_late(&silent) && began.elapsed() == FRAME_TIMEOUT, "{silent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn f3_nothing_is_read_for_which_there_is_no_place() {
        let (pushes, reports) = (Pushes::new(), reports());
        let mut held = Vec::new();
        while let Some(place) = reports.place_now() {
            held.push(place);
        }
        let mut heard = 0;
        let (_, read) = futures::join!(
            async {
                // Longer than a frame may take.
                tokio::time::sleep(Duration::from_secs(60)).await;
                held.clear();
            },
            pushes.read(readable(stream::iter([Ok(push(1000))])), &reports, |_, _| {
                heard += 1;
                true
            }),
        );
        read.unwrap();
        assert_eq!(heard, 1);
    }

    #[tokio::test]
    async fn f3_the_largest_message_of_a_network_is_taken_and_more_is_refused_before_it_is_read() {
        let (pushes, reports) = (Pushes::new(), reports());
        let mut heard = 0;
        let largest = readable(stream::iter([Ok(push(150 * 1024))]));
        pushes
            .read(largest, &reports, |_, _| {
                heard += 1;
                true
            })
            .await
            .unwrap();
        assert_eq!(heard, 1);
        let too_large = stalling(push(200 * 1024)[..10].to_vec());
        let refused = pushes.read(too_large, &reports, |_, _| true).await;
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
