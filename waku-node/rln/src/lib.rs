//! Rate Limiting Nullifiers, version 2 (32/RLN-V1 with a message limit for each member), for a static group of members.
//!
//! A member may publish [`Member::message_limit`] messages in an epoch, each with its own message id below the limit. A proof
//! shows that its author is some member of the group and has used *one* of his ids, and names neither. Two messages with the same
//! id of an epoch carry two points of a line that leads to the author's secret: [`recover_secret`].
//!
//! Clients use [`Prover`]; a node uses [`verify`] and [`recover_secret`].
//!
//! The circuit, its keys and the hash are zerokit's (crate `rln`). This crate adds the group's tree, strict decoding, and the C ABI
//! ([`ffi`], `chat_rln.h`) for the service node and for clients in Go.
//!
//! Field elements are 32 bytes, little-endian, and below the modulus of BN254's scalar field. Larger ones are refused: zerokit
//! would reduce them, so that one nullifier had several encodings and a log of nullifiers could be deceived.

mod error;
pub mod ffi;
mod field;
mod files;
mod group;
mod identity;
mod message;
mod proof;
mod prover;
mod strict;

pub use error::RlnError;
pub use files::{Credentials, FileError, GroupFile, MAX_EPOCH_SECONDS};
pub use group::{Group, MAX_MEMBERS, MAX_MESSAGE_LIMIT, Member, TREE_DEPTH};
pub use identity::{Identity, recover_secret};
pub use message::{RateLimitProof, epoch_of, signal};
pub use proof::{PROOF_SIZE, ProofRequest, external_nullifier, load_circuit, prove, verify};
pub use prover::{ProveError, Prover, Statement};
