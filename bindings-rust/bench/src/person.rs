//! One instance over a disk.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};

use crate::abi::{
    Change, Config, CoreModule as _, CoreModuleClient, CreateVaultRequest, Input, KeyDerivation, ModuleCaller as _,
    OpenCoreRequest, RawKey, input, key_derivation::Derivation,
};
use crate::conversation::Failure;
use crate::disk::Disk;
use crate::module::{CompiledModule, Instance, Limits, Reads};

/// The number of `CoreModule.Step`.
const STEP: u32 = 5;
/// For the slowest module on a busy machine.
const CALL_TIME: Duration = Duration::from_secs(600);

pub(crate) struct Person {
    name: &'static str,
    instance: Instance,
    pub(crate) instantiation: Duration,
    disk: Arc<Mutex<Disk>>,
    drawn: u32,
    alarm_ms: u64,
}

impl Person {
    pub(crate) fn new(name: &'static str, module: &Arc<CompiledModule>) -> Result<Self, Failure> {
        let disk = Arc::new(Mutex::new(Disk::default()));
        let of_reads = Arc::clone(&disk);
        let reads: Reads =
            Arc::new(move |read| Ok(of_reads.lock().unwrap_or_else(PoisonError::into_inner).answer(read)));
        let began = Instant::now();
        let instance = Instance::new(module, Limits { call_time: CALL_TIME, ..Limits::default() }, reads)?;
        let mut person = Self { name, instance, instantiation: began.elapsed(), disk, drawn: 0, alarm_ms: 0 };
        let host_key = person.entropy();
        let entropy = person.entropy();
        let mut core = CoreModuleClient::new(&mut person.instance);
        let derivation = KeyDerivation { derivation: Some(Derivation::RawKey(RawKey::default())) };
        let vault = CreateVaultRequest { derivation: Some(derivation), host_key: host_key.clone(), entropy };
        let header = core.create_vault(&vault)?;
        let config = Config { cluster_id: 42, ..Config::default() };
        core.open_core(&OpenCoreRequest { config: Some(config), header: Some(header), host_key })?;
        Ok(person)
    }

    /// The encoded result, and the processor time it took.
    pub(crate) fn step(&mut self, now_ms: u64, input: input::Input) -> Result<(Vec<u8>, Duration), Failure> {
        let request = Input { now_ms, entropy: self.entropy(), input: Some(input) }.encode_to_vec();
        let began = thread_time()?;
        let result = self.instance.call_module(STEP, &request)?;
        Ok((result, thread_time()? - began))
    }

    pub(crate) fn commit(&self, changes: Vec<Change>) {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes.into_iter().filter_map(|change| change.change) {
            disk.apply(change);
        }
    }

    pub(crate) fn set_alarm(&mut self, at_ms: u64) {
        self.alarm_ms = at_ms;
    }

    pub(crate) fn take_alarm(&mut self, now_ms: u64) -> bool {
        let is_due = self.alarm_ms != 0 && self.alarm_ms <= now_ms;
        if is_due {
            self.alarm_ms = 0;
        }
        is_due
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.instance.memory_bytes()
    }

    /// Different for each person and step, and the same in each run.
    fn entropy(&mut self) -> Vec<u8> {
        let mut entropy = vec![self.name.len() as u8; 32];
        entropy[..4].copy_from_slice(&self.drawn.to_be_bytes());
        self.drawn += 1;
        entropy
    }
}

/// The processor time of this thread: other programs on the machine do not count.
fn thread_time() -> Result<Duration, Failure> {
    Ok(Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?)
}
