//! Private 1:1 chat over Waku: end-to-end encrypted, reliable, without accounts on a server.
//!
//! A [`Client`] holds the accounts, invites, conversations and messages of one database:
//!
//! ```no_run
//! use chatsdk::{Client, Event, InviteOptions, Options, StorageKey};
//! use futures::StreamExt;
//!
//! # async fn chat() -> chatsdk::Result<()> {
//! let options = Options::new("alice.db", StorageKey::passphrase("correct horse battery staple"))
//!     .peers(["/ip4/127.0.0.1/tcp/60000"]);
//! let chat = Client::open(options).await?;
//! let me = chat.default_account().await?;
//! println!("{}", chat.create_invite(&me.id, InviteOptions::default()).await?.link);
//!
//! let mut events = chat.events();
//! while let Some(event) = events.next().await {
//!     if let Event::MessageReceived { message, .. } = event {
//!         chat.send(&message.conversation_id, "Hello!").await?;
//!     }
//! }
//! # chat.close().await
//! # }
//! ```
//!
//! # How it works
//!
//! The protocol is one WebAssembly module, the same in every language, in which there is no clock, no network and no disk. This crate feeds it
//! inputs one after the other on a thread of its own, answers its reads from the storage, commits its changes, and only then sends
//! what it wants sent and shows what it wants shown. After a crash at any point nothing is lost and nothing is shown twice with another number.
//!
//! Parts can be replaced through the traits of the contract: [`abi::Storage`], [`abi::Transport`], [`abi::Clock`],
//! [`abi::Entropy`], and [`RollbackAnchor`].
//!
//! # Errors
//!
//! Every call fails with an [`Error`]: a code for the program, a message for a developer that names the field and the remedy, and whether the same
//! call may succeed later. A call that failed has changed nothing, unless its code says otherwise.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::panic, clippy::todo, clippy::dbg_macro))]

// Tests within the crate share the network of those outside.
#[cfg(test)]
extern crate self as chatsdk;

pub mod abi;
mod client;
mod clock;
mod engine;
mod entropy;
mod error;
mod keys;
mod module;
mod storage;
mod transport;

pub use client::{
    Account, AttachmentReference, Client, Content, ContentType, Conversation, DeliveryStatus, Event, Events,
    FailureReason, Invite, InviteDetails, InviteOptions, Message, Options, Page, Position, Quota, RateLimitMembership,
    Reaction, ReadReceipt, Reply, SessionState, Stats, Text,
};
pub use clock::SystemClock;
pub use entropy::SystemEntropy;
pub use error::{Error, ErrorCode, Result};
pub use keys::StorageKey;
pub use storage::{FileRollbackAnchor, RollbackAnchor, SqliteOptions, SqliteStorage};
pub use transport::{ProofRequest, RateLimitProver, WakuOptions, WakuTransport};
