//! S1: the membership of a network with RLN, for [`Options::rln`](chatsdk::Options::rln).
//!
//! A crate of its own: zerokit's circuit, its keys and the arithmetic for it are no part of a client that needs no proofs.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::panic, clippy::todo, clippy::dbg_macro))]

mod membership;

pub use membership::RlnMembership;
