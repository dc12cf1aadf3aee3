//! What every storage must do: the cases of conformance/src/storage-suite.ts that can hurt people.

use chatsdk::ErrorCode;
use chatsdk::abi::{
    Argon2id, Change, Conversation, DeliveryStatus, KeyDerivation, ListMessagesRequest, Message, Position,
    SearchMessagesRequest, TagChange, VaultHeader, change, key_derivation,
};
use chatsdk::{SqliteOptions, SqliteStorage};

use crate::changes::*;

fn page(storage: &SqliteStorage, before: Option<Position>, limit: u32) -> Vec<Message> {
    let request = ListMessagesRequest { conversation_id: "c1".into(), before, limit };
    storage.page(&request).unwrap().into_iter().map(|row| row.message.unwrap()).collect()
}

fn statuses(storage: &SqliteStorage) -> Vec<(String, DeliveryStatus)> {
    page(storage, None, 100).into_iter().rev().map(|message| (message.message_id.clone(), message.status())).collect()
}

fn found(storage: &SqliteStorage, query: &str) -> Vec<String> {
    let request = SearchMessagesRequest { query: query.into(), limit: 100, ..SearchMessagesRequest::default() };
    storage.search(&request).unwrap().into_iter().map(|row| row.message.unwrap().message_id).collect()
}

#[test]
fn f7_the_header_comes_back_and_is_replaced() {
    let (folder, storage) = fresh();
    assert_eq!(storage.header().unwrap(), None);
    let argon2id = Argon2id { salt: vec![9; 16], memory_kib: 65_536, passes: 3, lanes: 4 };
    let header = VaultHeader {
        format: 1,
        derivation: Some(KeyDerivation { derivation: Some(key_derivation::Derivation::Argon2id(argon2id)) }),
        sealed_data_key: vec![1; 72],
        database_id: "00112233445566778899aabbccddeeff".into(),
    };
    storage.put_header(&header).unwrap();
    let changed = VaultHeader { sealed_data_key: vec![2; 80], ..header };
    storage.put_header(&changed).unwrap();
    storage.close();
    let again = SqliteStorage::open(folder.path().join("chat.db"), SqliteOptions::default()).unwrap();
    assert_eq!(again.header().unwrap(), Some(changed));
}

#[test]
fn f7_changes_apply_in_order_and_tags_go_with_their_record() {
    let (_folder, storage) = fresh();
    storage
        .commit(&[put("a", 1), delete("a"), put("a", 2), put("b", 1), add_tags("a", &[1, 2]), add_tags("b", &[2, 3])])
        .unwrap();
    let key_of = |number| storage.find_tag(&tag(number)).unwrap().map(|record| record.key);
    assert_eq!(storage.get("a").unwrap().unwrap().value, [2]);
    assert_eq!([key_of(1), key_of(2), key_of(3)], [Some("a".into()), Some("b".into()), Some("b".into())]);
    storage.commit(&[put("a", 9)]).unwrap();
    assert_eq!(key_of(1), Some("a".into()), "a record that is replaced keeps its tags");
    storage.commit(&[delete_prefix("a"), put("a", 1), remove_tags(&[3, 7])]).unwrap();
    assert_eq!([key_of(1), key_of(2), key_of(3)], [None, Some("b".into()), None]);
}

#[test]
fn f7_a_commit_that_fails_changes_nothing_wherever_it_fails() {
    let (_folder, storage) = fresh();
    storage.commit(&[put("a", 1), put_message(message("m1", 1, "kept")), put_conversation("c1", 1)]).unwrap();
    let malformed = [
        Change::default(),
        change(change::Change::AddTags(TagChange { key: "a".into(), tags: vec![0; 7] })),
        change(change::Change::RemoveTags(vec![0; 9])),
        put("", 1),
        put("nul\0", 1),
        put_message(Message { message_id: String::new(), ..message("", 1, "x") }),
    ];
    let good = [put("a", 9), put("b", 9), delete("a"), put_message(message("m2", 2, "new")), delete_conversation("c1")];
    for bad in malformed {
        for place in 0..=good.len() {
            let mut changes = good.to_vec();
            changes.insert(place, bad.clone());
            assert_eq!(storage.commit(&changes).unwrap_err().code(), ErrorCode::Internal);
        }
    }
    assert_eq!(storage.get("a").unwrap().unwrap().value, [1]);
    assert!(storage.get("b").unwrap().is_none());
    assert_eq!(page(&storage, None, 10).len(), 1);
    assert_eq!(storage.conversations("").unwrap().len(), 1);
}

#[test]
fn f7_a_commit_that_does_not_fit_changes_nothing_and_the_next_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { create: true, maximum_bytes: Some(400_000) };
    let storage = SqliteStorage::open(folder.path().join("chat.db"), options).unwrap();
    storage.commit(&[put("a", 1)]).unwrap();
    let error = storage.commit(&[put("a", 2), put_bytes("large", vec![7; 1_000_000]), put("b", 1)]).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::StorageFull, true));
    assert_eq!(storage.get("a").unwrap().unwrap().value, [1]);
    storage.commit(&[put("a", 3)]).unwrap();
    assert_eq!(storage.get("a").unwrap().unwrap().value, [3]);
}

#[test]
fn f7_a_scan_is_in_the_order_of_bytes_and_knows_no_wildcards() {
    let (_folder, storage) = fresh();
    let keys = ["a_b/1", "a%", "a'", "aXb/1", "A_b/1", "a/\u{e000}", "a/\u{10000}", "b"];
    storage.commit(&keys.map(|key| put(key, 1))).unwrap();
    let scan = |prefix: &str, limit| {
        storage.scan(prefix, limit).unwrap().into_iter().map(|record| record.key).collect::<Vec<_>>()
    };
    let mut sorted = keys;
    sorted.sort_by_key(|key| key.as_bytes());
    assert_eq!(scan("", 0), sorted);
    assert_eq!(scan("a_b/", 0), ["a_b/1"]);
    assert_eq!(scan("a/", 1), ["a/\u{e000}"]);
    storage.commit(&[delete_prefix("a_b/"), delete_prefix("a%"), delete_prefix("a'")]).unwrap();
    assert_eq!(scan("", 0), ["A_b/1", "a/\u{e000}", "a/\u{10000}", "aXb/1", "b"]);
}

#[test]
fn f6_rows_come_back_as_put_with_every_field_and_with_hostile_values() {
    let (_folder, storage) = fresh();
    let row = Message {
        message_id: "m1".into(),
        conversation_id: "c1".into(),
        outgoing: true,
        sequence: u32::MAX,
        lamport: u64::MAX,
        timestamp_ms: 1 << 63,
        stored_ms: 5,
        domain: u32::MAX,
        tag: 77,
        version: 3,
        payload: vec![0, 255],
        text: Some("NUL \0 and \u{10ffff}".into()),
        refers_to: Some(String::new()),
        status: DeliveryStatus::Failed.into(),
        failure_reason: 99,
    };
    let conversation = Conversation {
        conversation_id: "c1".into(),
        account_id: "a1".into(),
        peer_identity_key: vec![7; 32],
        created_ms: u64::MAX,
        suite: 2,
        session_state: 4,
        verified: true,
        initiator: true,
        last_activity_ms: 1 << 62,
    };
    storage.commit(&[put_message(row.clone()), change(change::Change::PutConversation(conversation.clone()))]).unwrap();
    assert_eq!(storage.message("c1", "m1").unwrap().unwrap().message, Some(row));
    assert_eq!(storage.conversation("c1").unwrap(), Some(conversation));
    assert!(storage.message("c1", "none").unwrap().is_none() && storage.conversation("none").unwrap().is_none());
}

#[test]
fn f6_a_status_never_moves_back() {
    use DeliveryStatus::{Delivered, Failed, Queued, Read, Sent};
    let forward = [
        (Queued, Sent),
        (Queued, Delivered),
        (Queued, Read),
        (Queued, Failed),
        (Sent, Delivered),
        (Sent, Read),
        (Sent, Failed),
        (Delivered, Read),
        (Failed, Delivered),
        (Failed, Read),
    ];
    for from in [Queued, Sent, Delivered, Read, Failed] {
        for to in [Queued, Sent, Delivered, Read, Failed] {
            let (_folder, storage) = fresh();
            storage.commit(&[put_message(outgoing("m1", 1, from)), set_status("m1", to)]).unwrap();
            let expected = if forward.contains(&(from, to)) { to } else { from };
            assert_eq!(statuses(&storage), [("m1".into(), expected)], "{from:?} to {to:?}");
        }
    }
    let (_folder, storage) = fresh();
    storage
        .commit(&[put_message(message("theirs", 1, "x")), set_status("theirs", Sent), set_status("none", Sent)])
        .unwrap();
    assert_eq!(statuses(&storage), [("theirs".into(), DeliveryStatus::Unspecified)]);
}

#[test]
fn f6_reading_up_to_a_message_touches_that_side_only() {
    use DeliveryStatus::{Delivered, Read, Sent, Unspecified};
    let (_folder, storage) = fresh();
    let rows = [
        outgoing("m1", 1, Delivered),
        outgoing("m2", 2, Sent),
        outgoing("m3", 3, Delivered),
        outgoing("m4", 4, Delivered),
        message("p1", 1, "a"),
        message("p2", 3, "b"),
        message("p3", 5, "c"),
    ];
    storage.commit(&rows.map(put_message)).unwrap();
    storage.commit(&[peer_read("none"), peer_read("p3"), own_read("m4")]).unwrap();
    assert_eq!(storage.unread_count("c1").unwrap(), 3, "a message of the other side says nothing");
    storage.commit(&[peer_read("m3"), own_read("p2")]).unwrap();
    let ours: Vec<_> =
        statuses(&storage).into_iter().filter(|(_, status)| *status != Unspecified).map(|(_, status)| status).collect();
    assert_eq!(ours, [Read, Sent, Read, Delivered]);
    assert_eq!(storage.unread_count("c1").unwrap(), 1);
    storage.commit(&[put_message(Message { tag: 3, ..message("reaction", 9, "x") })]).unwrap();
    assert_eq!(storage.unread_count("c1").unwrap(), 1, "a reaction does not count");
    storage.commit(&[put_message(Message { tag: 3, domain: 7, ..message("own", 9, "x") })]).unwrap();
    assert_eq!(storage.unread_count("c1").unwrap(), 2, "every other domain counts");
}

#[test]
fn f6_pages_are_newest_first_and_ties_break_by_id() {
    let (_folder, storage) = fresh();
    let rows = [("b", 2), ("a", 2), ("c", 1), ("d", 3)].map(|(id, lamport)| put_message(message(id, lamport, "x")));
    storage.commit(&rows).unwrap();
    let mut walked = Vec::new();
    let mut before = None;
    loop {
        let page = page(&storage, before, 1);
        let Some(last) = page.last() else { break };
        before = Some(Position { lamport: last.lamport, message_id: last.message_id.clone() });
        walked.push(last.message_id.clone());
    }
    assert_eq!(walked, ["d", "b", "a", "c"]);
    for limit in [0, 1001, u32::MAX] {
        let request = ListMessagesRequest { conversation_id: "c1".into(), before: None, limit };
        assert_eq!(storage.page(&request).unwrap_err().code(), ErrorCode::InvalidArgument);
    }
}

#[test]
fn f6_search_follows_the_text_and_takes_no_operators() {
    let (_folder, storage) = fresh();
    let rows = [("m1", 1, "Café at noon"), ("m2", 2, "cafeteria NOT open"), ("m3", 3, "Ленинград")];
    storage.commit(&rows.map(|(id, lamport, text)| put_message(message(id, lamport, text)))).unwrap();
    assert_eq!(found(&storage, "cafe"), ["m2", "m1"]);
    assert_eq!(found(&storage, "CAFÉ noon"), ["m1"]);
    assert_eq!(found(&storage, "open not"), ["m2"]);
    assert_eq!(found(&storage, "ленин"), ["m3"]);
    for query in ["", "*", "\"", "NEAR(", "text:cafe OR \"", "cafe AND", "-", "^cafe {"] {
        drop(found(&storage, query));
    }
    storage.commit(&[put_message(message("m1", 1, "replaced")), delete_conversation("none")]).unwrap();
    assert_eq!(found(&storage, "noon"), [""; 0]);
    assert_eq!(found(&storage, "replac"), ["m1"]);
    storage.commit(&[delete_conversation("c1")]).unwrap();
    assert_eq!(found(&storage, "cafe"), [""; 0]);
    assert!(page(&storage, None, 10).is_empty());
}

#[test]
fn f7_a_closed_storage_says_so_and_can_be_closed_again() {
    let (_folder, storage) = fresh();
    storage.close();
    storage.close();
    let codes = [
        storage.commit(&[put("a", 1)]).unwrap_err().code(),
        storage.get("a").unwrap_err().code(),
        storage.header().unwrap_err().code(),
        storage.unread_count("c1").unwrap_err().code(),
    ];
    assert_eq!(codes, [ErrorCode::Closed; 4]);
}
