//! The contract, as the generator writes it (abi/ in the repository): messages, clients, host interfaces.

#[path = "gen/mod.rs"]
mod generated;

pub use generated::*;
