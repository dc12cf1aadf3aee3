//! Traces that the core recorded in V8 give the same bytes in the component. conformance/traces/README.md describes the files.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::person::component;
use chatsdk::abi::{Config, ModuleCaller as _, OpenCoreRequest, ReadAnswer, Record, StepResult, VaultHeader, change};
use chatsdk::{Error, ErrorCode, Result};
use chatsdk_component::{Component, Instance, Limits};
use flate2::read::GzDecoder;
use prost::Message as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

const OPEN_CORE: u32 = 4;
const STEP: u32 = 5;
const COMMIT_FAILED: u32 = 6;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    config: Hex,
    header: Hex,
    host_key: Hex,
    lives: Vec<Life>,
}

#[derive(Deserialize)]
struct Life {
    open: Opening,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Opening {
    reads: Vec<RecordedRead>,
    result: Hex,
}

#[derive(Deserialize)]
struct Step {
    input: Hex,
    reads: Vec<RecordedRead>,
    result: Digest,
    then: Then,
}

#[derive(Deserialize)]
struct Digest {
    bytes: usize,
    sha256: Hex,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Then {
    Commit,
    CommitFailed,
}

#[derive(Clone, Deserialize)]
struct RecordedRead {
    read: Hex,
    answer: Vec<(String, Value)>,
}

/// What the step with this number put, or this.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Value {
    PutBy(usize),
    Bytes(Hex),
}

#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(text).map(Self)
    }
}

/// Answers reads as they were recorded.
#[derive(Default)]
struct Recorded {
    expected: VecDeque<RecordedRead>,
    /// What each step put, by number and key.
    put: Vec<HashMap<String, Vec<u8>>>,
}

impl Recorded {
    fn answer(&mut self, method: u32, read: &[u8]) -> Result<Vec<u8>> {
        let different = |what: &str| Error::new(ErrorCode::StorageFailed, format!("{what}: {}", hex::encode(read)));
        let expected = self.expected.pop_front().ok_or_else(|| different("one read too many"))?;
        if method != 1 || expected.read.0 != read {
            return Err(different("another read"));
        }
        let value = |key: &str, value: Value| match value {
            Value::Bytes(Hex(bytes)) => bytes,
            Value::PutBy(step) => self.put[step][key].clone(),
        };
        let records =
            expected.answer.into_iter().map(|(key, found)| Record { value: value(&key, found), key }).collect();
        Ok(ReadAnswer { records }.encode_to_vec())
    }
}

/// One call with the reads that belong to it.
fn call(
    instance: &mut Instance,
    recorded: &Mutex<Recorded>,
    method: u32,
    request: &[u8],
    reads: &[RecordedRead],
) -> Vec<u8> {
    recorded.lock().unwrap().expected = reads.to_vec().into();
    let result = instance.call_module(method, request).unwrap();
    assert!(recorded.lock().unwrap().expected.is_empty(), "reads are missing");
    result
}

/// Replays a whole trace. Returns the number of steps.
fn replay(component: &Component, trace: &Trace) -> usize {
    let opening = OpenCoreRequest {
        config: Some(Config::decode(&*trace.config.0).unwrap()),
        header: Some(VaultHeader::decode(&*trace.header.0).unwrap()),
        host_key: trace.host_key.0.clone(),
    };
    let recorded = Arc::new(Mutex::new(Recorded::default()));
    for life in &trace.lives {
        let answering = Arc::clone(&recorded);
        let host_call = move |method, read: &[u8]| answering.lock().unwrap().answer(method, read);
        let mut instance = component.instantiate(Limits::default(), host_call).unwrap();
        let opened = call(&mut instance, &recorded, OPEN_CORE, &opening.encode_to_vec(), &life.open.reads);
        assert_eq!(opened, life.open.result.0);
        for step in &life.steps {
            let number = recorded.lock().unwrap().put.len();
            let result = call(&mut instance, &recorded, STEP, &step.input.0, &step.reads);
            let same = result.len() == step.result.bytes && Sha256::digest(&result)[..] == step.result.sha256.0;
            assert!(same, "step {number}: other bytes: {}", hex::encode(&result));
            let mut put = HashMap::new();
            for change in StepResult::decode(&*result).unwrap().outcome.unwrap().changes {
                if let Some(change::Change::Put(Record { key, value })) = change.change {
                    put.insert(key, value);
                }
            }
            recorded.lock().unwrap().put.push(put);
            if matches!(step.then, Then::CommitFailed) {
                instance.call_module(COMMIT_FAILED, &[]).unwrap();
            }
        }
    }
    recorded.lock().unwrap().put.len()
}

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/traces/data").join(file)
}

#[test]
fn s3_traces_give_the_same_bytes_as_in_v8() {
    let Some(component) = component() else { return };
    let mut commits_failed = 0;
    for name in ["calls-alice", "failures-alice", "chat-suite-2-alice"] {
        let file = File::open(data(&format!("{name}.json.gz"))).unwrap();
        let trace: Trace = serde_json::from_reader(GzDecoder::new(file)).unwrap();
        let steps: Vec<_> = trace.lives.iter().flat_map(|life| &life.steps).collect();
        commits_failed += steps.iter().filter(|step| matches!(step.then, Then::CommitFailed)).count();
        assert_eq!(replay(component, &trace), steps.len(), "{name}");
        assert!(!steps.is_empty());
    }
    assert!(commits_failed > 0, "no trace has a commit that failed");
}
