pub mod content;
mod messages;

pub use messages::*;
