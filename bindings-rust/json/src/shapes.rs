//! What the client shows, as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use chatsdk::{
    Account, Conversation, DeliveryStatus, Event, FailureReason, Invite, InviteDetails, Message, Quota, SessionState,
};
use serde_json::{Value, json};

use crate::OwnTypes;
use crate::content;

fn time(at: SystemTime) -> Value {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis().to_string().into()
}

pub(crate) fn account(account: &Account) -> Value {
    json!({
        "id": account.id,
        "identityKey": hex::encode(&account.identity_key),
        "deliveryAddress": account.delivery_address,
        "createdAt": time(account.created_at),
    })
}

pub(crate) fn invite(invite: &Invite) -> Value {
    json!({
        "id": invite.id,
        "accountId": invite.account_id,
        "link": invite.link,
        "expiresAt": time(invite.expires_at),
        "reusable": invite.reusable,
        "acceptedCount": invite.accepted_count,
    })
}

pub(crate) fn invite_details(details: &InviteDetails) -> Value {
    json!({
        "identityKey": hex::encode(&details.identity_key),
        "expiresAt": time(details.expires_at),
        "reusable": details.reusable,
        "deliveryAddress": details.delivery_address,
        "clusterId": details.cluster_id,
        "shardCount": details.shard_count,
        "suite": details.suite,
    })
}

fn session(state: SessionState) -> &'static str {
    match state {
        SessionState::AwaitingReply => "awaitingReply",
        SessionState::Established => "established",
        SessionState::Lost => "lost",
        SessionState::RepairSent => "repairSent",
        SessionState::RepairRequested => "repairRequested",
    }
}

pub(crate) fn conversation(conversation: &Conversation) -> Value {
    json!({
        "id": conversation.id,
        "accountId": conversation.account_id,
        "peerIdentityKey": hex::encode(&conversation.peer_identity_key),
        "createdAt": time(conversation.created_at),
        "lastActivityAt": time(conversation.last_activity_at),
        "suite": conversation.suite,
        "session": session(conversation.session),
        "verified": conversation.verified,
        "initiator": conversation.initiator,
    })
}

fn status(status: DeliveryStatus) -> &'static str {
    match status {
        DeliveryStatus::Queued => "queued",
        DeliveryStatus::Sent => "sent",
        DeliveryStatus::Delivered => "delivered",
        DeliveryStatus::Read => "read",
        DeliveryStatus::Failed => "failed",
    }
}

fn reason(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::Expired => "expired",
        FailureReason::Cancelled => "cancelled",
        FailureReason::SessionReplaced => "sessionReplaced",
    }
}

pub(crate) fn message(message: &Message, own: OwnTypes) -> Value {
    without_absent(json!({
        "id": message.id,
        "conversationId": message.conversation_id,
        "outgoing": message.outgoing,
        "sentAt": time(message.sent_at),
        "storedAt": time(message.stored_at),
        "lamport": message.lamport.to_string(),
        "sequence": message.sequence,
        "domain": message.domain,
        "tag": message.tag,
        "version": message.version,
        "payload": hex::encode(&message.payload),
        "text": message.text,
        "refersTo": message.refers_to,
        "status": message.status.map(status),
        "failureReason": message.failure_reason.map(reason),
        "content": content::read(message).or_else(|| own(message)),
    }))
}

pub(crate) fn quota(quota: &Quota) -> Value {
    json!({
        "limit": quota.limit,
        "remaining": quota.remaining,
        "renewsAt": time(quota.renews_at),
        "waiting": quota.waiting,
    })
}

/// An event; `None`: of a kind this crate does not know.
pub fn event(event: &Event, own: OwnTypes) -> Option<Value> {
    let (kind, fields) = match event {
        Event::ConversationStarted { account_id, conversation, invite_id, .. } => (
            "conversationStarted",
            json!({
                "accountId": account_id, "conversation": self::conversation(conversation), "inviteId": invite_id,
            }),
        ),
        Event::MessageReceived { account_id, message, recovered, .. } => (
            "messageReceived",
            json!({ "accountId": account_id, "message": self::message(message, own), "recovered": recovered }),
        ),
        Event::MessageStatusChanged { account_id, conversation_id, message_id, status, failure_reason, .. } => (
            "messageStatusChanged",
            json!({
                "accountId": account_id, "conversationId": conversation_id, "messageId": message_id,
                "status": self::status(*status), "failureReason": failure_reason.map(reason),
            }),
        ),
        Event::MessagesMissing { account_id, conversation_id, message_ids, .. } => (
            "messagesMissing",
            json!({ "accountId": account_id, "conversationId": conversation_id, "messageIds": message_ids }),
        ),
        Event::MessagesLost { account_id, conversation_id, message_ids, .. } => (
            "messagesLost",
            json!({ "accountId": account_id, "conversationId": conversation_id, "messageIds": message_ids }),
        ),
        Event::InviteReused { account_id, invite_id, .. } => {
            ("inviteReused", json!({ "accountId": account_id, "inviteId": invite_id }))
        }
        Event::SessionStateChanged { account_id, conversation_id, session, .. } => (
            "sessionStateChanged",
            json!({
                "accountId": account_id, "conversationId": conversation_id, "session": self::session(*session),
            }),
        ),
        Event::QuotaChanged { exhausted, renews_at, .. } => {
            ("quotaChanged", json!({ "exhausted": exhausted, "renewsAt": time(*renews_at) }))
        }
        Event::ConnectionChanged { online } => ("connectionChanged", json!({ "online": online })),
        _ => return None,
    };
    let mut fields = without_absent(fields);
    fields["type"] = kind.into();
    fields["number"] = event.number().to_string().into();
    Some(fields)
}

fn without_absent(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, field| !field.is_null());
    }
    value
}
