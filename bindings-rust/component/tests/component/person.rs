//! The component under test, and a person: a core in it, over a storage in memory.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock};

use chatsdk::abi::{
    Change, Config, Content, CoreModule as _, CoreModuleClient, CreateVaultRequest, Input, KeyDerivation, ModuleHost,
    OpenCoreRequest, Outcome, RawKey, Read, ReadAnswer, Record, VaultHeader, change, effect, event, input,
    key_derivation, read,
};
use chatsdk::{Error, ErrorCode, Result};
use chatsdk_component::{Component, Instance, Limits, serve};
use prost::Message as _;

/// The component's file, made by wasm-build/component/build.mjs.
const FILE: &str = "CHATSDK_COMPONENT";
const TAG_LENGTH: usize = 8;

/// The component, compiled once; `None`, said aloud, if there is none to test.
pub fn component() -> Option<&'static Component> {
    static COMPONENT: OnceLock<Option<Component>> = OnceLock::new();
    let compiled = COMPONENT.get_or_init(|| {
        let path = std::env::var_os(FILE)?;
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{FILE}: {}: {error}", path.display()));
        Some(Component::compile(&bytes).unwrap())
    });
    if compiled.is_none() {
        // Past the test harness, which keeps what a passing test prints.
        let skipped = format!("SKIPPED: {FILE} is not set; make the file with wasm-build/component/build.mjs\n");
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
    }
    compiled.as_ref()
}

/// Records and tags, as the core has them written.
#[derive(Clone, Default)]
pub struct Storage(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    records: BTreeMap<String, Vec<u8>>,
    tags: BTreeMap<Vec<u8>, String>,
}

impl Storage {
    fn apply(&self, change: &Change) {
        let Records { records, tags } = &mut *self.0.lock().unwrap();
        match change.change.as_ref().unwrap() {
            change::Change::Put(Record { key, value }) => {
                records.insert(key.clone(), value.clone());
            }
            change::Change::Delete(key) => {
                records.remove(key);
                tags.retain(|_, of| of != key);
            }
            change::Change::DeletePrefix(prefix) => {
                records.retain(|key, _| !key.starts_with(prefix));
                tags.retain(|_, of| !of.starts_with(prefix));
            }
            change::Change::AddTags(added) => {
                tags.extend(added.tags.chunks(TAG_LENGTH).map(|tag| (tag.to_vec(), added.key.clone())));
            }
            change::Change::RemoveTags(removed) => {
                tags.retain(|tag, _| !removed.chunks(TAG_LENGTH).any(|gone| gone == tag))
            }
            // Rows of the message store: the core never reads them.
            _ => {}
        }
    }
}

impl ModuleHost for Storage {
    fn read(&mut self, request: &Read) -> Result<ReadAnswer> {
        let Records { records, tags } = &*self.0.lock().unwrap();
        let one = |key: &String| records.get_key_value(key).into_iter().collect::<Vec<_>>();
        let found = match request.read.as_ref() {
            Some(read::Read::Get(key)) => one(key),
            Some(read::Read::FindTag(tag)) => tags.get(tag).map(one).unwrap_or_default(),
            Some(read::Read::Scan(scan)) => {
                let limit = if scan.limit == 0 { usize::MAX } else { scan.limit as usize };
                let from = records.range(scan.prefix.clone()..);
                from.take_while(|(key, _)| key.starts_with(&scan.prefix)).take(limit).collect()
            }
            None => return Err(Error::new(ErrorCode::InvalidArgument, "read: empty")),
        };
        let record = |(key, value): (&String, &Vec<u8>)| Record { key: key.clone(), value: value.clone() };
        Ok(ReadAnswer { records: found.into_iter().map(record).collect() })
    }
}

pub struct Person {
    pub storage: Storage,
    pub host_key: Vec<u8>,
    pub header: VaultHeader,
    pub client: CoreModuleClient<Instance>,
    pub texts: Vec<String>,
    name: u8,
    drawn: u8,
}

impl Person {
    pub fn new(component: &Component, name: u8) -> Self {
        let storage = Storage::default();
        let instance = component.instantiate(Limits::default(), serve(storage.clone())).unwrap();
        let (header, client) = (VaultHeader::default(), CoreModuleClient::new(instance));
        let mut person = Self { storage, host_key: vec![name; 32], header, client, texts: Vec::new(), name, drawn: 0 };
        let derivation = Some(KeyDerivation { derivation: Some(key_derivation::Derivation::RawKey(RawKey {})) });
        let vault = CreateVaultRequest { derivation, host_key: person.host_key.clone(), entropy: person.entropy() };
        person.header = person.client.create_vault(&vault).unwrap();
        let request = person.opening();
        person.client.open_core(&request).unwrap();
        person
    }

    pub fn opening(&self) -> OpenCoreRequest {
        OpenCoreRequest {
            config: Some(Config { cluster_id: 42, ..Config::default() }),
            header: Some(self.header.clone()),
            host_key: self.host_key.clone(),
        }
    }

    /// One step, committed.
    pub fn step(&mut self, input: input::Input) -> Outcome {
        let entropy = self.entropy();
        let result = self.client.step(&Input { now_ms: 1_767_225_600_000, entropy, input: Some(input) }).unwrap();
        let outcome = result.outcome.unwrap();
        outcome.changes.iter().for_each(|change| self.storage.apply(change));
        for event in &outcome.events {
            if let Some(event::Event::MessageReceived(received)) = &event.event {
                self.texts.push(received.message.as_ref().unwrap().text().to_owned());
            }
        }
        outcome
    }

    fn entropy(&mut self) -> Vec<u8> {
        self.drawn += 1;
        let mut entropy = vec![self.name; 32];
        entropy[0] = self.drawn;
        entropy
    }
}

/// What an outcome publishes.
pub fn published(outcome: &Outcome) -> Vec<Vec<u8>> {
    let payload = |effect: &chatsdk::abi::Effect| match effect.effect.as_ref() {
        Some(effect::Effect::Publish(publish)) => Some(publish.payload.clone()),
        _ => None,
    };
    outcome.effects.iter().filter_map(payload).collect()
}

/// A text message.
pub fn text(text: &str) -> Content {
    let payload = chatsdk::abi::content::Text { text: text.to_owned() }.encode_to_vec();
    Content { domain: 0, tag: 1, version: 1, payload }
}
