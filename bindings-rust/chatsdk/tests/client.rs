//! Clients over a network within the process.

mod common;

use std::time::Duration;

use chatsdk::abi::{Config, EnvelopeReceived, RateLimit};
use chatsdk::{
    Client, ContentType, DeliveryStatus, ErrorCode, Event, InviteOptions, Page, Reaction, Reply, SessionState,
    StorageKey,
};
use common::network::Network;
use common::{Person, Stage};

fn quick() -> Config {
    Config { ack_delay_ms: 50, ack_interval_ms: 50, ..Config::default() }
}

fn raw() -> StorageKey {
    StorageKey::Raw([7; 32])
}

async fn person(stage: &Stage, network: &Network, name: &str, key: StorageKey) -> Person {
    Person::open(stage.options(name, key).protocol(quick()).transport(network.transport())).await
}

/// Two people in a conversation, and its id.
async fn acquainted(stage: &Stage, network: &Network, keys: [StorageKey; 2]) -> (Person, Person, String) {
    let [of_alice, of_bob] = keys;
    let mut alice = person(stage, network, "alice", of_alice).await;
    let bob = person(stage, network, "bob", of_bob).await;
    let account = alice.chat.default_account().await.unwrap();
    let invite = alice.chat.create_invite(&account.id, InviteOptions::default()).await.unwrap();
    let me = bob.chat.default_account().await.unwrap();
    let conversation = bob.chat.accept_invite(&me.id, &invite.link, "Hello!").await.unwrap();
    let first = alice.until_text("Hello!").await;
    assert_eq!(first.conversation_id, conversation.id);
    (alice, bob, conversation.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_two_clients_chat_and_learn_how_far_their_messages_came() {
    let (stage, network) = (Stage::new(), Network::default());
    let (mut alice, mut bob, id) = acquainted(&stage, &network, [raw(), StorageKey::Unprotected]).await;
    let sent = alice.chat.send(&id, "Hello Bob").await.unwrap();
    assert_eq!((sent.outgoing, sent.status), (true, Some(DeliveryStatus::Queued)));
    alice.until_status(&sent.id, DeliveryStatus::Sent).await;
    let received = bob.until_text("Hello Bob").await;
    assert_eq!(received.id, sent.id);
    alice.until_status(&sent.id, DeliveryStatus::Delivered).await;
    assert_eq!(bob.chat.unread_count(&id).await.unwrap(), 1);
    bob.chat.mark_read(&id, &received.id).await.unwrap();
    assert_eq!(bob.chat.unread_count(&id).await.unwrap(), 0);
    alice.until_status(&sent.id, DeliveryStatus::Read).await;
    assert_eq!(alice.chat.conversation(&id).await.unwrap().session, SessionState::Established);
    assert_eq!(alice.chat.safety_number(&id).await.unwrap(), bob.chat.safety_number(&id).await.unwrap());
    alice.chat.set_verified(&id, true).await.unwrap();
    assert!(alice.chat.conversations().await.unwrap()[0].verified);
    let texts: Vec<_> = alice.chat.messages(&id, Page::default()).await.unwrap();
    assert_eq!(texts.iter().map(|message| message.text.clone().unwrap()).collect::<Vec<_>>(), ["Hello Bob", "Hello!"]);
    let older = alice.chat.messages(&id, Page::before(&texts[0], 10)).await.unwrap();
    assert_eq!(older.len(), 1);
    alice.close().await;
    bob.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_closed_client_is_not_online() {
    let (stage, network) = (Stage::new(), Network::default());
    let mut alice = person(&stage, &network, "alice", raw()).await;
    alice.until_online().await;
    assert!(alice.chat.is_online() && alice.chat.stats().await.unwrap().online);
    alice.chat.close().await.unwrap();
    assert!(!alice.chat.is_online());
    assert_eq!(alice.chat.stats().await.unwrap_err().code(), ErrorCode::Closed);
}

struct Move(String, String);

impl ContentType for Move {
    const DOMAIN: u32 = 0x6368_6573;
    const TAG: u32 = 1;
    const VERSION: u32 = 2;

    fn encode(&self) -> Vec<u8> {
        format!("{}-{}", self.0, self.1).into_bytes()
    }

    fn decode(payload: &[u8], _version: u32) -> Option<Self> {
        let (from, to) = std::str::from_utf8(payload).ok()?.split_once('-')?;
        Some(Self(from.into(), to.into()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f5_content_types_of_the_sdk_and_of_the_application_travel() {
    let (stage, network) = (Stage::new(), Network::default());
    let (alice, mut bob, id) = acquainted(&stage, &network, [raw(), raw()]).await;
    let text = alice.chat.send(&id, "e4?").await.unwrap();
    alice.chat.send(&id, Reply { message_id: text.id.clone(), text: "or d4".into() }).await.unwrap();
    alice.chat.send(&id, Reaction { message_id: text.id.clone(), reaction: "♟".into() }).await.unwrap();
    alice.chat.send(&id, Move("e2".into(), "e4".into())).await.unwrap();
    let mut received = Vec::new();
    while received.len() < 4 {
        let message = bob.until("a message", |event| match event {
            Event::MessageReceived { message, .. } => Some(message.clone()),
            _ => None,
        });
        received.push(message.await);
    }
    let reply: Reply = received[1].read().unwrap();
    assert_eq!((reply.text.as_str(), received[1].refers_to.as_ref()), ("or d4", Some(&text.id)));
    assert_eq!(received[2].read::<Reaction>().unwrap().reaction, "♟");
    let Move(from, to) = received[3].read().unwrap();
    assert_eq!((from.as_str(), to.as_str()), ("e2", "e4"));
    assert!(received[3].read::<Reply>().is_none() && received[0].read::<Move>().is_none());
    assert_eq!(alice.chat.send(&id, "").await.unwrap_err().code(), ErrorCode::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_errors_name_what_the_caller_gave_and_quote_little_of_it() {
    let (stage, network) = (Stage::new(), Network::default());
    let alice = person(&stage, &network, "alice", raw()).await;
    let me = alice.chat.default_account().await.unwrap();
    let long = "x".repeat(1 << 20);
    let key = || StorageKey::Raw([8; 32]);
    let options = InviteOptions { valid_for: Some(Duration::from_secs(400 * 86_400)), ..InviteOptions::default() };
    let change = |old, new| alice.chat.change_storage_key(old, new);
    for (error, begins) in [
        (alice.chat.conversation(&long).await.unwrap_err(), "conversation_id: no conversation \"xxx"),
        (alice.chat.message(&long, &long).await.unwrap_err(), "message_id: no message \"xxx"),
        (alice.chat.delete_conversation(&long).await.unwrap_err(), "conversation_id: no conversation \"xxx"),
        (alice.chat.delete_account(&long).await.unwrap_err(), "account_id: no account \"xxx"),
        (alice.chat.revoke_invite(&long).await.unwrap_err(), "invite_id: no invite \"xxx"),
        (alice.chat.create_invite(&me.id, options).await.unwrap_err(), "valid_for: more than a year"),
        (change(key(), key()).await.unwrap_err(), "old: it does not open this database"),
        (
            change(StorageKey::passphrase("x"), key()).await.unwrap_err(),
            "old.passphrase: this database needs a raw key",
        ),
        (change(raw(), StorageKey::passphrase("")).await.unwrap_err(), "new.passphrase: must not be empty"),
    ] {
        assert!(error.message().starts_with(begins) && error.message().len() < 250, "{error}");
    }
    alice.close().await;
    let reopened = async |key, protocol| {
        let options = stage.options("alice", key).protocol(protocol).transport(network.transport());
        Client::open(options).await.err().unwrap()
    };
    let error = reopened(key(), quick()).await;
    assert!(error.message().starts_with("storage_key: it does not open this database"), "{error}");
    let error = reopened(raw(), Config { bucket_count: 100_000, ..quick() }).await;
    assert!(error.message().starts_with("protocol.bucket_count: give 1 to"), "{error}");
}

/// The core is asked about none of those above 64 MiB, which is what it can be asked.
#[tokio::test(flavor = "multi_thread")]
async fn f5_a_content_of_any_size_above_the_largest_is_too_large_and_changes_nothing() {
    let (stage, network) = (Stage::new(), Network::default());
    let (alice, bob, id) = acquainted(&stage, &network, [raw(), raw()]).await;
    const LIMIT: usize = 64 << 20;
    for size in [5 << 20, LIMIT - 1000, LIMIT - 40, LIMIT, LIMIT + 1, 2 * LIMIT] {
        let error = alice.chat.send(&id, "x".repeat(size)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ContentTooLarge, "{size}: {error}");
        assert!(error.message().starts_with("content.payload: "), "{size}: {error}");
    }
    let me = alice.chat.default_account().await.unwrap();
    let link = {
        let theirs = bob.chat.default_account().await.unwrap();
        bob.chat.create_invite(&theirs.id, InviteOptions::default()).await.unwrap().link
    };
    let error = alice.chat.accept_invite(&me.id, &link, "x".repeat(LIMIT)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ContentTooLarge, "{error}");
    let error = alice.chat.accept_invite(&me.id, &"x".repeat(LIMIT), "Hello!").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
    assert_eq!(alice.chat.stats().await.unwrap().restarts, 0);
    assert_eq!(alice.chat.messages(&id, Page::default()).await.unwrap().len(), 1);
    alice.close().await;
    bob.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_messages_of_an_absence_arrive_with_the_history_and_events_once() {
    let (stage, network) = (Stage::new(), Network::default());
    let (mut alice, bob, id) = acquainted(&stage, &network, [raw(), raw()]).await;
    bob.close().await;
    let mut last = String::new();
    for number in 0..20 {
        last = alice.chat.send(&id, format!("message {number}")).await.unwrap().id;
    }
    alice.until_status(&last, DeliveryStatus::Sent).await;
    let mut bob = person(&stage, &network, "bob", raw()).await;
    for number in 0..20 {
        bob.until_text(&format!("message {number}")).await;
    }
    alice.until_status(&last, DeliveryStatus::Delivered).await;
    bob.close().await;
    let mut again = person(&stage, &network, "bob", raw()).await;
    alice.chat.send(&id, "the next").await.unwrap();
    let first = again.until("a message", |event| match event {
        Event::MessageReceived { message, .. } => message.text.clone(),
        _ => None,
    });
    assert!(["message 19", "the next"].contains(&first.await.as_str()), "what was dealt with comes not again");
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_messages_that_are_released_together_are_published_in_order() {
    const WAITING: usize = 60;
    let (stage, network) = (Stage::new(), Network::default());
    let rate_limit = Some(RateLimit { epoch_seconds: 3, messages_per_epoch: 100, ..RateLimit::default() });
    // Bob shows at once what comes too early.
    let options = |name: &str, rate_limit| {
        let protocol = Config { rate_limit, gap_delay_ms: 1, ..quick() };
        stage.options(name, raw()).protocol(protocol).transport(network.transport())
    };
    let alice = Person::open(options("alice", rate_limit)).await;
    let mut bob = Person::open(options("bob", None)).await;
    let account = bob.chat.default_account().await.unwrap();
    let invite = bob.chat.create_invite(&account.id, InviteOptions::default()).await.unwrap();
    let me = alice.chat.default_account().await.unwrap();
    let id = alice.chat.accept_invite(&me.id, &invite.link, "Hello!").await.unwrap().id;
    bob.until_text("Hello!").await;
    let mut sent = Vec::new();
    while usize::try_from(alice.chat.quota().await.unwrap().waiting).unwrap() < WAITING {
        let text = format!("message {}", sent.len());
        alice.chat.send(&id, text.as_str()).await.unwrap();
        sent.push(text);
    }
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let text = |event: &Event| match event {
            Event::MessageReceived { message, .. } => message.text.clone(),
            _ => None,
        };
        received.push(bob.until("a message", text).await);
    }
    assert_eq!(received, sent);
    alice.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_what_no_node_took_is_sent_after_a_restart() {
    let (stage, network) = (Stage::new(), Network::default());
    let (mut alice, bob, id) = acquainted(&stage, &network, [raw(), raw()]).await;
    network.set_broken(true);
    let sent = bob.chat.send(&id, "through the storm").await.unwrap();
    bob.close().await;
    network.set_broken(false);
    let mut bob = person(&stage, &network, "bob", raw()).await;
    alice.until_text("through the storm").await;
    bob.until_status(&sent.id, DeliveryStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_a_wrong_key_changes_nothing_and_makes_no_new_database() {
    let (stage, network) = (Stage::new(), Network::default());
    let pass = || StorageKey::passphrase("correct horse battery staple");
    let alice = person(&stage, &network, "alice", pass()).await;
    let account = alice.chat.default_account().await.unwrap();
    alice.close().await;
    let before = std::fs::read(stage.path("alice")).unwrap();
    for (wrong, code) in [
        (StorageKey::passphrase("correct horse battery stable"), ErrorCode::WrongKey),
        (raw(), ErrorCode::WrongKey),
        (StorageKey::Unprotected, ErrorCode::WrongKey),
        (StorageKey::passphrase(""), ErrorCode::InvalidArgument),
    ] {
        let error = Client::open(stage.options("alice", wrong).transport(network.transport())).await.err().unwrap();
        assert_eq!(error.code(), code, "{error}");
        assert!(!format!("{error:?}").contains("stable"));
    }
    assert_eq!(std::fs::read(stage.path("alice")).unwrap(), before);
    let again = person(&stage, &network, "alice", pass()).await;
    assert_eq!(again.chat.accounts().await.unwrap(), [account]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_the_storage_key_can_be_changed() {
    let (stage, network) = (Stage::new(), Network::default());
    let alice = person(&stage, &network, "alice", raw()).await;
    let account = alice.chat.default_account().await.unwrap();
    let new = || StorageKey::Raw([8; 32]);
    let wrong = alice.chat.change_storage_key(new(), raw()).await.unwrap_err();
    assert_eq!(wrong.code(), ErrorCode::WrongKey);
    let unprotected = alice.chat.change_storage_key(raw(), StorageKey::Unprotected).await.unwrap_err();
    assert_eq!(unprotected.code(), ErrorCode::InvalidArgument);
    alice.chat.change_storage_key(raw(), new()).await.unwrap();
    alice.chat.create_account().await.unwrap();
    alice.close().await;
    let refused = Client::open(stage.options("alice", raw()).transport(network.transport())).await.err().unwrap();
    assert_eq!(refused.code(), ErrorCode::WrongKey);
    let again = person(&stage, &network, "alice", new()).await;
    assert_eq!(again.chat.accounts().await.unwrap()[0], account);
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_a_database_that_is_open_is_locked_and_an_old_copy_is_refused() {
    let (stage, network) = (Stage::new(), Network::default());
    let alice = person(&stage, &network, "alice", raw()).await;
    let locked = Client::open(stage.options("alice", raw()).transport(network.transport())).await.err().unwrap();
    assert_eq!((locked.code(), locked.is_retryable()), (ErrorCode::DatabaseLocked, true));
    alice.chat.default_account().await.unwrap();
    alice.close().await;
    let old = std::fs::read(stage.path("alice")).unwrap();
    let alice = person(&stage, &network, "alice", raw()).await;
    alice.chat.create_account().await.unwrap();
    alice.close().await;
    std::fs::write(stage.path("alice"), &old).unwrap();
    let refused = Client::open(stage.options("alice", raw()).transport(network.transport())).await.err().unwrap();
    assert_eq!(refused.code(), ErrorCode::StateRolledBack, "{refused}");
    let accepted = stage.options("alice", raw()).transport(network.transport()).accept_rollback(true);
    let accepted = Person::open(accepted).await;
    assert_eq!(accepted.chat.accounts().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_messages_are_found_in_a_sealed_database_and_in_an_open_one() {
    let (stage, network) = (Stage::new(), Network::default());
    let (alice, _bob, id) = acquainted(&stage, &network, [raw(), StorageKey::Unprotected]).await;
    let mut bob = _bob;
    for text in ["Café at noon", "the cat sat", "cafeteria", "nothing here"] {
        alice.chat.send(&id, text).await.unwrap();
        bob.until_text(text).await;
    }
    for client in [&alice.chat, &bob.chat] {
        let texts = |query: &'static str, page: Page| async move {
            let found = client.search(query, page).await.unwrap();
            found.into_iter().map(|message| message.text.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(texts("cafe", Page::default()).await, ["cafeteria", "Café at noon"]);
        assert_eq!(texts("cafe", Page::newest(1)).await, ["cafeteria"]);
        assert_eq!(texts("noon AT", Page::default()).await, ["Café at noon"]);
        assert_eq!(texts("?!", Page::default()).await, [""; 0]);
        assert_eq!(client.search_in(&id, "sat", Page::default()).await.unwrap().len(), 1);
        let error = client.search("cafe", Page::newest(1001)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
    }
    let file = std::fs::read(stage.path("alice")).unwrap();
    let plain = |needle: &[u8]| file.windows(needle.len()).any(|window| window == needle);
    assert!(!plain(b"cafeteria"), "a sealed database has no plaintext");
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_forged_envelopes_change_nothing() {
    let (stage, network) = (Stage::new(), Network::default());
    let (alice, mut bob, id) = acquainted(&stage, &network, [raw(), raw()]).await;
    for envelope in network.kept() {
        for place in [0, 9, envelope.payload.len() / 2, envelope.payload.len() - 1] {
            let mut payload = envelope.payload.clone();
            payload[place] ^= 1;
            network.inject(&EnvelopeReceived { topic: envelope.topic.clone(), payload });
        }
        network.inject(&EnvelopeReceived { topic: envelope.topic.clone(), payload: vec![0xff; 10_000] });
        network.inject(&envelope);
    }
    alice.chat.send(&id, "still here").await.unwrap();
    bob.until_text("still here").await;
    assert_eq!(bob.chat.messages(&id, Page::default()).await.unwrap().len(), 2);
    assert_eq!(bob.chat.stats().await.unwrap().restarts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_ten_thousand_concurrent_calls_are_all_answered() {
    let (stage, network) = (Stage::new(), Network::default());
    let alice = person(&stage, &network, "alice", raw()).await;
    let account = alice.chat.default_account().await.unwrap();
    let calls: Vec<_> = (0..10_000)
        .map(|_| {
            let chat = alice.chat.clone();
            tokio::spawn(async move { chat.accounts().await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), std::slice::from_ref(&account));
    }
    let stats = alice.chat.stats().await.unwrap();
    assert!(stats.module_bytes > 0 && stats.module_bytes <= 64 * 1024 * 1024, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_calls_that_are_given_up_leave_no_half_state() {
    let (stage, network) = (Stage::new(), Network::default());
    let (alice, mut bob, id) = acquainted(&stage, &network, [raw(), raw()]).await;
    for number in 0..50_u64 {
        let sending = alice.chat.send(&id, format!("perhaps {number}"));
        drop(tokio::time::timeout(Duration::from_micros(number * 40), sending).await);
    }
    alice.chat.send(&id, "certainly").await.unwrap();
    bob.until_text("certainly").await;
    let sent = alice.chat.messages(&id, Page::newest(100)).await.unwrap();
    let received = bob.chat.messages(&id, Page::newest(100)).await.unwrap();
    let ids = |messages: &[chatsdk::Message]| messages.iter().map(|message| message.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&sent), ids(&received), "each is whole on both sides or on none");
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_a_client_that_is_closed_says_so_and_its_events_end() {
    let (stage, network) = (Stage::new(), Network::default());
    let mut alice = person(&stage, &network, "alice", raw()).await;
    let (one, two) = tokio::join!(alice.chat.default_account(), alice.chat.default_account());
    assert_eq!(one.unwrap(), two.unwrap(), "made once");
    alice.chat.close().await.unwrap();
    alice.chat.close().await.unwrap();
    assert_eq!(alice.chat.accounts().await.unwrap_err().code(), ErrorCode::Closed);
    assert_eq!(alice.chat.conversations().await.unwrap_err().code(), ErrorCode::Closed);
    while futures::StreamExt::next(&mut alice.events).await.is_some() {}
    // The file is free again.
    drop(person(&stage, &network, "alice", raw()).await);
    for _ in 0..200 {
        match Client::open(stage.options("alice", raw()).transport(network.transport())).await {
            Ok(again) => return again.close().await.unwrap(),
            Err(error) => assert_eq!(error.code(), ErrorCode::DatabaseLocked),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("dropping the client did not free the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_a_client_whose_close_is_not_waited_for_closes_all_the_same() {
    let (stage, network) = (Stage::new(), Network::default());
    let alice = person(&stage, &network, "alice", raw()).await;
    let closing = alice.chat.close();
    assert!(futures::FutureExt::now_or_never(closing).is_none(), "dropped at its first wait");
    // Waits for the first, while the client still exists.
    alice.chat.close().await.unwrap();
    person(&stage, &network, "alice", raw()).await.close().await;
}

#[test]
fn f1_clients_can_be_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Client>();
}
