//! The core module and its instances: abi/ABI.md as wasmtime runs it.

mod compiled;
mod deadline;
mod imports;
mod instance;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trace_tests;

pub(crate) use compiled::CompiledModule;
pub(crate) use instance::{Instance, Limits, Reads};
