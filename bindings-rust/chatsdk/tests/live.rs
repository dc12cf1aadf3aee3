//! Clients over the real Waku service node, which `WAKU_NODE_BIN` names: `cargo test -- --include-ignored`.

mod common;

use std::time::{Duration, Instant};

use chatsdk::abi::{Config, Publish, QueryHistory, Subscribe, Transport as _, TransportEvent, transport_event};
use chatsdk::{Client, DeliveryStatus, ErrorCode, InviteOptions, Page, Result, StorageKey, WakuOptions, WakuTransport};
use chatsdk_test_support::ServiceNode;
use common::{PATIENCE, Person, Stage};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::watch;

fn quick() -> Config {
    Config { ack_delay_ms: 100, ack_interval_ms: 100, ..Config::default() }
}

fn key() -> StorageKey {
    StorageKey::Raw([7; 32])
}

fn waku(address: &str, relay: bool) -> WakuOptions {
    WakuOptions { peers: vec![address.into()], relay, ..WakuOptions::new(42, 8) }
}

async fn person(stage: &Stage, name: &str, waku: WakuOptions) -> Person {
    Person::open(stage.options(name, key()).protocol(quick()).waku(waku)).await
}

async fn acquaint(alice: &mut Person, bob: &Person) -> String {
    let account = alice.chat.default_account().await.unwrap();
    let invite = alice.chat.create_invite(&account.id, InviteOptions::default()).await.unwrap();
    let me = bob.chat.default_account().await.unwrap();
    let conversation = bob.chat.accept_invite(&me.id, &invite.link, "Hello!").await.unwrap();
    alice.until_text("Hello!").await;
    conversation.id
}

async fn chat_both_ways(alice_waku: WakuOptions, bob_waku: WakuOptions) {
    let stage = Stage::new();
    let mut alice = person(&stage, "alice", alice_waku).await;
    alice.until_online().await;
    let mut bob = person(&stage, "bob", bob_waku).await;
    bob.until_online().await;
    let id = acquaint(&mut alice, &bob).await;
    let sent = alice.chat.send(&id, "Hello Bob").await.unwrap();
    bob.until_text("Hello Bob").await;
    alice.until_status(&sent.id, DeliveryStatus::Delivered).await;
    let back = bob.chat.send(&id, "x".repeat(200_000)).await.unwrap();
    alice.until_text(&"x".repeat(200_000)).await;
    bob.until_status(&back.id, DeliveryStatus::Delivered).await;
    alice.close().await;
    bob.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WAKU_NODE_BIN: the service node"]
async fn f3_two_clients_chat_over_tcp_and_over_websockets() {
    let node = ServiceNode::start();
    chat_both_ways(waku(&node.tcp, false), waku(&node.websocket, false)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WAKU_NODE_BIN: the service node"]
async fn f3_a_client_of_relay_chats_with_one_of_light_push() {
    let node = ServiceNode::start();
    chat_both_ways(waku(&node.tcp, true), waku(&node.tcp, false)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WAKU_NODE_BIN: the service node"]
async fn f4_what_was_sent_in_an_absence_arrives_and_a_restart_in_the_middle_loses_nothing() {
    let node = ServiceNode::start();
    let stage = Stage::new();
    let mut alice = person(&stage, "alice", waku(&node.tcp, false)).await;
    let mut bob = person(&stage, "bob", waku(&node.tcp, false)).await;
    let id = acquaint(&mut alice, &bob).await;
    alice.chat.send(&id, "before").await.unwrap();
    bob.until_text("before").await;
    bob.close().await;
    for number in 0..30 {
        alice.chat.send(&id, format!("message {number}")).await.unwrap();
    }
    // In the middle of sending.
    drop(alice);
    let mut alice = reopen(&stage, "alice", &node).await;
    let last = alice.chat.send(&id, "the last").await.unwrap();
    alice.until_status(&last.id, DeliveryStatus::Sent).await;
    let mut bob = person(&stage, "bob", waku(&node.tcp, false)).await;
    bob.until_text("the last").await;
    alice.until_status(&last.id, DeliveryStatus::Delivered).await;
    let received = bob.chat.messages(&id, Page::newest(100)).await.unwrap();
    assert_eq!(received.len(), 33, "each once");
    alice.close().await;
    bob.close().await;
}

/// A dropped client needs a moment to free its file.
async fn reopen(stage: &Stage, name: &str, node: &ServiceNode) -> Person {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let options = stage.options(name, key()).protocol(quick()).waku(waku(&node.tcp, false));
        match Client::open(options).await {
            Ok(chat) => {
                let events = chat.events();
                return Person { chat, events };
            }
            Err(error) => {
                assert!(error.code() == ErrorCode::DatabaseLocked && Instant::now() < deadline, "{error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WAKU_NODE_BIN: the service node"]
async fn f3_a_wrong_key_connects_to_nothing_and_an_unreachable_node_is_reported() {
    let node = ServiceNode::start();
    let stage = Stage::new();
    let mut alice = person(&stage, "alice", waku(&node.tcp, false)).await;
    alice.until_online().await;
    alice.close().await;
    let options = stage.options("alice", StorageKey::Raw([8; 32])).waku(waku(&node.tcp, false));
    assert_eq!(Client::open(options).await.err().unwrap().code(), ErrorCode::WrongKey);
    // Nobody listens there.
    let alone = WakuTransport::new(waku("/ip4/127.0.0.1/tcp/1", false)).unwrap();
    let first = tokio::time::timeout(PATIENCE, alone.start().next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(first.event, Some(transport_event::Event::Connection(change)) if !change.online), "{first:?}");
    let message = Publish { topic: "/app/1/name/proto".into(), payload: vec![1], ..Publish::default() };
    let error = alone.publish(message).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::TransportFailed, true));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WAKU_NODE_BIN: the service node"]
async fn f3_a_node_that_stands_still_is_left_and_found_again() {
    let node = ServiceNode::start();
    let stage = Stage::new();
    let impatient = |address: &str| WakuOptions {
        request_timeout: Duration::from_millis(500),
        watchdog_interval: Duration::from_millis(500),
        ..waku(address, false)
    };
    let mut alice = person(&stage, "alice", impatient(&node.tcp)).await;
    let mut bob = person(&stage, "bob", impatient(&node.websocket)).await;
    let id = acquaint(&mut alice, &bob).await;
    node.pause();
    for person in [&mut alice, &mut bob] {
        person
            .until("offline", |event| {
                matches!(event, chatsdk::Event::ConnectionChanged { online: false }).then_some(())
            })
            .await;
    }
    let sent = alice.chat.send(&id, "after the pause").await.unwrap();
    node.resume();
    bob.until_text("after the pause").await;
    alice.until_status(&sent.id, DeliveryStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WAKU_NODE_BIN: the service node"]
async fn f3_a_node_that_pushes_all_the_time_keeps_the_subscription() {
    let node = ServiceNode::start_with(&["--filter-idle-timeout", "4s"]);
    const TOPIC: &str = "/steady/1/messages/proto";
    let watchful = WakuOptions { watchdog_interval: Duration::from_millis(300), ..waku(&node.tcp, false) };
    let receiver = WakuTransport::new(watchful).unwrap();
    let mut events = receiver.start();
    receiver.subscribe(Subscribe { topics: vec![TOPIC.into()] }).await.unwrap();
    let sender = WakuTransport::new(waku(&node.tcp, false)).unwrap();
    let mut events_of_sender = sender.start();
    let online = |event: &TransportEvent| matches!(&event.event, Some(transport_event::Event::Connection(change)) if change.online);
    while !online(&events_of_sender.next().await.unwrap().unwrap()) {}
    let sending = async {
        for number in 0..100_u8 {
            let message = Publish { topic: TOPIC.into(), payload: vec![number], ..Publish::default() };
            sender.publish(message).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut changes = Vec::new();
    let taking = async {
        loop {
            match events.next().await.unwrap().unwrap().event {
                Some(transport_event::Event::Connection(change)) => changes.push(change.online),
                Some(transport_event::Event::Envelope(envelope)) if envelope.payload == [99] => break,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(sending, taking) }).await.unwrap();
    assert_eq!(changes, [true]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WAKU_NODE_BIN: the service node"]
async fn f3_a_burst_of_pushes_arrives_whole() {
    let node = ServiceNode::start_with(&["--rate-limit", "0"]);
    const TOPIC: &str = "/burst/1/messages/proto";
    const COUNT: usize = 1_500;
    let receiver = WakuTransport::new(waku(&node.tcp, false)).unwrap();
    let mut events = receiver.start();
    receiver.subscribe(Subscribe { topics: vec![TOPIC.into()] }).await.unwrap();
    let sender = std::sync::Arc::new(
        WakuTransport::new(WakuOptions { publish_concurrency: 64, ..waku(&node.tcp, false) }).unwrap(),
    );
    let _events_of_sender = sender.start();
    let online = |event: &TransportEvent| matches!(&event.event, Some(transport_event::Event::Connection(change)) if change.online);
    while !online(&events.next().await.unwrap().unwrap()) {}
    tokio::time::sleep(Duration::from_millis(500)).await;
    let start_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let publishing = (0..COUNT).map(|number| {
        let sender = std::sync::Arc::clone(&sender);
        let payload = (number as u32).to_be_bytes().to_vec();
        tokio::spawn(async move {
            let message = Publish { topic: TOPIC.into(), payload, ..Publish::default() };
            for _ in 0..5 {
                match sender.publish(message.clone()).await {
                    Ok(()) => return,
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
            }
            panic!("message {number} was not taken");
        })
    });
    let publishing: Vec<_> = publishing.collect();
    let mut seen = std::collections::HashSet::new();
    let taking = async {
        while seen.len() < COUNT {
            if let Some(transport_event::Event::Envelope(envelope)) = events.next().await.unwrap().unwrap().event {
                assert_eq!(envelope.topic, TOPIC);
                seen.insert(envelope.payload);
            }
        }
    };
    tokio::time::timeout(PATIENCE, taking).await.unwrap_or_else(|_| panic!("{} of {COUNT} came", seen.len()));
    for publication in publishing {
        publication.await.unwrap();
    }
    // The store has the same, in pages and in order.
    let stored: std::collections::HashSet<_> = history(&receiver, TOPIC, start_ms, false).await.into_iter().collect();
    assert_eq!(stored, seen);
    receiver.stop().await.unwrap();
    assert!(events.next().await.is_none(), "no event after the stop");
    sender.stop().await.unwrap();
}

/// The payloads that the store has for a topic, of ten minutes, in the order given.
async fn history(transport: &WakuTransport, topic: &str, start_ms: u64, missed_only: bool) -> Vec<Vec<u8>> {
    let topics = vec![topic.to_owned()];
    let end_ms = start_ms + 600_000;
    let query = QueryHistory { topics, start_ms, end_ms, missed_only, ..QueryHistory::default() };
    let pages: Vec<_> = transport.query_history(query).collect().await;
    pages.into_iter().flat_map(|page| page.unwrap().envelopes).map(|envelope| envelope.payload).collect()
}

/// Each of the tests' payloads repeats its number.
fn numbers_of(payloads: &[Vec<u8>]) -> Vec<u8> {
    payloads.iter().map(|payload| payload[0]).collect()
}

/// Takes what is pushed, until dropped; gives how many messages were.
fn take_pushes(mut events: BoxStream<'static, Result<TransportEvent>>) -> watch::Receiver<Option<usize>> {
    let (count, counted) = watch::channel(None);
    tokio::spawn(async move {
        while let Some(Ok(TransportEvent { event })) = events.next().await {
            let more = match event {
                Some(transport_event::Event::Envelope(_)) => 1,
                Some(transport_event::Event::Connection(change)) if change.online => 0,
                _ => continue,
            };
            count.send_modify(|count| *count = Some(count.unwrap_or(0) + more));
        }
    });
    counted
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WAKU_NODE_BIN: the service node"]
async fn f4_history_of_what_was_missed_leaves_out_what_was_pushed() {
    let node = ServiceNode::start_with(&["--rate-limit", "0"]);
    const TOPIC: &str = "/missed/1/messages/proto";
    let small_pages = WakuOptions { history_page_size: 2, ..waku(&node.tcp, false) };
    let transport = WakuTransport::new(small_pages).unwrap();
    let mut taken = take_pushes(transport.start());
    tokio::time::timeout(PATIENCE, taken.wait_for(Option::is_some)).await.unwrap().unwrap();
    let publish = async |numbers: std::ops::Range<u8>| {
        for number in numbers {
            let message = Publish { topic: TOPIC.into(), payload: vec![number; 100], ..Publish::default() };
            transport.publish(message).await.unwrap();
        }
    };
    let subscribe = async |topics: &[&str]| {
        let topics = topics.iter().map(|&topic| topic.to_owned()).collect();
        transport.subscribe(Subscribe { topics }).await.unwrap();
    };
    let start_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let numbers = async |missed_only| numbers_of(&history(&transport, TOPIC, start_ms, missed_only).await);
    publish(0..3).await;
    subscribe(&[TOPIC]).await;
    publish(3..9).await;
    tokio::time::timeout(PATIENCE, taken.wait_for(|&count| count == Some(6))).await.unwrap().unwrap();
    subscribe(&[]).await;
    publish(9..10).await;
    subscribe(&[TOPIC]).await;
    publish(10..12).await;
    tokio::time::timeout(PATIENCE, taken.wait_for(|&count| count == Some(8))).await.unwrap().unwrap();
    // The archive writes in batches.
    let deadline = Instant::now() + PATIENCE;
    while numbers(false).await != (0..12).collect::<Vec<_>>() {
        assert!(Instant::now() < deadline, "{:?}", numbers(false).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(numbers(true).await, [0, 1, 2, 9]);
    assert_eq!(numbers(true).await, [0, 1, 2, 9], "what came with the history is not taken for pushed");
    let anew = WakuTransport::new(waku(&node.tcp, false)).unwrap();
    let mut online = take_pushes(anew.start());
    tokio::time::timeout(PATIENCE, online.wait_for(Option::is_some)).await.unwrap().unwrap();
    assert_eq!(history(&anew, TOPIC, start_ms, true).await.len(), 12, "nothing was pushed to it");
    anew.stop().await.unwrap();
    transport.stop().await.unwrap();
}

/// More than one answer of the store holds.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WAKU_NODE_BIN: the service node"]
async fn f4_large_messages_that_were_missed_come_whole() {
    let node = ServiceNode::start_with(&["--rate-limit", "0"]);
    const TOPIC: &str = "/missed/1/large/proto";
    let transport = WakuTransport::new(waku(&node.tcp, false)).unwrap();
    let mut online = take_pushes(transport.start());
    tokio::time::timeout(PATIENCE, online.wait_for(Option::is_some)).await.unwrap().unwrap();
    let start_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    for number in 0..40 {
        let message = Publish { topic: TOPIC.into(), payload: vec![number; 140_000], ..Publish::default() };
        transport.publish(message).await.unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let numbers = numbers_of(&history(&transport, TOPIC, start_ms, true).await);
        if numbers == (0..40).collect::<Vec<_>>() {
            break;
        }
        assert!(Instant::now() < deadline, "{numbers:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    transport.stop().await.unwrap();
}
