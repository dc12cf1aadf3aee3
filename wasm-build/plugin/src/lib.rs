//! The Javy plugin of the Chat SDK: QuickJS, the module's boundary (abi/ABI.md) and the protocol's primitives as native code.
//! The bundle of the core is evaluated in it at build time; the snapshot of that is the module.

mod boundary;
mod bytes;
mod crypto;
mod forbidden;
mod guest;
mod host;
mod interpreter;
mod protobuf;
mod runtime;
mod snapshot;
mod surroundings;

javy_plugin_api::import_namespace!("chatsdk");
