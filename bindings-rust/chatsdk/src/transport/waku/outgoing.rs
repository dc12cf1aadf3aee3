//! What a publication is on the network: a message with its timestamp, and the proof of its slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use tokio::sync::Semaphore;

use super::failed;
use super::timestamps::Timestamps;
use super::wire::WakuMessage;
use crate::abi::Publish;
use crate::error::{ErrorCode, Result};
use crate::transport::{ProofRequest, RateLimitProver};

pub(super) struct Outgoing {
    prover: Option<Arc<dyn RateLimitProver>>,
    /// One proof at a time: it keeps all cores busy, and the timestamp in it must be fresh when it leaves.
    turn: Arc<Semaphore>,
    timestamps: Timestamps,
    /// The prover failed, as the log says.
    broken: AtomicBool,
}

impl Outgoing {
    pub(super) fn new(prover: Option<Arc<dyn RateLimitProver>>) -> Self {
        Self {
            prover,
            turn: Arc::new(Semaphore::new(1)),
            timestamps: Timestamps::default(),
            broken: AtomicBool::new(false),
        }
    }

    /// Fails with what the prover says. Without a prover no publication has a proof: the rate limit is counted, not proven.
    pub(super) async fn message(&self, publication: Publish) -> Result<WakuMessage> {
        let Publish { topic, payload, slot, .. } = publication;
        let mut message = WakuMessage { payload, content_topic: topic, ..WakuMessage::default() };
        let (Some(slot), Some(prover)) = (slot, self.prover.clone()) else {
            message.timestamp = Some(self.timestamps.next(SystemTime::now()));
            return Ok(message);
        };
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.map_err(|error| failed("no proof can be made; report this").caused_by(error))?;
        let timestamp_ns = self.timestamps.next(SystemTime::now());
        message.timestamp = Some(timestamp_ns);
        let proving = tokio::task::spawn_blocking(move || {
            // Ends with the proof, also if nobody waits for that any more.
            let _turn = turn;
            let request = ProofRequest {
                topic: &message.content_topic,
                payload: &message.payload,
                timestamp_ns,
                epoch: slot.epoch,
                message_id: slot.message_id,
            };
            message.rate_limit_proof = Some(prover.prove(&request)?);
            Ok(message)
        });
        let proven =
            proving.await.map_err(|error| failed("the prover ended unexpectedly; report this").caused_by(error));
        let proven = proven.flatten();
        self.note(&proven);
        proven
    }

    /// Says once that no proofs are made. The slot is spent by now, and so will be those of all further publications.
    fn note(&self, proven: &Result<WakuMessage>) {
        match proven {
            Ok(_) => self.broken.store(false, Ordering::SeqCst),
            // A slot of an epoch that has ended meanwhile says nothing of the prover; a client that closes needs none.
            Err(error) if matches!(error.code(), ErrorCode::InvalidArgument | ErrorCode::Closed) => {}
            Err(error) => {
                if !self.broken.swap(true, Ordering::SeqCst) {
                    tracing::error!(
                        "prover: {error}; each publication uses up a slot of the rate limit, and none leaves"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::abi::RateSlot;
    use crate::error::Error;

    const PROOF_TIME: Duration = Duration::from_millis(60);

    /// Its proof is what it was made for. Fails if it is asked while it works.
    #[derive(Default)]
    struct Prover {
        /// Whoever has it keeps proofs from being made.
        held: tokio::sync::Mutex<()>,
        busy: AtomicBool,
        proofs: AtomicUsize,
        ended: Mutex<Vec<SystemTime>>,
    }

    impl RateLimitProver for Prover {
        fn prove(&self, request: &ProofRequest<'_>) -> Result<Vec<u8>> {
            assert!(!self.busy.swap(true, Ordering::SeqCst), "one proof at a time");
            drop(self.held.blocking_lock());
            std::thread::sleep(PROOF_TIME);
            self.proofs.fetch_add(1, Ordering::SeqCst);
            self.ended.lock().unwrap().push(SystemTime::now());
            self.busy.store(false, Ordering::SeqCst);
            assert!(request.message_id != 13, "on purpose");
            if request.message_id == 14 {
                return Err(Error::new(ErrorCode::InvalidArgument, "epoch: over"));
            }
            Ok(format!("{request:?}").into_bytes())
        }
    }

    fn publication(message_id: Option<u32>) -> Publish {
        let slot = message_id.map(|message_id| RateSlot { epoch: 7, message_id });
        Publish { topic: "/app/1/name/proto".into(), payload: vec![1, 2], slot, ..Publish::default() }
    }

    fn with_prover() -> (Arc<Prover>, Arc<Outgoing>) {
        let prover = Arc::new(Prover::default());
        (Arc::clone(&prover), Arc::new(Outgoing::new(Some(prover))))
    }

    #[tokio::test]
    async fn s1_a_proof_is_made_for_the_slot_and_the_message_that_carries_it() {
        let (prover, outgoing) = with_prover();
        let message = outgoing.message(publication(Some(3))).await.unwrap();
        let request = ProofRequest {
            topic: &message.content_topic,
            payload: &message.payload,
            timestamp_ns: message.timestamp.unwrap(),
            epoch: 7,
            message_id: 3,
        };
        assert_eq!(message.rate_limit_proof, Some(format!("{request:?}").into_bytes()));
        assert_eq!(outgoing.message(publication(None)).await.unwrap().rate_limit_proof, None, "without a slot, none");
        assert_eq!(prover.proofs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn s1_without_a_prover_a_slot_is_only_counted_and_no_publication_has_a_proof() {
        let outgoing = Outgoing::new(None);
        for slot in [Some(0), None] {
            assert_eq!(outgoing.message(publication(slot)).await.unwrap().rate_limit_proof, None);
        }
    }

    #[tokio::test]
    async fn s1_proofs_take_turns_and_a_timestamp_is_drawn_when_the_turn_has_come() {
        let (prover, outgoing) = with_prover();
        let making = (0..4).map(|id| {
            let outgoing = Arc::clone(&outgoing);
            tokio::spawn(async move { outgoing.message(publication(Some(id))).await.unwrap().timestamp.unwrap() })
        });
        let mut timestamps: Vec<i64> =
            futures::future::join_all(making).await.into_iter().map(|made| made.unwrap()).collect();
        timestamps.sort_unstable();
        let ended = prover.ended.lock().unwrap().clone();
        for (end, next) in ended.iter().zip(&timestamps[1..]) {
            let end = end.duration_since(UNIX_EPOCH).unwrap().as_nanos();
            assert!(u128::try_from(*next).unwrap() >= end, "drawn while another proof was made");
        }
    }

    #[tokio::test]
    async fn s1_a_publication_that_is_given_up_leaves_the_line_and_one_whose_proof_is_being_made_holds_its_turn() {
        let (prover, outgoing) = with_prover();
        let held = prover.held.lock().await;
        let mut first = Box::pin(outgoing.message(publication(Some(0))));
        assert!(futures::poll!(&mut first).is_pending());
        while !prover.busy.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(first);
        let mut second = Box::pin(outgoing.message(publication(Some(1))));
        let mut third = Box::pin(outgoing.message(publication(Some(2))));
        assert!(futures::poll!(&mut second).is_pending() && futures::poll!(&mut third).is_pending());
        drop(second);
        assert_eq!(prover.proofs.load(Ordering::SeqCst), 0, "the first one is still being made");
        drop(held);
        third.await.unwrap();
        assert_eq!(prover.proofs.load(Ordering::SeqCst), 2, "the one that waited was not made");
    }

    #[tokio::test]
    async fn s1_a_prover_that_fails_or_panics_fails_one_publication() {
        let (_prover, outgoing) = with_prover();
        let error = outgoing.message(publication(Some(14))).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (ErrorCode::InvalidArgument, "epoch: over"));
        let error = outgoing.message(publication(Some(13))).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::TransportFailed);
        assert!(!error.message().contains("purpose"), "{error}");
        assert!(outgoing.message(publication(Some(15))).await.is_ok());
    }

    /// Keeps the lines that are errors.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl tracing::Subscriber for Lines {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            *metadata.level() == tracing::Level::ERROR
        }

        fn event(&self, event: &tracing::Event<'_>) {
            struct Text(String);
            impl tracing::field::Visit for Text {
                fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                    self.0 = format!("{value:?}");
                }
            }
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[tokio::test]
    async fn s1_a_prover_that_broke_is_an_error_in_the_log_once_until_it_works_again() {
        let (_prover, outgoing) = with_prover();
        let lines = Lines::default();
        // While there is one only, the thread that first comes to a line decides for all whether it is logged.
        let _second = tracing::Dispatch::new(Lines::default());
        let _listening = tracing::subscriber::set_default(lines.clone());
        let counts = async |message_id| {
            drop(outgoing.message(publication(Some(message_id))).await);
            lines.0.lock().unwrap().len()
        };
        assert_eq!(counts(14).await, 0, "an epoch that is over is no defect");
        assert_eq!((counts(13).await, counts(13).await), (1, 1));
        assert_eq!((counts(1).await, counts(13).await), (1, 2));
        let line = lines.0.lock().unwrap()[0].clone();
        assert!(line.contains("ended unexpectedly") && line.contains("slot") && !line.contains("purpose"), "{line}");
    }
}
