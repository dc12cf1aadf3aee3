//! Clients over the real Waku service node with RLN, which `WAKU_NODE_RLN_BIN` names: `cargo test -- --include-ignored`.

#[path = "../../chatsdk/tests/common/mod.rs"]
mod common;

use std::collections::HashMap;
use std::path::Path;

use chatsdk::abi::Config;
use chatsdk::{Client, DeliveryStatus, ErrorCode, Event, InviteOptions, Options, StorageKey, WakuOptions};
use chatsdk_rln::RlnMembership;
use chatsdk_test_support::ServiceNode;
use common::{Person, Stage};

const EPOCH_SECONDS: u32 = 30;
const MESSAGES_PER_EPOCH: u32 = 10;

fn membership(group: &Path) -> RlnMembership {
    RlnMembership::new(&std::fs::read_to_string(group.join("group.json")).unwrap()).unwrap()
}

fn credentials(group: &Path, member: u32) -> Vec<u8> {
    std::fs::read(group.join(format!("member-{member}.json"))).unwrap()
}

fn options(stage: &Stage, name: &str, node: &ServiceNode, relay: bool) -> Options {
    let protocol = Config { ack_delay_ms: 1_000, ack_interval_ms: 5_000, ..Config::default() };
    let waku = WakuOptions { peers: vec![node.tcp.clone()], relay, ..WakuOptions::new(42, 8) };
    stage.options(name, StorageKey::Raw([7; 32])).protocol(protocol).waku(waku)
}

/// What the node tells at its end: messages by what became of them.
fn tally(log: &str) -> HashMap<String, u64> {
    let line = log.lines().find(|line| line.contains("RLN is off")).unwrap_or_else(|| panic!("no tally in:\n{log}"));
    serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WAKU_NODE_RLN_BIN: the service node with RLN"]
async fn s1_messages_over_the_quota_wait_are_announced_and_arrive_in_order_and_the_node_refuses_none() {
    let stage = Stage::new();
    let group = stage.folder.path().join("group");
    let node = ServiceNode::start_rln(&group, 2, MESSAGES_PER_EPOCH, EPOCH_SECONDS);
    let alice =
        options(&stage, "alice", &node, false).rln(membership(&group).credentials(credentials(&group, 0)).unwrap());
    let mut alice = Person::open(alice).await;
    // One by light push, the other by relay.
    let bob = options(&stage, "bob", &node, true).rln(membership(&group).credentials(credentials(&group, 1)).unwrap());
    let mut bob = Person::open(bob).await;
    alice.until_online().await;
    bob.until_online().await;

    let account = alice.chat.default_account().await.unwrap();
    let invite = alice.chat.create_invite(&account.id, InviteOptions::default()).await.unwrap();
    let me = bob.chat.default_account().await.unwrap();
    let id = bob.chat.accept_invite(&me.id, &invite.link, "Hello!").await.unwrap().id;
    alice.until_text("Hello!").await;

    let texts: Vec<String> = (0..25).map(|number| format!("message {number}")).collect();
    let mut last = None;
    for text in &texts {
        last = Some(alice.chat.send(&id, text.as_str()).await.unwrap());
    }
    let exhausted = |event: &Event| match event {
        Event::QuotaChanged { exhausted: true, renews_at, .. } => Some(*renews_at),
        _ => None,
    };
    let renews_at = alice.until("an exhausted quota", exhausted).await;
    let wait = renews_at.duration_since(std::time::SystemTime::now()).unwrap_or_default();
    assert!(wait.as_secs() <= u64::from(EPOCH_SECONDS), "{wait:?}");
    let quota = alice.chat.quota().await.unwrap();
    assert_eq!((quota.limit, quota.waiting > 0), (MESSAGES_PER_EPOCH, true), "{quota:?}");

    let mut received = Vec::new();
    while received.len() < texts.len() {
        let text = |event: &Event| match event {
            Event::MessageReceived { message, .. } => message.text.clone(),
            _ => None,
        };
        received.push(bob.until("a message", text).await);
    }
    assert_eq!(received, texts);
    alice.until_status(&last.unwrap().id, DeliveryStatus::Delivered).await;
    alice.close().await;

    // The second time the database has the credentials.
    let mut alice = Person::open(options(&stage, "alice", &node, false).rln(membership(&group))).await;
    assert_eq!(alice.chat.quota().await.unwrap().limit, MESSAGES_PER_EPOCH);
    let again = alice.chat.send(&id, "back again").await.unwrap();
    bob.until_text("back again").await;
    alice.until_status(&again.id, DeliveryStatus::Delivered).await;
    alice.close().await;
    bob.close().await;

    let log = node.stop();
    let mut tally = tally(&log);
    let accepted = tally.remove("accepted").unwrap();
    assert!(accepted > texts.len() as u64, "{accepted} were accepted");
    assert!(tally.len() >= 5 && tally.values().all(|&refused| refused == 0), "{tally:?}\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WAKU_NODE_RLN_BIN: the service node with RLN"]
async fn s1_credentials_of_another_group_open_no_client_and_reach_no_node() {
    let stage = Stage::new();
    let [group, other] = ["group", "other"].map(|name| stage.folder.path().join(name));
    let node = ServiceNode::start_rln(&group, 1, MESSAGES_PER_EPOCH, EPOCH_SECONDS);
    drop(ServiceNode::start_rln(&other, 1, MESSAGES_PER_EPOCH, EPOCH_SECONDS));
    let wrong = membership(&group).credentials(credentials(&other, 0)).unwrap();
    for membership in [wrong, membership(&group)] {
        let error = Client::open(options(&stage, "alice", &node, false).rln(membership)).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert!(error.message().starts_with("rln.credentials"), "{error}");
    }
    let right = membership(&group).credentials(credentials(&group, 0)).unwrap();
    Person::open(options(&stage, "alice", &node, false).rln(right)).await.close().await;
    assert!(tally(&node.stop()).values().all(|&count| count == 0));
}
