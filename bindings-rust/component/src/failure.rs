//! The record of the component's world and the SDK's own error.

use chatsdk::{Error, ErrorCode};

use crate::bindings::chatsdk::abi::types;

/// The same names on both sides, each listed once.
macro_rules! codes {
    ($($name:ident),+ $(,)?) => {
        fn to_world(code: ErrorCode) -> types::ErrorCode {
            match code {
                $(ErrorCode::$name => types::ErrorCode::$name),+
            }
        }

        fn from_world(code: types::ErrorCode) -> ErrorCode {
            match code {
                $(types::ErrorCode::$name => ErrorCode::$name),+
            }
        }
    };
}

codes! {
    Unspecified,
    InvalidArgument,
    InvalidInvite,
    InviteExpired,
    InviteWrongNetwork,
    InviteAlreadyAccepted,
    InviteOwn,
    UnsupportedSuite,
    AccountNotFound,
    ConversationNotFound,
    MessageNotFound,
    InviteNotFound,
    ContentTooLarge,
    OutboxFull,
    SessionLost,
    RepairTooSoon,
    NoRepairPending,
    WrongKey,
    DatabaseCorrupt,
    DatabaseLocked,
    StorageFull,
    StorageFailed,
    StateRolledBack,
    UnsupportedVersion,
    Closed,
    Aborted,
    TransportFailed,
    KeyringUnavailable,
    Internal,
}

impl From<&Error> for types::Failure {
    fn from(error: &Error) -> Self {
        Self { code: to_world(error.code()), message: error.message().to_owned(), retryable: error.is_retryable() }
    }
}

impl From<types::Failure> for Error {
    fn from(failure: types::Failure) -> Self {
        let error = Self::new(from_world(failure.code), failure.message);
        if failure.retryable { error.retryable() } else { error }
    }
}
