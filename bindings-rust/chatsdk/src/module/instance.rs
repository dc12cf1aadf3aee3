//! One instance of the module: calls into it, and its calls out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::{Caller, Memory, Store, StoreLimitsBuilder, TypedFunc, UpdateDeadline};
use zeroize::Zeroizing;

use super::compiled::CompiledModule;
use super::imports::{Guest, memory_of, range};
use crate::abi::{
    Failure, MAXIMUM_LENGTH, MalformedResult, ModuleCaller, ModuleHost, Read, ReadAnswer, decode_result,
    dispatch_module_host,
};
use crate::error::{Error, ErrorCode, Result};

/// What an instance may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of its linear memory.
    pub(crate) memory_bytes: usize,
    /// For one call.
    pub(crate) call_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 256 * 1024 * 1024, call_time: Duration::from_secs(30) }
    }
}

/// Answers the module's reads from the storage.
pub(crate) type Reads = Arc<dyn Fn(&Read) -> Result<ReadAnswer> + Send + Sync>;

/// What serves `host_call`, and keeps the failure of a read, of which the module can only repeat a part.
#[derive(Clone)]
pub(super) struct Host {
    reads: Reads,
    failure: Arc<Mutex<Option<Error>>>,
}

impl ModuleHost for Host {
    fn read(&mut self, request: &Read) -> Result<ReadAnswer> {
        (self.reads)(request).map_err(|error| {
            let copy = Error::from(Failure::from(&error));
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            copy
        })
    }
}

/// One instance: one call at a time, until the first trap.
pub(crate) struct Instance {
    module: Arc<CompiledModule>,
    store: Store<Guest>,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    free: TypedFunc<(u32, u32), ()>,
    call: TypedFunc<(u32, u32, u32), i64>,
    host: Host,
    limits: Limits,
    broken: bool,
}

impl Instance {
    /// `reads` answers what the module wants to know. Fails with `INTERNAL` for a module without the contract's exports.
    pub(crate) fn new(module: &Arc<CompiledModule>, limits: Limits, reads: Reads) -> Result<Self> {
        let unusable = |error: wasmtime::Error| {
            Error::new(ErrorCode::Internal, format!("module: cannot be instantiated: {error}; report this"))
        };
        let host = Host { reads, failure: Arc::default() };
        let of_store = StoreLimitsBuilder::new().memory_size(limits.memory_bytes).instances(1).memories(1).tables(4);
        let guest = Guest { limits: of_store.build(), deadline: None, host: Some(host.clone()) };
        let mut store = Store::new(module.prepared.module().engine(), guest);
        store.limiter(|guest| &mut guest.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| match store.data().deadline {
            Some(deadline) if deadline <= Instant::now() => wasmtime::bail!("the call ran out of time"),
            _ => Ok(UpdateDeadline::Continue(1)),
        });
        let instance = module.prepared.instantiate(&mut store).map_err(unusable)?;
        let Some(memory) = instance.get_memory(&mut store, "memory") else {
            return Err(Error::new(ErrorCode::Internal, "module: exports no memory; report this"));
        };
        Ok(Self {
            memory,
            alloc: instance.get_typed_func(&mut store, "chatsdk_alloc").map_err(unusable)?,
            free: instance.get_typed_func(&mut store, "chatsdk_free").map_err(unusable)?,
            call: instance.get_typed_func(&mut store, "chatsdk_call").map_err(unusable)?,
            module: Arc::clone(module),
            store,
            host,
            limits,
            broken: false,
        })
    }

    /// Of its linear memory, in bytes. It never shrinks.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// A trap, a call out of time or a malformed result has made it useless.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Has the module trap: a request pointer outside its memory.
    #[cfg(test)]
    pub(crate) fn trap(&mut self) {
        self.store.data_mut().deadline = Some(Instant::now() + self.limits.call_time);
        let trapped = self.call.call(&mut self.store, (5, u32::MAX - 16, 16));
        assert!(trapped.is_err(), "the module reads outside its memory");
        self.broken = true;
    }

    /// Request in, result out. Any error means that the instance cannot be trusted any more.
    fn exchange(&mut self, method: u32, request: &[u8]) -> wasmtime::Result<Zeroizing<Vec<u8>>> {
        let length = u32::try_from(request.len())?;
        let at = self.alloc.call(&mut self.store, length)?;
        if at == 0 && length > 0 {
            wasmtime::bail!("the module has no memory for a request of {length} bytes");
        }
        self.memory.write(&mut self.store, at as usize, request)?;
        let packed = self.call.call(&mut self.store, (method, at, length));
        if let Some(used) = self.memory.data_mut(&mut self.store).get_mut(at as usize..at as usize + request.len()) {
            // Secrets among it.
            used.fill(0);
        }
        let (start, size) = unpack(packed?);
        self.free.call(&mut self.store, (at, length))?;
        if size as usize > MAXIMUM_LENGTH {
            wasmtime::bail!("a result of {size} bytes");
        }
        let end = (start as usize).saturating_add(size as usize);
        let Some(inside) = self.memory.data_mut(&mut self.store).get_mut(start as usize..end) else {
            wasmtime::bail!("a result outside the memory");
        };
        let result = Zeroizing::new(inside.to_vec());
        inside.fill(0);
        self.free.call(&mut self.store, (start, size))?;
        Ok(result)
    }

    fn broken(&mut self, what: &str) -> Error {
        self.broken = true;
        Error::new(ErrorCode::Internal, format!("module: {what}; report this"))
    }
}

impl ModuleCaller for Instance {
    fn call_module(&mut self, method: u32, request: &[u8]) -> Result<Vec<u8>> {
        if self.broken {
            return Err(self.broken("the instance was broken by an earlier call"));
        }
        let module = Arc::clone(&self.module);
        let running = module.ticker.run();
        self.store.data_mut().deadline = Some(Instant::now() + self.limits.call_time);
        let outcome = self.exchange(method, request);
        self.store.data_mut().deadline = None;
        drop(running);
        let kept = self.host.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let result = outcome.map_err(|error| self.broken(&error.root_cause().to_string()))?;
        match decode_result(&result) {
            Ok(response) => Ok(response.to_vec()),
            Err(error) if MalformedResult::is_source_of(&error) => {
                self.broken = true;
                Err(error)
            }
            // Ours has its cause.
            Err(error) => Err(kept.filter(|kept| kept.code() == error.code()).unwrap_or(error)),
        }
    }
}

/// `chatsdk.host_call`.
pub(super) fn answer_host_call(
    mut caller: Caller<'_, Guest>,
    method: u32,
    start: u32,
    length: u32,
) -> wasmtime::Result<i64> {
    let memory = memory_of(&mut caller)?;
    if caller.data().deadline.is_none() {
        wasmtime::bail!("the module called its host outside of a call");
    }
    let Some(mut host) = caller.data().host.clone() else {
        wasmtime::bail!("the module called its host before it was ready");
    };
    let Some(request) = range(memory.data(&caller), start, length) else {
        wasmtime::bail!("a request of the module outside its memory");
    };
    let result = dispatch_module_host(&mut host, method, request);
    let Some(alloc) = caller.get_export("chatsdk_alloc").and_then(wasmtime::Extern::into_func) else {
        wasmtime::bail!("the module exports no chatsdk_alloc");
    };
    let size = u32::try_from(result.len())?;
    let at = alloc.typed::<u32, u32>(&caller)?.call(&mut caller, size)?;
    if at == 0 {
        wasmtime::bail!("the module has no memory for an answer of {size} bytes");
    }
    memory.write(&mut caller, at as usize, &result)?;
    Ok((u64::from(at) << 32 | u64::from(size)).cast_signed())
}

fn unpack(packed: i64) -> (u32, u32) {
    let packed = packed.cast_unsigned();
    ((packed >> 32) as u32, packed as u32)
}
