//! The component in wasmtime. `CHATSDK_COMPONENT` names its file, which wasm-build/component/build.mjs in the repository makes.

mod calls;
mod person;
mod traces;
