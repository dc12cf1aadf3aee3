//! Random commits, compared with the plainest storage: lists, searched from the start.

use chatsdk::abi::{Change, DeliveryStatus, ListMessagesRequest, Message, SearchMessagesRequest, change};
use chatsdk::{ErrorCode, SqliteStorage};
use proptest::prelude::*;
use proptest::sample::select;

use crate::changes::*;

const KEYS: [&str; 5] = ["a/1", "a/2", "a/\u{10ffff}", "b", "b/1"];
const PREFIXES: [&str; 4] = ["", "a/", "b", "a/\u{10ffff}"];
const IDS: [&str; 4] = ["m1", "m2", "m3", "m4"];
const TEXTS: [&str; 4] = ["one two", "two three", "onerous", "three"];

#[derive(Default)]
struct Model {
    records: Vec<(String, Vec<u8>)>,
    tags: Vec<(Vec<u8>, String)>,
    rows: Vec<(Message, bool)>,
}

impl Model {
    fn apply(&mut self, change: &Change) {
        match change.change.clone().unwrap() {
            change::Change::Put(record) => {
                self.records.retain(|(key, _)| *key != record.key);
                self.records.push((record.key, record.value));
            }
            change::Change::Delete(key) => self.remove(|other| *other == key),
            change::Change::DeletePrefix(prefix) => self.remove(|key| key.starts_with(&prefix)),
            change::Change::AddTags(added) => {
                for tag in added.tags.chunks(8) {
                    self.tags.retain(|(other, _)| other != tag);
                    self.tags.push((tag.to_vec(), added.key.clone()));
                }
            }
            change::Change::RemoveTags(tags) => {
                tags.chunks(8).for_each(|tag| self.tags.retain(|(other, _)| other != tag))
            }
            change::Change::PutMessage(message) => {
                let old = self.rows.iter().find(|(row, _)| row.message_id == message.message_id).map(|(_, read)| *read);
                self.rows.retain(|(row, _)| row.message_id != message.message_id);
                let read = old.unwrap_or(message.outgoing);
                self.rows.push((message, read));
            }
            change::Change::SetStatus(status) => {
                for (row, _) in
                    self.rows.iter_mut().filter(|(row, _)| row.outgoing && row.message_id == status.message_id)
                {
                    if is_forward(row.status(), DeliveryStatus::try_from(status.status).unwrap()) {
                        row.status = status.status;
                        row.failure_reason = status.failure_reason;
                    }
                }
            }
            change::Change::PeerRead(read) => {
                let Some(newest) = self.lamport_of(&read.message_id, true) else { return };
                for (row, _) in self.rows.iter_mut().filter(|(row, _)| row.outgoing && row.lamport <= newest) {
                    if row.status() == DeliveryStatus::Delivered {
                        row.status = DeliveryStatus::Read.into();
                    }
                }
            }
            change::Change::OwnRead(read) => {
                let Some(newest) = self.lamport_of(&read.message_id, false) else { return };
                for (row, read) in self.rows.iter_mut().filter(|(row, _)| !row.outgoing && row.lamport <= newest) {
                    *read |= row.lamport <= newest;
                }
            }
            change::Change::DeleteConversation(_) => self.rows.clear(),
            change::Change::PutConversation(_) => {}
        }
    }

    fn remove(&mut self, goes: impl Fn(&String) -> bool) {
        let gone: Vec<_> = self.records.iter().map(|(key, _)| key.clone()).filter(|key| goes(key)).collect();
        self.records.retain(|(key, _)| !gone.contains(key));
        self.tags.retain(|(_, key)| !gone.contains(key));
    }

    fn lamport_of(&self, id: &str, outgoing: bool) -> Option<u64> {
        self.rows.iter().find(|(row, _)| row.message_id == id && row.outgoing == outgoing).map(|(row, _)| row.lamport)
    }

    fn check(&self, storage: &SqliteStorage) {
        let mut sorted = self.records.clone();
        sorted.sort();
        for prefix in PREFIXES {
            let found: Vec<_> =
                storage.scan(prefix, 0).unwrap().into_iter().map(|record| (record.key, record.value)).collect();
            let expected: Vec<_> = sorted.iter().filter(|(key, _)| key.starts_with(prefix)).cloned().collect();
            assert_eq!(found, expected, "{prefix:?}");
        }
        for number in 0..4 {
            let key = self.tags.iter().find(|(other, _)| *other == tag(number)).map(|(_, key)| key);
            let expected = key.filter(|key| self.records.iter().any(|(other, _)| other == *key));
            assert_eq!(storage.find_tag(&tag(number)).unwrap().map(|record| record.key).as_ref(), expected);
        }
        let mut rows: Vec<_> = self.rows.iter().map(|(row, _)| row.clone()).collect();
        rows.sort_by(|a, b| (b.lamport, &b.message_id).cmp(&(a.lamport, &a.message_id)));
        let request = ListMessagesRequest { conversation_id: "c1".into(), before: None, limit: 100 };
        let page: Vec<_> = storage.page(&request).unwrap().into_iter().map(|row| row.message.unwrap()).collect();
        assert_eq!(page, rows);
        let unread = self.rows.iter().filter(|(row, read)| !row.outgoing && !read).count();
        assert_eq!(storage.unread_count("c1").unwrap() as usize, unread);
        for query in ["on", "two", "two thr", "one tw"] {
            let request = SearchMessagesRequest { query: query.into(), limit: 100, ..SearchMessagesRequest::default() };
            let found: Vec<_> = storage.search(&request).unwrap().into_iter().map(|row| row.message.unwrap()).collect();
            let expected: Vec<_> =
                rows.iter().filter(|row| matches(row.text.as_deref().unwrap(), query)).cloned().collect();
            assert_eq!(found, expected, "{query}");
        }
    }
}

/// Every step forward there is (`Change.set_status`), as a list.
fn is_forward(from: DeliveryStatus, to: DeliveryStatus) -> bool {
    use DeliveryStatus::{Delivered, Failed, Queued, Read, Sent, Unspecified};
    let targets: &[DeliveryStatus] = match from {
        Unspecified => &[Queued, Sent, Delivered, Read, Failed],
        Queued => &[Sent, Delivered, Read, Failed],
        Sent => &[Delivered, Read, Failed],
        Delivered => &[Read],
        Failed => &[Delivered, Read],
        Read => &[],
    };
    targets.contains(&to)
}

/// Enough for the words used here.
fn matches(text: &str, query: &str) -> bool {
    let present: Vec<_> = text.split(' ').collect();
    let wanted: Vec<_> = query.split(' ').collect();
    let (last, whole) = wanted.split_last().unwrap();
    whole.iter().all(|word| present.contains(word)) && present.iter().any(|word| word.starts_with(last))
}

fn statuses() -> impl Strategy<Value = DeliveryStatus> {
    use DeliveryStatus::{Delivered, Failed, Queued, Read, Sent};
    select(vec![Queued, Sent, Delivered, Read, Failed])
}

fn a_change() -> impl Strategy<Value = Change> {
    let key = || select(KEYS.to_vec());
    let id = || select(IDS.to_vec());
    let numbers = || proptest::collection::vec(0_u8..4, 0..3);
    prop_oneof![
        4 => (key(), any::<u8>()).prop_map(|(key, value)| put(key, value)),
        2 => key().prop_map(delete),
        1 => select(PREFIXES.to_vec()).prop_map(delete_prefix),
        3 => (key(), numbers()).prop_map(|(key, numbers)| add_tags(key, &numbers)),
        1 => numbers().prop_map(|numbers| remove_tags(&numbers)),
        4 => (id(), 0_u64..5, select(TEXTS.to_vec())).prop_map(|(id, lamport, text)| put_message(message(id, lamport, text))),
        4 => (id(), 0_u64..5, statuses()).prop_map(|(id, lamport, status)| put_message(outgoing(id, lamport, status))),
        3 => (id(), statuses()).prop_map(|(id, status)| set_status(id, status)),
        2 => id().prop_map(peer_read),
        2 => id().prop_map(own_read),
        1 => Just(delete_conversation("c1")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn f6_f7_random_commits_some_of_which_fail_give_what_the_model_gives(
        commits in proptest::collection::vec((proptest::collection::vec(a_change(), 0..8), any::<bool>()), 1..10)
    ) {
        let (folder, mut storage) = fresh();
        let mut model = Model::default();
        for (mut changes, fails) in commits {
            if fails {
                changes.push(Change::default());
                prop_assert_eq!(storage.commit(&changes).unwrap_err().code(), ErrorCode::Internal);
            } else {
                storage.commit(&changes).unwrap();
                changes.iter().for_each(|change| model.apply(change));
            }
            model.check(&storage);
        }
        storage.close();
        storage = SqliteStorage::open(folder.path().join("chat.db"), CREATE).unwrap();
        model.check(&storage);
    }
}
