//! What an application prints of invites and messages: all but the link and the content. The contract's own types are printed in the
//! same way, and events by what they hold.

use std::fmt;

use super::model::{Invite, Message};

const REDACTED: &str = "REDACTED";

/// Without the link: who has it can accept the invite.
impl fmt::Debug for Invite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, account_id, link: _, expires_at, reusable, accepted_count } = self;
        formatter
            .debug_struct("Invite")
            .field("id", id)
            .field("account_id", account_id)
            .field("link", &REDACTED)
            .field("expires_at", expires_at)
            .field("reusable", reusable)
            .field("accepted_count", accepted_count)
            .finish()
    }
}

/// Without the content.
impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            conversation_id,
            outgoing,
            sent_at,
            stored_at,
            lamport,
            sequence,
            domain,
            tag,
            version,
            payload: _,
            text: _,
            refers_to,
            status,
            failure_reason,
        } = self;
        formatter
            .debug_struct("Message")
            .field("id", id)
            .field("conversation_id", conversation_id)
            .field("outgoing", outgoing)
            .field("sent_at", sent_at)
            .field("stored_at", stored_at)
            .field("lamport", lamport)
            .field("sequence", sequence)
            .field("domain", domain)
            .field("tag", tag)
            .field("version", version)
            .field("payload", &REDACTED)
            .field("text", &REDACTED)
            .field("refers_to", refers_to)
            .field("status", status)
            .field("failure_reason", failure_reason)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::client::{Content, DeliveryStatus, Event};

    #[test]
    fn s3_printed_invites_messages_and_events_show_no_link_and_no_content() {
        let invite = Invite {
            id: "of-invite".into(),
            account_id: "of-account".into(),
            link: "secret".into(),
            expires_at: UNIX_EPOCH,
            reusable: false,
            accepted_count: 0,
        };
        let content = Content::from("secret");
        let message = Message {
            id: "of-message".into(),
            conversation_id: "of-conversation".into(),
            outgoing: false,
            sent_at: UNIX_EPOCH,
            stored_at: UNIX_EPOCH,
            lamport: 1,
            sequence: 1,
            domain: content.domain,
            tag: content.tag,
            version: content.version,
            payload: content.payload.clone(),
            text: Some("secret".into()),
            refers_to: Some("of-another".into()),
            status: Some(DeliveryStatus::Failed),
            failure_reason: None,
        };
        let event = Event::MessageReceived {
            number: 1,
            account_id: "of-account".into(),
            message: message.clone(),
            recovered: false,
        };
        let bytes = format!("{:?}", b"secret").trim_matches(['[', ']']).to_owned();
        for (printed, id) in [
            (format!("{invite:?} {:#?}", [Some(&invite)]), "of-invite"),
            (format!("{message:?} {:#?}", vec![message.clone()]), "of-message"),
            (format!("{event:?} {:#?}", Ok::<_, ()>(&event)), "of-message"),
            (format!("{content:?} {:#?}", (&content,)), "REDACTED"),
        ] {
            assert!(!printed.contains("secret") && !printed.contains(&bytes), "{printed}");
            assert!(printed.contains(id) && printed.contains("REDACTED"), "{printed}");
        }
    }
}
