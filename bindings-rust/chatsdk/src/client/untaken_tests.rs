//! F4: what the core could not take in, and nobody tells again.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::trap_tests::network::{LocalTransport, Network};
use super::watched_storage::{Access, WatchedStorage};
use super::{Client, DeliveryStatus, InviteOptions, Options};
use crate::abi::{Clock, EnvelopeBatch, Instant, Publish, QueryHistory, Subscribe, Transport, TransportEvent, change};
use crate::error::{Error, ErrorCode, Result};
use crate::keys::StorageKey;
use crate::storage::{SqliteOptions, SqliteStorage};

/// Time passes so many times as fast.
const HURRY: u32 = 25;

struct HurriedClock(SystemTime);

impl HurriedClock {
    fn unix_ms(&self) -> u64 {
        let now = self.0 + self.0.elapsed().unwrap() * HURRY;
        now.duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
    }
}

#[async_trait]
impl Clock for HurriedClock {
    async fn now(&self) -> Result<Instant> {
        Ok(Instant { unix_ms: self.unix_ms() })
    }

    async fn sleep_until(&self, at: Instant) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(at.unix_ms.saturating_sub(self.unix_ms())) / HURRY).await;
        Ok(())
    }
}

/// What a step of the core may end with.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Panic,
    Code(ErrorCode),
}

const FAILURES: [Failure; 4] = [
    Failure::Panic,
    Failure::Code(ErrorCode::DatabaseLocked),
    Failure::Code(ErrorCode::StorageFull),
    Failure::Code(ErrorCode::Internal),
];

#[derive(Clone, Default)]
struct Controls {
    failure: Arc<Mutex<Option<Failure>>>,
    /// Events that were forgotten.
    forgotten: Arc<AtomicUsize>,
    /// The next publication fails the storage before it is answered.
    fail_when_published: Arc<Mutex<Option<Failure>>>,
    /// No message leaves.
    mute: Arc<AtomicBool>,
    published: Arc<AtomicUsize>,
}

impl Controls {
    fn fail(&self, failure: Option<Failure>) {
        *self.failure.lock().unwrap() = failure;
    }

    fn watcher(&self) -> impl Fn(Access<'_>) -> Result<()> + use<> {
        let controls = self.clone();
        move |access| {
            match access {
                Access::Read => controls.check()?,
                Access::List => {}
                Access::Commit(batch) => {
                    let is_event = |change: &&crate::abi::Change| matches!(&change.change, Some(change::Change::Delete(key)) if key.starts_with("event/"));
                    let forgotten = batch.changes.iter().filter(is_event).count();
                    controls.forgotten.fetch_add(forgotten, Ordering::SeqCst);
                }
            }
            Ok(())
        }
    }

    fn check(&self) -> Result<()> {
        let failure = *self.failure.lock().unwrap();
        match failure {
            None => Ok(()),
            Some(Failure::Panic) => panic!("on purpose"),
            Some(Failure::Code(code)) => Err(Error::new(code, "on purpose")),
        }
    }
}

struct ControlledTransport {
    transport: LocalTransport,
    controls: Controls,
}

#[async_trait]
impl Transport for ControlledTransport {
    fn start(&self) -> BoxStream<'static, Result<TransportEvent>> {
        self.transport.start()
    }

    async fn subscribe(&self, request: Subscribe) -> Result<()> {
        self.transport.subscribe(request).await
    }

    async fn publish(&self, request: Publish) -> Result<()> {
        self.controls.published.fetch_add(1, Ordering::SeqCst);
        if let Some(failure) = self.controls.fail_when_published.lock().unwrap().take() {
            self.controls.fail(Some(failure));
        }
        if self.controls.mute.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.transport.publish(request).await
    }

    fn query_history(&self, request: QueryHistory) -> BoxStream<'static, Result<EnvelopeBatch>> {
        self.transport.query_history(request)
    }

    async fn stop(&self) -> Result<()> {
        self.transport.stop().await
    }
}

async fn open(folder: &tempfile::TempDir, name: &str, network: &Network) -> (Client, Controls) {
    let controls = Controls::default();
    let sqlite = SqliteOptions { create: true, maximum_bytes: None };
    let storage = SqliteStorage::open(folder.path().join(name), sqlite).unwrap();
    let options = Options::new(folder.path().join(name), StorageKey::Raw([7; 32]))
        .without_anchor()
        .clock(HurriedClock(SystemTime::now()))
        .storage(WatchedStorage::new(storage, controls.watcher()))
        .transport(ControlledTransport { transport: network.transport(), controls: controls.clone() });
    (Client::open(options).await.unwrap(), controls)
}

async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !is().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Several attempts of an input.
async fn a_while() {
    tokio::time::sleep(Duration::from_secs(12) / HURRY).await;
}

/// Bob writes to alice. Gives the conversation's id.
async fn meet(alice: &Client, bob: &Client) -> String {
    let account = alice.default_account().await.unwrap();
    let invite = alice.create_invite(&account.id, InviteOptions::default()).await.unwrap();
    let me = bob.default_account().await.unwrap();
    let conversation = bob.accept_invite(&me.id, &invite.link, "Hello!").await.unwrap();
    until("alice has the conversation", async || !alice.conversations().await.unwrap().is_empty()).await;
    // The acknowledgement too.
    let first = conversation.id.clone();
    until("bob knows", async || {
        let messages = bob.messages(&first, super::Page::newest(1)).await.unwrap();
        messages[0].status == Some(DeliveryStatus::Delivered)
    })
    .await;
    conversation.id
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_an_acknowledgement_is_made_again_until_it_is_taken_in() {
    for failure in FAILURES {
        let (folder, network) = (tempfile::tempdir().unwrap(), Network::default());
        let ((alice, controls), (bob, _)) =
            (open(&folder, "alice", &network).await, open(&folder, "bob", &network).await);
        meet(&alice, &bob).await;
        let mut events = alice.events();
        assert!(events.next().await.unwrap().number() > 0);
        controls.fail(Some(failure));
        // Which acknowledges the first one.
        assert!(events.next().await.unwrap().number() > 0);
        a_while().await;
        assert_eq!(controls.forgotten.load(Ordering::SeqCst), 0);
        controls.fail(None);
        until(&format!("after {failure:?} the event is forgotten"), async || {
            controls.forgotten.load(Ordering::SeqCst) > 0
        })
        .await;
        alice.close().await.unwrap();
        bob.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_a_publications_result_is_told_again_until_it_is_taken_in() {
    for failure in FAILURES {
        let (folder, network) = (tempfile::tempdir().unwrap(), Network::default());
        let ((alice, _), (bob, controls)) =
            (open(&folder, "alice", &network).await, open(&folder, "bob", &network).await);
        let conversation = meet(&alice, &bob).await;
        a_while().await;
        controls.mute.store(true, Ordering::SeqCst);
        let before = controls.published.load(Ordering::SeqCst);
        *controls.fail_when_published.lock().unwrap() = Some(failure);
        let sent = bob.send(&conversation, "lost").await.unwrap();
        a_while().await;
        controls.fail(None);
        until(&format!("after {failure:?} the message is sent"), async || {
            let message = bob.message(&conversation, &sent.id).await;
            message.is_ok_and(|message| message.status == Some(DeliveryStatus::Sent))
        })
        .await;
        // A core that is made anew publishes what is not known to be sent.
        if !matches!(failure, Failure::Panic) {
            assert_eq!(controls.published.load(Ordering::SeqCst) - before, 1, "{failure:?}");
        }
        alice.close().await.unwrap();
        bob.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_closing_tries_once_more_and_waits_for_nothing_else() {
    let (folder, network) = (tempfile::tempdir().unwrap(), Network::default());
    let ((alice, controls), (bob, of_bob)) =
        (open(&folder, "alice", &network).await, open(&folder, "bob", &network).await);
    meet(&alice, &bob).await;
    for (client, controls) in [(&alice, &controls), (&bob, &of_bob)] {
        let mut events = client.events();
        events.next().await.unwrap();
        controls.fail(Some(Failure::Code(ErrorCode::DatabaseLocked)));
        events.next().await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    controls.fail(None);
    let began = tokio::time::Instant::now();
    alice.close().await.unwrap();
    assert!(controls.forgotten.load(Ordering::SeqCst) > 0);
    bob.close().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "closing took {:?}", began.elapsed());
}
