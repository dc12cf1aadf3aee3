//! The chat client over JSON, for programs that have no types of Rust: the C ABI and the conformance agent.
//!
//! Methods, parameters and results are those of conformance/agent/PROTOCOL.md in the repository.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod calls;
mod content;
mod failure;
mod options;
mod parameters;
pub mod shapes;
mod terms;
mod unique;

pub use calls::{call, refuse_unknown_parameters};
pub use failure::{Failure, Outcome};
pub use options::{options, refuse_unknown_options};
pub use parameters::Parameters;
pub use terms::in_terms_of_json;
pub use unique::GIVEN_TWICE;

/// Reads contents of the application's own types; `None` for others.
pub type OwnTypes = fn(&chatsdk::Message) -> Option<serde_json::Value>;

/// For an application without own types.
pub fn no_own_types(_: &chatsdk::Message) -> Option<serde_json::Value> {
    None
}
