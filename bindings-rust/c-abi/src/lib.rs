//! The C ABI of the Chat SDK: what `chatsdk.h` declares. That file is made from this one.
//!
//! The only crate of the SDK with unsafe code: it believes its caller that pointers are what the header demands. Nothing else is
//! believed, and no panic crosses.

#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]

mod client;
mod error;
mod guard;
mod json;
mod text;

pub use client::ChatSdkClient;
pub use error::ChatSdkError;
