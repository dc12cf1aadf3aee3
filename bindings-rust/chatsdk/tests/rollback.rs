//! Old copies of a database.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chatsdk::abi::{
    ChangeBatch, Clock, Config, ConversationBatch, CountUnreadRequest, EnvelopeBatch, GetConversationRequest,
    GetMessageRequest, Instant, ListConversationsRequest, ListMessagesRequest, MessageRows, Publish, QueryHistory,
    RateLimit, Read, ReadAnswer, SearchMessagesRequest, Storage, StoredHeader, Subscribe, Transport, TransportEvent,
    UnreadCount, VaultHeader,
};
use chatsdk::{
    Client, ErrorCode, InviteOptions, Options, Result, RollbackAnchor, SqliteOptions, SqliteStorage, StorageKey,
    SystemClock,
};
use common::network::{LocalTransport, Network};
use common::{PATIENCE, Stage};
use futures::stream::BoxStream;

const EPOCH_SECONDS: u32 = 600;

/// The system's clock, and so many milliseconds ahead.
#[derive(Clone, Default)]
struct LaterClock {
    ahead: Arc<AtomicU64>,
}

impl LaterClock {
    fn to_next_epoch(&self) {
        self.ahead.fetch_add(u64::from(EPOCH_SECONDS) * 1000, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for LaterClock {
    async fn now(&self) -> Result<Instant> {
        Ok(Instant { unix_ms: SystemClock.now().await?.unix_ms + self.ahead.load(Ordering::SeqCst) })
    }

    async fn sleep_until(&self, at: Instant) -> Result<()> {
        let unix_ms = at.unix_ms.saturating_sub(self.ahead.load(Ordering::SeqCst));
        SystemClock.sleep_until(Instant { unix_ms }).await
    }
}

/// Notes the slots of what is published, and that anything leaves.
struct Watched {
    inner: LocalTransport,
    slots: Arc<Mutex<Vec<(u64, u32)>>>,
    notes: Notes,
}

#[async_trait]
impl Transport for Watched {
    fn start(&self) -> BoxStream<'static, Result<TransportEvent>> {
        self.inner.start()
    }

    async fn subscribe(&self, request: Subscribe) -> Result<()> {
        self.notes.add("subscribe");
        self.inner.subscribe(request).await
    }

    async fn publish(&self, request: Publish) -> Result<()> {
        let slot = request.slot.unwrap();
        self.slots.lock().unwrap().push((slot.epoch, slot.message_id));
        self.inner.publish(request).await
    }

    fn query_history(&self, request: QueryHistory) -> BoxStream<'static, Result<EnvelopeBatch>> {
        self.inner.query_history(request)
    }

    async fn stop(&self) -> Result<()> {
        self.inner.stop().await
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<&'static str>>>);

impl Notes {
    fn add(&self, note: &'static str) {
        self.0.lock().unwrap().push(note);
    }
}

/// Has seen commit 1,000.
struct NotedAnchor(Notes);

impl RollbackAnchor for NotedAnchor {
    fn read(&self, _: &str) -> Result<Option<u64>> {
        self.0.add("read");
        Ok(Some(1000))
    }

    fn write(&self, _: &str, generation: u64) -> Result<()> {
        self.0.add(if generation > 1000 { "write" } else { "lowered" });
        Ok(())
    }

    fn flush(&self) {
        self.0.add("flush");
    }

    fn lock(&self, _: &str) -> Result<()> {
        self.0.add("lock");
        Ok(())
    }
}

/// Copies of one limited database, opened one after the other at one path.
#[derive(Default)]
struct Copies {
    stage: Stage,
    network: Network,
    clock: LaterClock,
    slots: Arc<Mutex<Vec<(u64, u32)>>>,
    notes: Notes,
}

impl Copies {
    fn options(&self, name: &str) -> Options {
        let rate_limit = RateLimit { epoch_seconds: EPOCH_SECONDS, messages_per_epoch: 100, credentials: Vec::new() };
        let slots = Arc::clone(&self.slots);
        let transport = Watched { inner: self.network.transport(), slots, notes: self.notes.clone() };
        self.stage
            .options(name, StorageKey::Raw([7; 32]))
            .protocol(Config { rate_limit: Some(rate_limit), ..Config::default() })
            .transport(transport)
            .clock(self.clock.clone())
    }

    async fn open(&self, name: &str) -> Client {
        Client::open(self.options(name)).await.unwrap()
    }

    async fn accept(&self, name: &str) -> Client {
        Client::open(self.options(name).accept_rollback(true)).await.unwrap()
    }

    async fn is_refused(&self, name: &str) {
        let refused = Client::open(self.options(name)).await.err().unwrap();
        assert_eq!(refused.code(), ErrorCode::StateRolledBack, "{refused}");
    }

    fn copy(&self, from: &str, to: &str) {
        std::fs::copy(self.stage.path(from), self.stage.path(to)).unwrap();
    }

    fn used(&self) -> Vec<(u64, u32)> {
        self.slots.lock().unwrap().clone()
    }

    /// Of somebody who never reads.
    async fn links<const COUNT: usize>(&self) -> [String; COUNT] {
        let options = self.stage.options("bob", StorageKey::Raw([7; 32]));
        let bob = Client::open(options.transport(Network::default().transport())).await.unwrap();
        let account = bob.default_account().await.unwrap();
        let mut links = Vec::new();
        for _ in 0..COUNT {
            links.push(bob.create_invite(&account.id, InviteOptions::default()).await.unwrap().link);
        }
        bob.close().await.unwrap();
        links.try_into().unwrap()
    }
}

/// Accepts a link, and closes once it is published.
async fn accept_and_close(alice: Client, link: &str) {
    let me = alice.default_account().await.unwrap();
    alice.accept_invite(&me.id, link, "hello").await.unwrap();
    alice.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_the_newest_copy_put_back_after_an_older_was_accepted_is_refused_and_no_slot_goes_out_twice() {
    let copies = Copies::default();
    let [first, second, third] = copies.links().await;
    let alice = copies.open("alice").await;
    let me = alice.default_account().await.unwrap();
    alice.close().await.unwrap();
    copies.copy("alice", "old");

    let alice = copies.open("alice").await;
    let id = alice.accept_invite(&me.id, &first, "hello").await.unwrap().id;
    for number in 0..20 {
        alice.send(&id, number.to_string()).await.unwrap();
    }
    alice.close().await.unwrap();
    copies.copy("alice", "newest");

    copies.copy("old", "alice");
    copies.is_refused("alice").await;
    let alice = copies.accept("alice").await;
    copies.clock.to_next_epoch();
    accept_and_close(alice, &second).await;
    let used = copies.used();
    assert!(used.len() >= 22 && used.first().unwrap().0 < used.last().unwrap().0, "{used:?}");
    // What was accepted is the newest from now on.
    copies.open("alice").await.close().await.unwrap();
    copies.copy("alice", "accepted");

    let used = copies.used();
    copies.copy("newest", "alice");
    copies.is_refused("alice").await;
    assert_eq!(copies.used(), used, "a refused copy publishes nothing");
    let alice = copies.accept("alice").await;
    copies.clock.to_next_epoch();
    accept_and_close(alice, &third).await;
    let mut now = copies.used();
    assert!(now.len() > used.len(), "the accepted copy publishes");
    let count = now.len();
    now.sort_unstable();
    now.dedup();
    assert_eq!(now.len(), count, "a slot went out twice: {:?}", copies.used());
    copies.copy("accepted", "alice");
    copies.is_refused("alice").await;
    // Accepted again, the oldest leaves all the others behind.
    copies.copy("old", "alice");
    copies.accept("alice").await.close().await.unwrap();
    copies.open("alice").await.close().await.unwrap();
    copies.copy("accepted", "alice");
    copies.is_refused("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_one_of_two_copies_is_open_at_a_time() {
    let copies = Copies::default();
    copies.open("alice").await.close().await.unwrap();
    copies.copy("alice", "copy");
    let alice = copies.open("alice").await;
    let locked = Client::open(copies.options("copy")).await.err().unwrap();
    assert_eq!((locked.code(), locked.is_retryable()), (ErrorCode::DatabaseLocked, true), "{locked}");
    alice.create_account().await.unwrap();
    alice.close().await.unwrap();
    copies.is_refused("copy").await;
    copies.accept("copy").await.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_the_anchor_is_durable_before_anything_of_an_accepted_copy_leaves() {
    let copies = Copies::default();
    let options = copies.options("alice").anchor(NotedAnchor(copies.notes.clone())).accept_rollback(true);
    let alice = Client::open(options).await.unwrap();
    let notes = || copies.notes.0.lock().unwrap().clone();
    let subscribed = async {
        while !notes().contains(&"subscribe") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, subscribed).await.expect("it subscribes");
    alice.close().await.unwrap();
    assert_eq!(notes()[..4], ["lock", "read", "write", "flush"], "{:?}", notes());
    assert!(!notes().contains(&"lowered"), "{:?}", notes());
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_a_start_that_fails_in_the_core_fails_to_open_and_the_rollback_is_not_accepted() {
    let copies = Copies::default();
    let [link] = copies.links().await;
    accept_and_close(copies.open("alice").await, &link).await;
    copies.copy("alice", "old");
    let alice = copies.open("alice").await;
    alice.create_account().await.unwrap();
    alice.close().await.unwrap();
    copies.copy("old", "alice");
    let storage = Damaging(SqliteStorage::open(copies.stage.path("alice"), SqliteOptions::default()).unwrap());
    let options = copies.options("alice").storage(storage).accept_rollback(true);
    let refused = Client::open(options).await.err().unwrap();
    assert_eq!(refused.code(), ErrorCode::DatabaseCorrupt, "{refused}");
    copies.is_refused("alice").await;
}

/// Changes a byte of what is read of conversations.
struct Damaging(SqliteStorage);

impl Storage for Damaging {
    fn read(&self, read: Read) -> Result<ReadAnswer> {
        let mut answer = self.0.read(read)?;
        for record in answer.records.iter_mut().filter(|record| record.key.starts_with("conv/")) {
            *record.value.last_mut().unwrap() ^= 1;
        }
        Ok(answer)
    }

    fn get_header(&self) -> Result<StoredHeader> {
        Storage::get_header(&self.0)
    }

    fn put_header(&self, header: VaultHeader) -> Result<()> {
        Storage::put_header(&self.0, header)
    }

    fn commit(&self, batch: ChangeBatch) -> Result<()> {
        Storage::commit(&self.0, batch)
    }

    fn list_conversations(&self, request: ListConversationsRequest) -> Result<ConversationBatch> {
        Storage::list_conversations(&self.0, request)
    }

    fn get_conversation(&self, request: GetConversationRequest) -> Result<ConversationBatch> {
        Storage::get_conversation(&self.0, request)
    }

    fn get_message(&self, request: GetMessageRequest) -> Result<MessageRows> {
        Storage::get_message(&self.0, request)
    }

    fn list_messages(&self, request: ListMessagesRequest) -> Result<MessageRows> {
        Storage::list_messages(&self.0, request)
    }

    fn count_unread(&self, request: CountUnreadRequest) -> Result<UnreadCount> {
        Storage::count_unread(&self.0, request)
    }

    fn search_messages(&self, request: SearchMessagesRequest) -> Result<MessageRows> {
        Storage::search_messages(&self.0, request)
    }

    fn close(&self) -> Result<()> {
        Storage::close(&self.0)
    }
}
