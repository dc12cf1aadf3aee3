//! Why a request failed.

use serde_json::{Value, json};

/// An error of the SDK, or of the agent.
pub enum Failure {
    Sdk(chatsdk::Error),
    /// A defect of the agent or the test.
    Agent(String),
}

pub type Outcome<T = Value> = Result<T, Failure>;

impl Failure {
    pub fn agent(message: impl Into<String>) -> Self {
        Self::Agent(message.into())
    }
}

impl From<chatsdk::Error> for Failure {
    fn from(error: chatsdk::Error) -> Self {
        Self::Sdk(error)
    }
}

impl From<Failure> for Value {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sdk(error) => json!({
                "code": error.code().as_str_name(), "message": error.message(), "retryable": error.is_retryable(),
            }),
            Failure::Agent(message) => json!({ "code": "AGENT", "message": message, "retryable": false }),
        }
    }
}
