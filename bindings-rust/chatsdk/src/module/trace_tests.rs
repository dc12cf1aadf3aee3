//! S3: what was recorded from the core in V8 comes out of wasmtime, byte for byte. conformance/traces/README.md has the format.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use prost::Message as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{CompiledModule, Instance, Limits, Reads};
use crate::abi::{
    CommitFailedRequest, Config, CoreModule as _, CoreModuleClient, ModuleCaller as _, OpenCoreRequest, Read,
    ReadAnswer, Record, StepResult, VaultHeader, change,
};
use crate::error::{Error, ErrorCode};

const OPEN_CORE: u32 = 4;
const STEP: u32 = 5;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    name: String,
    config: String,
    header: String,
    host_key: String,
    lives: Vec<Life>,
}

#[derive(Deserialize)]
struct Life {
    open: Open,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Open {
    reads: Vec<Asked>,
    result: String,
}

#[derive(Deserialize)]
struct Step {
    input: String,
    reads: Vec<Asked>,
    result: RecordedDigest,
    then: Then,
}

#[derive(Deserialize)]
struct RecordedDigest {
    bytes: usize,
    sha256: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Then {
    Commit,
    CommitFailed,
}

#[derive(Clone, Deserialize)]
struct Asked {
    read: String,
    answer: Vec<(String, Found)>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Found {
    PutByStep(usize),
    Bytes(String),
}

/// What the instance must ask next, with what earlier steps put.
#[derive(Default)]
struct Script {
    expected: VecDeque<Asked>,
    put: HashMap<(String, usize), Vec<u8>>,
    difference: Option<String>,
}

impl Script {
    fn answer(&mut self, read: &Read) -> Result<ReadAnswer, String> {
        let asked = self.expected.pop_front().ok_or_else(|| format!("one read too many: {read:?}"))?;
        if hex(&asked.read) != read.encode_to_vec() {
            return Err(format!("another read: {read:?}, not {}", asked.read));
        }
        let records = asked.answer.into_iter().map(|(key, found)| {
            let value = match found {
                Found::Bytes(bytes) => hex(&bytes),
                Found::PutByStep(step) => {
                    self.put.get(&(key.clone(), step)).cloned().ok_or_else(|| format!("step {step} put no {key}"))?
                }
            };
            Ok(Record { key, value })
        });
        Ok(ReadAnswer { records: records.collect::<Result<_, String>>()? })
    }
}

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// The name of the first step that differs.
fn replay(trace: &Trace) -> Result<usize, String> {
    let script = Arc::new(Mutex::new(Script::default()));
    let of_reads = Arc::clone(&script);
    let reads: Reads = Arc::new(move |read| {
        let mut script = of_reads.lock().unwrap();
        script.answer(read).map_err(|difference| {
            script.difference = Some(difference.clone());
            Error::new(ErrorCode::Internal, difference)
        })
    });
    let open = OpenCoreRequest {
        config: Some(Config::decode(&*hex(&trace.config)).unwrap()),
        header: Some(VaultHeader::decode(&*hex(&trace.header)).unwrap()),
        host_key: hex(&trace.host_key),
    };
    let module = CompiledModule::embedded().unwrap();
    let mut number = 0;
    for life in &trace.lives {
        let mut instance = Instance::new(&module, Limits::default(), Arc::clone(&reads)).unwrap();
        let place = |number: usize| format!("{}, step {number}", trace.name);
        let exchange = |instance: &mut Instance, method, request: &[u8], asked: &[Asked], number| {
            script.lock().unwrap().expected = asked.to_vec().into();
            let result = instance.call_module(method, request);
            let mut script = script.lock().unwrap();
            if let Some(difference) = script.difference.take() {
                return Err(format!("{}: {difference}", place(number)));
            }
            if !script.expected.is_empty() {
                return Err(format!("{}: {} reads too few", place(number), script.expected.len()));
            }
            result.map_err(|error| format!("{}: {error}", place(number)))
        };
        let opened = exchange(&mut instance, OPEN_CORE, &open.encode_to_vec(), &life.open.reads, number)?;
        if opened != hex(&life.open.result) {
            return Err(format!("{}: opened as {}", place(number), hex::encode(opened)));
        }
        for step in &life.steps {
            let result = exchange(&mut instance, STEP, &hex(&step.input), &step.reads, number)?;
            if hex::encode(Sha256::digest(&result)) != step.result.sha256 {
                let wanted = step.result.bytes;
                return Err(format!(
                    "{}: {} bytes, not the {wanted} recorded: {}",
                    place(number),
                    result.len(),
                    hex::encode(result)
                ));
            }
            match step.then {
                Then::Commit => {
                    let changes = StepResult::decode(&*result).unwrap().outcome.unwrap_or_default().changes;
                    for change in changes {
                        if let Some(change::Change::Put(record)) = change.change {
                            script.lock().unwrap().put.insert((record.key, number), record.value);
                        }
                    }
                }
                Then::CommitFailed => {
                    CoreModuleClient::new(&mut instance).commit_failed(&CommitFailedRequest {}).unwrap();
                }
            }
            number += 1;
        }
    }
    Ok(number)
}

fn recorded() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/traces/data");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".json.gz"))
        .collect();
    paths.sort();
    paths
}

fn load(path: &Path) -> Trace {
    let file = std::fs::File::open(path).unwrap();
    serde_json::from_reader(std::io::BufReader::new(flate2::read::GzDecoder::new(file))).unwrap()
}

#[test]
fn s3_traces_replay_to_the_byte() {
    let paths = recorded();
    assert!(!paths.is_empty(), "no traces");
    // Two at a time: the interpreter takes most of it.
    let (first, second) = paths.split_at(paths.len() / 2);
    let differences: Vec<String> = std::thread::scope(|scope| {
        let threads = [first, second]
            .map(|paths| scope.spawn(|| paths.iter().filter_map(|path| replay(&load(path)).err()).collect::<Vec<_>>()));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn s3_a_replay_notices_another_time_another_entropy_and_another_read() {
    let shortest = recorded().into_iter().min_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    type Spoil = fn(&mut Trace);
    let spoils: [Spoil; 3] = [
        |trace| {
            let step = trace.lives[0].steps.last_mut().unwrap();
            step.result.sha256 = "00".repeat(32);
        },
        |trace| {
            let mut input = crate::abi::Input::decode(&*hex(&trace.lives[0].steps[1].input)).unwrap();
            input.entropy[0] ^= 1;
            input.now_ms += 1;
            trace.lives[0].steps[1].input = hex::encode(input.encode_to_vec());
        },
        |trace| trace.lives[0].open.reads.clear(),
    ];
    for spoil in spoils {
        let mut trace = load(&shortest);
        assert!(replay(&trace).is_ok());
        spoil(&mut trace);
        assert!(replay(&trace).is_err());
    }
}
