//! Why a request failed.

use serde_json::Value;

/// An error of the SDK, or of the request.
#[derive(Debug)]
pub enum Failure {
    /// The SDK said no.
    Sdk(chatsdk::Error),
    /// The request itself is wrong: an unknown method, a missing or malformed parameter. The text names it.
    Request(String),
}

/// The result of a request.
pub type Outcome<T = Value> = Result<T, Failure>;

impl Failure {
    /// A wrong request.
    pub fn request(message: impl Into<String>) -> Self {
        Self::Request(message.into())
    }
}

impl From<chatsdk::Error> for Failure {
    fn from(error: chatsdk::Error) -> Self {
        Self::Sdk(error)
    }
}

/// As much of a name as an error quotes: names may be as long as the request.
pub(crate) fn beginning(name: &str) -> &str {
    &name[..name.floor_char_boundary(64)]
}
