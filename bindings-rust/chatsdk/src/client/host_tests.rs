//! S4: parts of the application that are slow, fast or broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};

use super::watched_storage::{Access, WatchedStorage};
use super::{Client, Options};
use crate::abi::{
    EnvelopeBatch, EnvelopeReceived, Publish, QueryHistory, Subscribe, Transport, TransportEvent, transport_event,
};
use crate::error::{ErrorCode, Result};
use crate::keys::StorageKey;
use crate::storage::{SqliteOptions, SqliteStorage};

/// Has envelopes without end for whoever asks.
#[derive(Clone, Default)]
struct Flood {
    asked: Arc<AtomicUsize>,
    quiet: bool,
}

#[async_trait]
impl Transport for Flood {
    fn start(&self) -> BoxStream<'static, Result<TransportEvent>> {
        if self.quiet {
            return stream::pending().boxed();
        }
        let asked = Arc::clone(&self.asked);
        let envelopes = stream::repeat_with(move || {
            asked.fetch_add(1, Ordering::SeqCst);
            let envelope = EnvelopeReceived { topic: "/app/1/name/proto".into(), payload: vec![0; 100] };
            Ok(TransportEvent { event: Some(transport_event::Event::Envelope(envelope)) })
        });
        envelopes.boxed()
    }

    async fn subscribe(&self, _: Subscribe) -> Result<()> {
        Ok(())
    }

    async fn publish(&self, _: Publish) -> Result<()> {
        Ok(())
    }

    fn query_history(&self, _: QueryHistory) -> BoxStream<'static, Result<EnvelopeBatch>> {
        stream::empty().boxed()
    }

    async fn stop(&self) -> Result<()> {
        Ok(())
    }
}

fn break_if(told: &AtomicBool) {
    assert!(!told.load(Ordering::SeqCst), "on purpose");
}

fn options(folder: &tempfile::TempDir) -> Options {
    Options::new(folder.path().join("alice"), StorageKey::Raw([7; 32])).without_anchor()
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_a_transport_waits_while_the_core_is_busy() {
    let (folder, flood) = (tempfile::tempdir().unwrap(), Flood::default());
    let alice = Client::open(options(&folder).transport(flood.clone())).await.unwrap();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (begun, busy) = tokio::sync::oneshot::channel();
    let keeping_busy = alice.inner.engine.with(move |_| {
        begun.send(()).unwrap();
        Ok(wait.recv().is_ok())
    });
    let watching = async {
        busy.await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let asked = flood.asked.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(flood.asked.load(Ordering::SeqCst), asked, "it is asked for more than is taken in");
        go_on.send(()).unwrap();
        asked
    };
    let (kept_busy, asked) = tokio::join!(keeping_busy, watching);
    assert!(kept_busy.unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while flood.asked.load(Ordering::SeqCst) < asked + 1_000 {
        assert!(tokio::time::Instant::now() < deadline, "it goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    alice.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_a_storage_that_panics_fails_a_call_and_the_next_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteOptions { create: true, maximum_bytes: None };
    let storage = SqliteStorage::open(folder.path().join("alice"), sqlite).unwrap();
    let [break_commit, break_reads] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (commit, reads) = (break_commit.clone(), break_reads.clone());
    let fragile = WatchedStorage::new(storage, move |access| {
        match access {
            Access::Commit(_) => break_if(&commit),
            Access::Read | Access::List => break_if(&reads),
        }
        Ok(())
    });
    let quiet = Flood { quiet: true, ..Flood::default() };
    let alice = Client::open(options(&folder).storage(fragile).transport(quiet)).await.unwrap();
    let account = alice.default_account().await.unwrap();

    break_commit.store(true, Ordering::SeqCst);
    let error = alice.create_account().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Internal);
    assert!(error.message().contains("panicked") && !error.message().contains("purpose"), "{error}");
    break_commit.store(false, Ordering::SeqCst);
    assert_eq!(alice.accounts().await.unwrap(), std::slice::from_ref(&account), "nothing of it is there");

    // In the middle of a call of the module, outside of one, and while the core is made anew.
    break_reads.store(true, Ordering::SeqCst);
    assert_eq!(alice.conversations().await.unwrap_err().code(), ErrorCode::Internal);
    assert_eq!(alice.accounts().await.unwrap_err().code(), ErrorCode::Internal);
    assert_eq!(alice.accounts().await.unwrap_err().code(), ErrorCode::Internal);
    break_reads.store(false, Ordering::SeqCst);
    let second = alice.create_account().await.unwrap();
    assert_eq!(alice.accounts().await.unwrap(), [account, second]);
    alice.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_a_change_of_the_key_that_is_given_up_before_its_turn_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = || Flood { quiet: true, ..Flood::default() };
    let alice = Client::open(options(&folder).transport(quiet())).await.unwrap();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (begun, busy) = tokio::sync::oneshot::channel();
    let of_busy = alice.clone();
    let keeping_busy = tokio::spawn(async move {
        let keep = move |_: &mut crate::engine::Worker| {
            begun.send(()).unwrap();
            Ok(wait.recv().is_ok())
        };
        of_busy.inner.engine.with(keep).await
    });
    busy.await.unwrap();
    // The key is derived at once, and then waits for its turn.
    let changing = alice.change_storage_key(StorageKey::Raw([7; 32]), StorageKey::Raw([8; 32]));
    assert!(tokio::time::timeout(Duration::from_secs(1), changing).await.is_err());
    let read = Arc::new(AtomicBool::new(false));
    let reads = Arc::clone(&read);
    let reading = alice.inner.engine.with(move |_| {
        reads.store(true, Ordering::SeqCst);
        Ok(())
    });
    assert!(reading.now_or_never().is_none());
    go_on.send(()).unwrap();
    assert!(keeping_busy.await.unwrap().unwrap());
    alice.close().await.unwrap();
    assert!(!read.load(Ordering::SeqCst), "a read that nobody waits for");
    Client::open(options(&folder).transport(quiet())).await.unwrap().close().await.unwrap();
}
