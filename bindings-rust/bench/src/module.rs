//! The module's host, which is private to chatsdk: compiled here from the same files, so that nothing becomes public for being
//! measured. Its tests stay there.

#[path = "../../chatsdk/src/module/compiled.rs"]
mod compiled;
#[path = "../../chatsdk/src/module/deadline.rs"]
mod deadline;
#[path = "../../chatsdk/src/module/imports.rs"]
mod imports;
#[path = "../../chatsdk/src/module/instance.rs"]
mod instance;

pub(crate) use compiled::CompiledModule;
pub(crate) use instance::{Instance, Limits, Reads};
