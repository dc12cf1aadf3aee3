//! Inputs that nobody tells again, and that the core has not taken in.

use std::collections::HashMap;

use crate::abi::input;

/// What such an input is about: a newer one takes its place. All others come again by themselves: envelopes with the history, history when it
/// is asked for again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Published(String),
    Connection,
    Acknowledged,
}

impl Subject {
    pub(super) fn of(input: &input::Input) -> Option<Self> {
        match input {
            input::Input::PublishResult(result) => Some(Self::Published(result.publish_id.clone())),
            input::Input::ConnectionChanged(_) => Some(Self::Connection),
            input::Input::AcknowledgeEvents(_) => Some(Self::Acknowledged),
            _ => None,
        }
    }
}

/// Names one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// The newest of each subject that failed.
#[derive(Default)]
pub(super) struct Untaken {
    inputs: HashMap<Subject, (Ticket, input::Input)>,
    tickets: u64,
}

impl Untaken {
    pub(super) fn put(&mut self, subject: Subject, input: input::Input) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.inputs.insert(subject, (ticket, input));
        ticket
    }

    /// Something newer was taken in, or failed.
    pub(super) fn forget(&mut self, subject: &Subject) {
        self.inputs.remove(subject);
    }

    /// `None` if something newer took its place.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<input::Input> {
        let subject = self.inputs.iter().find(|(_, (other, _))| *other == ticket)?.0.clone();
        self.inputs.remove(&subject).map(|(_, input)| input)
    }

    /// All but the connection, which ends anyway.
    pub(super) fn take_last(&mut self) -> Vec<input::Input> {
        self.inputs.remove(&Subject::Connection);
        self.inputs.drain().map(|(_, (_, input))| input).collect()
    }
}
