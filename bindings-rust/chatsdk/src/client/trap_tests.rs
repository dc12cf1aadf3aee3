//! S4: a trap in the middle, and what goes on after it.

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../../tests/common/network.rs"]
pub(super) mod network;

use std::time::Duration;

use futures::StreamExt as _;

use self::network::Network;
use super::{Client, DeliveryStatus, Event, InviteOptions, Options, Page};
use crate::abi::RateLimit;
use crate::keys::StorageKey;

#[tokio::test(flavor = "multi_thread")]
async fn s1_credentials_of_the_rate_limit_are_wiped_after_the_start_and_a_trap_finds_them_in_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = b"identitySecret of a member".to_vec();
    let limit = RateLimit { epoch_seconds: 600, messages_per_epoch: 7, credentials };
    let protocol = crate::abi::Config { rate_limit: Some(limit), ..crate::abi::Config::default() };
    let options = Options::new(folder.path().join("alice"), StorageKey::Raw([7; 32])).without_anchor();
    let alice = Client::open(options.protocol(protocol).transport(Network::default().transport())).await.unwrap();
    let kept = |worker: &mut crate::engine::Worker| Ok(worker.core.holds_credentials());
    assert!(!alice.inner.engine.with(kept).await.unwrap());
    trap(&alice).await;
    assert_eq!(alice.quota().await.unwrap().limit, 7);
    alice.close().await.unwrap();
}

async fn open(folder: &tempfile::TempDir, name: &str, network: &Network) -> Client {
    let protocol = crate::abi::Config { ack_delay_ms: 50, ack_interval_ms: 50, ..crate::abi::Config::default() };
    let options = Options::new(folder.path().join(name), StorageKey::Raw([7; 32])).without_anchor().protocol(protocol);
    Client::open(options.transport(network.transport())).await.unwrap()
}

async fn trap(client: &Client) {
    let trapping = client.inner.engine.with(|worker| {
        worker.core.trap();
        Ok(())
    });
    trapping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_after_a_trap_calls_envelopes_and_events_go_on_and_nothing_comes_twice() {
    let (folder, network) = (tempfile::tempdir().unwrap(), Network::default());
    let (alice, bob) = (open(&folder, "alice", &network).await, open(&folder, "bob", &network).await);
    let mut events = bob.events();
    let account = alice.default_account().await.unwrap();
    let invite = alice.create_invite(&account.id, InviteOptions::default()).await.unwrap();
    let me = bob.default_account().await.unwrap();
    let id = bob.accept_invite(&me.id, &invite.link, "Hello!").await.unwrap().id;
    while alice.conversations().await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut last = String::new();
    for number in 0..12 {
        // Both sides, at different moments.
        trap(if number % 2 == 0 { &alice } else { &bob }).await;
        last = alice.send(&id, format!("message {number}")).await.unwrap().id;
        trap(&bob).await;
    }
    let mut received = Vec::new();
    let mut numbers = Vec::new();
    let receiving = async {
        while received.len() < 12 {
            let event = events.next().await.unwrap();
            numbers.extend(Some(event.number()).filter(|&number| number > 0));
            if let Event::MessageReceived { message, .. } = event {
                received.push(message.text.unwrap());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(90), receiving).await.expect("messages did not come");
    assert_eq!(received, (0..12).map(|number| format!("message {number}")).collect::<Vec<_>>());
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "no event comes twice: {numbers:?}");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(90);
    while alice.message(&id, &last).await.unwrap().status != Some(DeliveryStatus::Delivered) {
        assert!(tokio::time::Instant::now() < deadline, "no acknowledgement came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(alice.messages(&id, Page::newest(100)).await.unwrap().len(), 13);
    assert_eq!(alice.stats().await.unwrap().restarts, 6);
    assert_eq!(bob.stats().await.unwrap().restarts, 18);
    alice.close().await.unwrap();
    bob.close().await.unwrap();
}
