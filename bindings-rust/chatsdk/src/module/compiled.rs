//! The module's bytes, compiled once for the process and kept on disk for the next one.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use wasmtime::{Cache, CacheConfig, Config, Engine, InstancePre, Linker, Module};

use super::deadline::Ticker;
use super::imports::{self, Guest};
use crate::error::{Error, ErrorCode, Result};

/// Built by wasm-build/ in the repository.
static CORE: &[u8] = include_bytes!("../../module/chatsdk.wasm");

/// QuickJS stops its own recursion long before.
const WASM_STACK_BYTES: usize = 1024 * 1024;

/// What an instance is made from.
pub(crate) struct CompiledModule {
    pub(super) prepared: InstancePre<Guest>,
    pub(super) ticker: Ticker,
}

impl CompiledModule {
    /// The SDK's own module, compiled at the first call.
    pub(crate) fn embedded() -> Result<Arc<Self>> {
        static COMPILED: OnceLock<Arc<CompiledModule>> = OnceLock::new();
        if let Some(module) = COMPILED.get() {
            return Ok(Arc::clone(module));
        }
        let module = Self::compile(CORE)?;
        Ok(Arc::clone(COMPILED.get_or_init(|| Arc::new(module))))
    }

    /// Fails with `INTERNAL` for what is no module of this contract.
    pub(crate) fn compile(bytes: &[u8]) -> Result<Self> {
        let unusable = |error: wasmtime::Error| {
            Error::new(ErrorCode::Internal, format!("module: cannot be used: {error}; report this"))
        };
        let engine = engine().map_err(unusable)?;
        let module = Module::new(&engine, bytes).map_err(unusable)?;
        let mut linker = Linker::new(&engine);
        imports::define(&mut linker, &module).map_err(unusable)?;
        let prepared = linker.instantiate_pre(&module).map_err(unusable)?;
        Ok(Self { prepared, ticker: Ticker::new(engine)? })
    }
}

fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.max_wasm_stack(WASM_STACK_BYTES);
    config.cache(cache());
    Engine::new(&config)
}

/// Without a cache the module is compiled at each start, which takes about a second.
fn cache() -> Option<Cache> {
    let mut config = CacheConfig::new();
    config.with_directory(cache_home()?.join("chatsdk"));
    Cache::new(config).inspect_err(|error| tracing::warn!("the compiled module is not kept: {error}")).ok()
}

/// The XDG Base Directory Specification: a relative path is to be ignored.
fn cache_home() -> Option<PathBuf> {
    let configured = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    configured.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
}
