//! Private 1:1 chat.

#![forbid(unsafe_code)]

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
    FailureReason, Invite, InviteDetails, InviteOptions, Message, Options, Page, Position, Quota, Reaction,
    ReadReceipt, Reply, SessionState, Stats, Text,
};
pub use clock::SystemClock;
pub use entropy::SystemEntropy;
pub use error::{Error, ErrorCode, Result};
pub use keys::StorageKey;
pub use storage::{FileRollbackAnchor, RollbackAnchor, SqliteOptions, SqliteStorage};
pub use transport::{WakuOptions, WakuTransport};
