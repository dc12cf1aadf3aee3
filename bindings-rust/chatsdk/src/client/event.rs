//! What an application is told.

use std::time::SystemTime;

use super::model::{Conversation, DeliveryStatus, FailureReason, Message, SessionState, reason_of, status_of, time_of};
use crate::abi::{self, event};

/// Something the application should know. Each stored event has a number that grows by one with every event of the database;
/// after a crash it comes again with the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A conversation exists now.
    ConversationStarted {
        /// See [`Event::number`].
        number: u64,
        /// Our account.
        account_id: String,
        /// The conversation.
        conversation: Conversation,
        /// The invite of ours that was accepted, if any.
        invite_id: Option<String>,
    },
    /// A message of the peer.
    MessageReceived {
        /// See [`Event::number`].
        number: u64,
        /// Our account.
        account_id: String,
        /// The message, as stored.
        message: Message,
        /// It had been reported missing.
        recovered: bool,
    },
    /// A message of ours got further. For `Read`: it and all before it.
    MessageStatusChanged {
        /// See [`Event::number`].
        number: u64,
        /// Our account.
        account_id: String,
        /// The conversation.
        conversation_id: String,
        /// The message.
        message_id: String,
        /// New status.
        status: DeliveryStatus,
        /// If failed.
        failure_reason: Option<FailureReason>,
    },
    /// Messages of the peer exist and have not arrived; recovery goes on.
    MessagesMissing {
        /// See [`Event::number`].
        number: u64,
        /// Our account.
        account_id: String,
        /// The conversation.
        conversation_id: String,
        /// Oldest first.
        message_ids: Vec<String>,
    },
    /// Recovery ended without these messages.
    MessagesLost {
        /// See [`Event::number`].
        number: u64,
        /// Our account.
        account_id: String,
        /// The conversation.
        conversation_id: String,
        /// Oldest first.
        message_ids: Vec<String>,
    },
    /// Somebody used a single-use link that was used before.
    InviteReused {
        /// See [`Event::number`].
        number: u64,
        /// Our account.
        account_id: String,
        /// The invite.
        invite_id: String,
    },
    /// The state of a session changed.
    SessionStateChanged {
        /// See [`Event::number`].
        number: u64,
        /// Our account.
        account_id: String,
        /// The conversation.
        conversation_id: String,
        /// New state.
        session: SessionState,
    },
    /// S1: the rate limit holds messages back, or does no longer.
    QuotaChanged {
        /// See [`Event::number`].
        number: u64,
        /// True: messages wait for the next epoch. False: none waits any more, the last are on their way.
        exhausted: bool,
        /// When the next epoch begins.
        renews_at: SystemTime,
    },
    /// The transport gained or lost its connection. Never stored.
    ConnectionChanged {
        /// Publishing and subscribing work.
        online: bool,
    },
}

impl Event {
    /// Grows by one with every event of the database; 0: of the moment only, never stored.
    pub fn number(&self) -> u64 {
        match self {
            Self::ConversationStarted { number, .. }
            | Self::MessageReceived { number, .. }
            | Self::MessageStatusChanged { number, .. }
            | Self::MessagesMissing { number, .. }
            | Self::MessagesLost { number, .. }
            | Self::InviteReused { number, .. }
            | Self::SessionStateChanged { number, .. }
            | Self::QuotaChanged { number, .. } => *number,
            Self::ConnectionChanged { .. } => 0,
        }
    }

    /// `None`: of a kind this version does not know.
    pub(super) fn from_data(data: abi::Event) -> Option<Self> {
        let abi::Event { event_number: number, account_id, conversation_id, event } = data;
        Some(match event? {
            event::Event::ConversationStarted(started) => Self::ConversationStarted {
                number,
                account_id,
                conversation: started.conversation?.into(),
                invite_id: Some(started.invite_id).filter(|id| !id.is_empty()),
            },
            event::Event::MessageReceived(received) => Self::MessageReceived {
                number,
                account_id,
                message: received.message?.into(),
                recovered: received.recovered,
            },
            event::Event::MessageStatusChanged(changed) => Self::MessageStatusChanged {
                number,
                account_id,
                conversation_id,
                status: status_of(changed.status())?,
                failure_reason: reason_of(changed.failure_reason()),
                message_id: changed.message_id,
            },
            event::Event::MessagesMissing(missing) => {
                Self::MessagesMissing { number, account_id, conversation_id, message_ids: missing.message_ids }
            }
            event::Event::MessagesLost(lost) => {
                Self::MessagesLost { number, account_id, conversation_id, message_ids: lost.message_ids }
            }
            event::Event::InviteReused(reused) => {
                Self::InviteReused { number, account_id, invite_id: reused.invite_id }
            }
            event::Event::SessionStateChanged(changed) => {
                let session = changed.session_state().into();
                Self::SessionStateChanged { number, account_id, conversation_id, session }
            }
            event::Event::QuotaChanged(changed) => {
                Self::QuotaChanged { number, exhausted: changed.exhausted, renews_at: time_of(changed.renews_ms) }
            }
        })
    }
}
