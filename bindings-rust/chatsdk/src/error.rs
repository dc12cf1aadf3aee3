//! Errors, the same in every language.

pub use crate::abi::{Error, ErrorCode};

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;
