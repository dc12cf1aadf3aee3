//! The component's bytes, compiled once.

use std::thread;
use std::time::Duration;

use chatsdk::{Error, ErrorCode, Result};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine, EngineWeak};

use crate::bindings::{Core, CorePre};
use crate::instance::{HostCall, Instance, Served};

/// How exactly the time of a call is kept.
const TICK: Duration = Duration::from_millis(50);
/// The core's own limit on recursion comes long before.
const WASM_STACK_BYTES: usize = 1024 * 1024;

/// What an instance may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the core's memory.
    pub memory_bytes: usize,
    /// For one call.
    pub call_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 256 * 1024 * 1024, call_time: Duration::from_secs(30) }
    }
}

/// A compiled component. Instances of it are made quickly.
pub struct Component {
    prepared: CorePre<Served>,
}

impl Component {
    /// Fails with `INTERNAL` for what is no component of this contract's world.
    pub fn compile(bytes: &[u8]) -> Result<Self> {
        let unusable = |error: wasmtime::Error| {
            Error::new(ErrorCode::Internal, format!("component: cannot be used: {error:#}; build it again"))
        };
        let mut config = Config::new();
        config.epoch_interruption(true);
        config.max_wasm_stack(WASM_STACK_BYTES);
        let engine = Engine::new(&config).map_err(unusable)?;
        let component = wasmtime::component::Component::new(&engine, bytes).map_err(unusable)?;
        let mut linker = Linker::new(&engine);
        Core::add_to_linker::<_, HasSelf<_>>(&mut linker, |served| served).map_err(unusable)?;
        let prepared = linker.instantiate_pre(&component).and_then(CorePre::new).map_err(unusable)?;
        let ticked = engine.weak();
        thread::Builder::new().name("component-ticker".into()).spawn(move || tick(&ticked)).map_err(|error| {
            Error::new(ErrorCode::Internal, "component: no thread can be started; free resources").caused_by(error)
        })?;
        Ok(Self { prepared })
    }

    /// A new instance, whose calls `host_call` serves.
    pub fn instantiate(&self, limits: Limits, host_call: impl HostCall) -> Result<Instance> {
        Instance::new(&self.prepared, limits, Box::new(host_call))
    }
}

/// Raises the epoch as long as the engine is used.
fn tick(engine: &EngineWeak) {
    while let Some(engine) = engine.upgrade() {
        engine.increment_epoch();
        drop(engine);
        thread::sleep(TICK);
    }
}
