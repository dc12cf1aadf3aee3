//! What tests of several packages share. It panics where a test should fail.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod program;
mod service_node;

pub use program::Program;
pub use service_node::ServiceNode;
