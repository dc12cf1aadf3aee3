//! One instance of the component: calls into it, and its calls out.

use std::time::Instant;

use chatsdk::abi::{ModuleCaller, ModuleHost, decode_result, dispatch_module_host};
use chatsdk::{Error, ErrorCode, Result};
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};

use crate::bindings::chatsdk::abi::{module_host, types};
use crate::bindings::{Core, CorePre};
use crate::component::Limits;

/// Serves the component's calls: a method's number and its encoded request to the encoded response.
pub trait HostCall: FnMut(u32, &[u8]) -> Result<Vec<u8>> + Send + 'static {}

impl<T: FnMut(u32, &[u8]) -> Result<Vec<u8>> + Send + 'static> HostCall for T {}

/// What a host of the contract answers.
pub fn serve(mut host: impl ModuleHost + Send + 'static) -> impl HostCall {
    move |method, request: &[u8]| decode_result(&dispatch_module_host(&mut host, method, request)).map(<[u8]>::to_vec)
}

/// An instance's host side.
pub(crate) struct Served {
    limits: StoreLimits,
    /// When the call under way must end; `None` between calls.
    deadline: Option<Instant>,
    host_call: Box<dyn HostCall>,
}

impl types::Host for Served {}

impl module_host::Host for Served {
    fn host_call(&mut self, method: u32, request: Vec<u8>) -> Result<Vec<u8>, types::Failure> {
        (self.host_call)(method, &request).map_err(|error| types::Failure::from(&error))
    }
}

/// One instance: one call at a time, until the first trap.
pub struct Instance {
    store: Store<Served>,
    core: Core,
    limits: Limits,
    broken: bool,
}

impl Instance {
    pub(crate) fn new(prepared: &CorePre<Served>, limits: Limits, host_call: Box<dyn HostCall>) -> Result<Self> {
        let of_store = StoreLimitsBuilder::new().memory_size(limits.memory_bytes).build();
        let served = Served { limits: of_store, deadline: Some(Instant::now() + limits.call_time), host_call };
        let mut store = Store::new(prepared.engine(), served);
        store.limiter(|served| &mut served.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| match store.data().deadline {
            Some(deadline) if deadline <= Instant::now() => wasmtime::bail!("the call ran out of time"),
            _ => Ok(UpdateDeadline::Continue(1)),
        });
        let core = prepared.instantiate(&mut store).map_err(|error| {
            Error::new(ErrorCode::Internal, format!("component: cannot be instantiated: {error:#}; report this"))
        })?;
        Ok(Self { store, core, limits, broken: false })
    }

    /// A trap or a call out of time has made it useless.
    pub fn is_broken(&self) -> bool {
        self.broken
    }
}

impl ModuleCaller for Instance {
    fn call_module(&mut self, method: u32, request: &[u8]) -> Result<Vec<u8>> {
        if self.broken {
            return Err(Error::new(ErrorCode::Internal, "component: broken by an earlier call; make a new instance"));
        }
        self.store.data_mut().deadline = Some(Instant::now() + self.limits.call_time);
        let outcome = self.core.chatsdk_abi_core_module().call_call(&mut self.store, method, request);
        self.store.data_mut().deadline = None;
        match outcome {
            Ok(result) => result.map_err(Error::from),
            Err(trap) => {
                self.broken = true;
                let cause = trap.root_cause().to_string();
                Err(Error::new(ErrorCode::Internal, format!("component: {cause}; report this")))
            }
        }
    }
}
