//! What an application sees.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::abi;

/// An identity of this device's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// 32 hexadecimal characters.
    pub id: String,
    /// Ed25519, 32 bytes.
    pub identity_key: Vec<u8>,
    /// Content topic on which the account receives.
    pub delivery_address: String,
    /// When it was made.
    pub created_at: SystemTime,
}

/// An invite link we made. `Debug` shows all but the link.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// 16 hexadecimal characters.
    pub id: String,
    /// The account that made it.
    pub account_id: String,
    /// The text to share, under 300 characters.
    pub link: String,
    /// When it can no longer be accepted.
    pub expires_at: SystemTime,
    /// Several people may accept it.
    pub reusable: bool,
    /// Conversations it has started.
    pub accepted_count: u32,
}

/// What a link says before it is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteDetails {
    /// Ed25519 identity key of the author, 32 bytes.
    pub identity_key: Vec<u8>,
    /// When it can no longer be accepted.
    pub expires_at: SystemTime,
    /// Several people may accept it.
    pub reusable: bool,
    /// Where the author receives.
    pub delivery_address: String,
    /// Waku cluster.
    pub cluster_id: u32,
    /// Shards of the cluster.
    pub shard_count: u32,
    /// The suite that would be used: 1 X25519; 2 X25519 with ML-KEM-768.
    pub suite: u32,
}

/// The state of a conversation's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// We wrote; the peer's device has not answered yet.
    AwaitingReply,
    /// Both devices hold the session.
    Established,
    /// Our keys are from an old copy; repair the conversation.
    Lost,
    /// We asked for a repair and wait for the peer's consent.
    RepairSent,
    /// The peer asks for a repair and waits for ours.
    RepairRequested,
}

/// A conversation with one other participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// 32 hexadecimal characters, the same on both sides.
    pub id: String,
    /// Our account.
    pub account_id: String,
    /// Ed25519, 32 bytes.
    pub peer_identity_key: Vec<u8>,
    /// When it began.
    pub created_at: SystemTime,
    /// Of the newest message, or the creation.
    pub last_activity_at: SystemTime,
    /// 1: X25519. 2: X25519 with ML-KEM-768.
    pub suite: u32,
    /// State of its session.
    pub session: SessionState,
    /// The application noted that the safety numbers were compared.
    pub verified: bool,
    /// We accepted the peer's link.
    pub initiator: bool,
}

/// How much may still be published in an epoch of the rate limit (S1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// False: there is no limit, and the rest says nothing.
    pub limited: bool,
    /// Publications in an epoch.
    pub limit: u32,
    /// Left for messages. Acknowledgements and repairs may use a fifth of an epoch each (rounded up).
    pub remaining: u32,
    /// When the next epoch begins.
    pub renews_at: SystemTime,
    /// Messages, or parts of large ones, that no node has been offered yet.
    pub waiting: u32,
}

/// How far a message of ours has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryStatus {
    /// Stored here.
    Queued,
    /// A node took it.
    Sent,
    /// The recipient's device has it.
    Delivered,
    /// So says the recipient's application.
    Read,
    /// Given up; the reason says why.
    Failed,
}

/// Why a message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// No acknowledgement within the time to live.
    Expired,
    /// Taken back by the application.
    Cancelled,
    /// The conversation's session was lost or replaced before delivery.
    SessionReplaced,
}

/// A message. [`Message::read`] gives its value. `Debug` shows all but the content.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique in its conversation, the same on both sides.
    pub id: String,
    /// The conversation.
    pub conversation_id: String,
    /// Ours.
    pub outgoing: bool,
    /// The sender's clock.
    pub sent_at: SystemTime,
    /// Our clock when it was stored.
    pub stored_at: SystemTime,
    /// Order within the conversation; ties break by id.
    pub lamport: u64,
    /// Position in its sender's stream, from 1.
    pub sequence: u32,
    /// Who defines the content's tag; 0: this SDK.
    pub domain: u32,
    /// Which content type.
    pub tag: u32,
    /// Version of the content's encoding.
    pub version: u32,
    /// The encoded content.
    pub payload: Vec<u8>,
    /// Text to show, of the basic types that have one.
    pub text: Option<String>,
    /// Message that a reply or a reaction refers to.
    pub refers_to: Option<String>,
    /// Of an outgoing message.
    pub status: Option<DeliveryStatus>,
    /// Of a failed message.
    pub failure_reason: Option<FailureReason>,
}

impl Message {
    /// Its place, to ask for what is older.
    pub fn position(&self) -> Position {
        Position { lamport: self.lamport, message_id: self.id.clone() }
    }
}

pub use crate::abi::Position;

pub(super) fn time_of(unix_ms: u64) -> SystemTime {
    // Beyond what the system can tell, which only a hostile peer sends.
    UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms)).unwrap_or(UNIX_EPOCH)
}

impl From<abi::Account> for Account {
    fn from(data: abi::Account) -> Self {
        Self {
            id: data.account_id,
            identity_key: data.identity_key,
            delivery_address: data.delivery_address,
            created_at: time_of(data.created_ms),
        }
    }
}

impl From<abi::Invite> for Invite {
    fn from(data: abi::Invite) -> Self {
        Self {
            id: data.invite_id,
            account_id: data.account_id,
            link: data.link,
            expires_at: time_of(data.expires_ms),
            reusable: data.reusable,
            accepted_count: data.accepted_count,
        }
    }
}

impl From<abi::InviteDetails> for InviteDetails {
    fn from(data: abi::InviteDetails) -> Self {
        Self {
            identity_key: data.identity_key,
            expires_at: time_of(data.expires_ms),
            reusable: data.reusable,
            delivery_address: data.delivery_address,
            cluster_id: data.cluster_id,
            shard_count: data.shard_count,
            suite: data.suite,
        }
    }
}

impl From<abi::Quota> for Quota {
    fn from(data: abi::Quota) -> Self {
        Self {
            limited: data.limited,
            limit: data.limit,
            remaining: data.remaining,
            renews_at: time_of(data.renews_ms),
            waiting: data.waiting,
        }
    }
}

impl From<abi::SessionState> for SessionState {
    fn from(state: abi::SessionState) -> Self {
        match state {
            abi::SessionState::Unspecified | abi::SessionState::AwaitingReply => Self::AwaitingReply,
            abi::SessionState::Established => Self::Established,
            abi::SessionState::Lost => Self::Lost,
            abi::SessionState::RepairSent => Self::RepairSent,
            abi::SessionState::RepairRequested => Self::RepairRequested,
        }
    }
}

impl From<abi::Conversation> for Conversation {
    fn from(data: abi::Conversation) -> Self {
        Self {
            session: data.session_state().into(),
            id: data.conversation_id,
            account_id: data.account_id,
            peer_identity_key: data.peer_identity_key,
            created_at: time_of(data.created_ms),
            last_activity_at: time_of(data.last_activity_ms),
            suite: data.suite,
            verified: data.verified,
            initiator: data.initiator,
        }
    }
}

/// `None`: not an outgoing message.
pub(super) fn status_of(status: abi::DeliveryStatus) -> Option<DeliveryStatus> {
    match status {
        abi::DeliveryStatus::Unspecified => None,
        abi::DeliveryStatus::Queued => Some(DeliveryStatus::Queued),
        abi::DeliveryStatus::Sent => Some(DeliveryStatus::Sent),
        abi::DeliveryStatus::Delivered => Some(DeliveryStatus::Delivered),
        abi::DeliveryStatus::Read => Some(DeliveryStatus::Read),
        abi::DeliveryStatus::Failed => Some(DeliveryStatus::Failed),
    }
}

/// `None`: not failed.
pub(super) fn reason_of(reason: abi::FailureReason) -> Option<FailureReason> {
    match reason {
        abi::FailureReason::Unspecified => None,
        abi::FailureReason::Expired => Some(FailureReason::Expired),
        abi::FailureReason::Cancelled => Some(FailureReason::Cancelled),
        abi::FailureReason::SessionReplaced => Some(FailureReason::SessionReplaced),
    }
}

impl From<abi::Message> for Message {
    fn from(data: abi::Message) -> Self {
        Self {
            status: status_of(data.status()),
            failure_reason: reason_of(data.failure_reason()),
            id: data.message_id,
            conversation_id: data.conversation_id,
            outgoing: data.outgoing,
            sent_at: time_of(data.timestamp_ms),
            stored_at: time_of(data.stored_ms),
            lamport: data.lamport,
            sequence: data.sequence,
            domain: data.domain,
            tag: data.tag,
            version: data.version,
            payload: data.payload,
            text: data.text,
            refers_to: data.refers_to,
        }
    }
}
