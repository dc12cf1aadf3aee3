//! Records in memory, so that what is measured is the module alone.

use std::collections::{BTreeMap, HashMap};

use crate::abi::{ReadAnswer, Record, change::Change, read::Read};

const TAG_LENGTH: usize = 8;

/// Rows for the application are left out: the core never reads them.
#[derive(Default)]
pub(crate) struct Disk {
    records: BTreeMap<String, Kept>,
    tags: HashMap<Vec<u8>, String>,
}

#[derive(Default)]
struct Kept {
    value: Vec<u8>,
    tags: Vec<Vec<u8>>,
}

impl Disk {
    pub(crate) fn answer(&self, read: &crate::abi::Read) -> ReadAnswer {
        let records = match &read.read {
            Some(Read::Get(key)) => self.get(key).into_iter().collect(),
            Some(Read::FindTag(tag)) => self.tags.get(tag).and_then(|key| self.get(key)).into_iter().collect(),
            Some(Read::Scan(scan)) => {
                let limit = if scan.limit == 0 { usize::MAX } else { scan.limit as usize };
                self.under(&scan.prefix).take(limit).map(|(key, kept)| record(key, kept)).collect()
            }
            None => Vec::new(),
        };
        ReadAnswer { records }
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Put(Record { key, value }) => self.records.entry(key).or_default().value = value,
            Change::Delete(key) => self.delete(&key),
            Change::DeletePrefix(prefix) => {
                let keys: Vec<String> = self.under(&prefix).map(|(key, _)| key.clone()).collect();
                keys.iter().for_each(|key| self.delete(key));
            }
            Change::AddTags(added) => {
                for tag in added.tags.chunks(TAG_LENGTH) {
                    self.tags.insert(tag.to_vec(), added.key.clone());
                    if let Some(tagged) = self.records.get_mut(&added.key) {
                        tagged.tags.push(tag.to_vec());
                    }
                }
            }
            Change::RemoveTags(tags) => {
                for tag in tags.chunks(TAG_LENGTH) {
                    self.tags.remove(tag);
                }
            }
            _ => {}
        }
    }

    fn get(&self, key: &str) -> Option<Record> {
        self.records.get_key_value(key).map(|(key, kept)| record(key, kept))
    }

    fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Kept)> {
        self.records.range(prefix.to_owned()..).take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Takes the record's tags with it.
    fn delete(&mut self, key: &str) {
        for tag in self.records.remove(key).unwrap_or_default().tags {
            if self.tags.get(&tag).is_some_and(|tagged| tagged == key) {
                self.tags.remove(&tag);
            }
        }
    }
}

fn record(key: &str, kept: &Kept) -> Record {
    Record { key: key.to_owned(), value: kept.value.clone() }
}
