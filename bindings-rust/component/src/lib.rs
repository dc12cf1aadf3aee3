//! The core as a WebAssembly component, run by wasmtime's component API: how a component host uses the SDK's core.
//!
//! The component is made by wasm-build/component in the repository. [`Component`] compiles it, an [`Instance`] serves one
//! database, and [`chatsdk::abi::CoreModuleClient`] over the instance makes typed calls. The `chatsdk` crate itself runs the core
//! module without a component.

#![forbid(unsafe_code)]

mod bindings {
    wasmtime::component::bindgen!({ path: "../../abi/wit", world: "core" });
}
mod component;
mod failure;
mod instance;

pub use component::{Component, Limits};
pub use instance::{HostCall, Instance, serve};
