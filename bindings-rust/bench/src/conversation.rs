//! Two instances that write to each other in turn: bench/hosts/conversation.ts, to the byte.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::abi::{
    AcceptInviteRequest, AcknowledgeEventsRequest, Content, CreateAccountRequest, CreateInviteRequest,
    EnvelopeReceived, HistoryPage, Outcome, PublishResult, SendMessageRequest, Start, StepResult, Wake, content::Text,
    effect::Effect, event::Event, input::Input, reply::Reply,
};
use crate::module::CompiledModule;
use crate::person::Person;

pub(crate) type Failure = Box<dyn std::error::Error>;

/// After so many messages the digest is complete.
const DIGESTED_MESSAGES: u32 = 20;
/// 2026-01-01T00:00:00Z.
const START_MS: u64 = 1_767_225_600_000;
const BETWEEN_MESSAGES_MS: u64 = 1000;
const TEXT_TAG: u32 = 1;

/// Processor time of the steps.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Of `SendMessage` and `EnvelopeReceived`.
    pub(crate) exchange: Duration,
    pub(crate) total: Duration,
}

pub(crate) struct Conversation {
    /// Alice, who accepts the invite, and Bob.
    people: [Person; 2],
    id: String,
    content: Content,
    pending: VecDeque<(usize, Input)>,
    now_ms: u64,
    pub(crate) messages: u32,
    received: u32,
    pub(crate) cost: Cost,
    hash: Sha256,
}

const ALICE: usize = 0;
const BOB: usize = 1;

impl Conversation {
    /// Opens both and lets one accept the other's invite, with a first message.
    pub(crate) fn new(module: &Arc<CompiledModule>) -> Result<Self, Failure> {
        let payload = Text { text: "x".repeat(100) }.encode_to_vec();
        let mut conversation = Self {
            people: [Person::new("alice", module)?, Person::new("bob", module)?],
            id: String::new(),
            content: Content { domain: 0, tag: TEXT_TAG, version: 1, payload },
            pending: VecDeque::new(),
            now_ms: START_MS,
            messages: 0,
            received: 0,
            cost: Cost::default(),
            hash: Sha256::new(),
        };
        conversation.set_up()?;
        Ok(conversation)
    }

    fn set_up(&mut self) -> Result<(), Failure> {
        for person in [ALICE, BOB] {
            self.call(person, Input::Start(Start::default()))?;
        }
        let account_id = self.create_account(ALICE)?;
        let peer_id = self.create_account(BOB)?;
        let invite = CreateInviteRequest { account_id: peer_id, ..CreateInviteRequest::default() };
        let Some(Reply::Invite(invite)) = self.call(BOB, Input::CreateInvite(invite))? else {
            return Err("no invite".into());
        };
        let accept = AcceptInviteRequest { account_id, link: invite.link, content: Some(self.content.clone()) };
        let Some(Reply::SentMessage(sent)) = self.call(ALICE, Input::AcceptInvite(accept))? else {
            return Err("no message was sent".into());
        };
        self.id = sent.conversation.ok_or("no conversation")?.conversation_id;
        Ok(())
    }

    fn create_account(&mut self, person: usize) -> Result<String, Failure> {
        match self.call(person, Input::CreateAccount(CreateAccountRequest::default()))? {
            Some(Reply::Account(account)) => Ok(account.account_id),
            _ => Err("no account".into()),
        }
    }

    /// One message is written, arrives, and is shown.
    pub(crate) fn exchange(&mut self) -> Result<(), Failure> {
        self.now_ms += BETWEEN_MESSAGES_MS;
        for person in [ALICE, BOB] {
            if self.people[person].take_alarm(self.now_ms) {
                self.call(person, Input::Wake(Wake::default()))?;
            }
        }
        let from = if self.messages.is_multiple_of(2) { BOB } else { ALICE };
        let before = self.received;
        let send = SendMessageRequest { conversation_id: self.id.clone(), content: Some(self.content.clone()) };
        self.call(from, Input::SendMessage(send))?;
        if self.received != before + 1 {
            return Err(format!("message {} arrived {} times", self.messages, self.received - before).into());
        }
        self.messages += 1;
        Ok(())
    }

    /// Of the second instance.
    pub(crate) fn instantiation(&self) -> Duration {
        self.people[BOB].instantiation
    }

    /// Of the larger instance.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.people.iter().map(Person::memory_bytes).max().unwrap_or_default()
    }

    /// SHA-256 over every result up to the twentieth message; empty before.
    pub(crate) fn digest(&self) -> String {
        if self.messages < DIGESTED_MESSAGES { String::new() } else { hex::encode(self.hash.clone().finalize()) }
    }

    /// An input and all that it leads to.
    fn call(&mut self, person: usize, input: Input) -> Result<Option<Reply>, Failure> {
        let reply = self.step(person, input)?;
        while let Some((person, input)) = self.pending.pop_front() {
            self.step(person, input)?;
        }
        match reply {
            Some(Reply::Failure(failure)) => Err(format!("{:?}: {}", failure.code(), failure.message).into()),
            reply => Ok(reply),
        }
    }

    fn step(&mut self, person: usize, input: Input) -> Result<Option<Reply>, Failure> {
        let is_exchange = matches!(input, Input::SendMessage(_) | Input::EnvelopeReceived(_));
        let (result, took) = self.people[person].step(self.now_ms, input)?;
        self.cost.total += took;
        if is_exchange {
            self.cost.exchange += took;
        }
        if self.messages < DIGESTED_MESSAGES {
            self.hash.update(&result);
        }
        let outcome = StepResult::decode(&*result)?.outcome.ok_or("no outcome")?;
        self.perform(person, &outcome);
        let Outcome { changes, reply, .. } = outcome;
        self.people[person].commit(changes);
        Ok(reply.and_then(|reply| reply.reply))
    }

    fn perform(&mut self, from: usize, outcome: &Outcome) {
        for effect in outcome.effects.iter().filter_map(|effect| effect.effect.as_ref()) {
            match effect {
                Effect::Publish(publish) => {
                    let publish_id = publish.publish_id.clone();
                    let result = PublishResult { publish_id, ok: true, ..PublishResult::default() };
                    self.pending.push_back((from, Input::PublishResult(result)));
                    let (topic, payload) = (publish.topic.clone(), publish.payload.clone());
                    let envelope = EnvelopeReceived { topic, payload };
                    self.pending
                        .push_back((if from == ALICE { BOB } else { ALICE }, Input::EnvelopeReceived(envelope)));
                }
                Effect::QueryHistory(query) => {
                    let page = HistoryPage { query_id: query.query_id.clone(), ..HistoryPage::default() };
                    self.pending.push_back((from, Input::HistoryPage(page)));
                }
                Effect::WakeAtMs(at_ms) => self.people[from].set_alarm(*at_ms),
                Effect::Subscribe(_) | Effect::Log(_) => {}
            }
        }
        for event in &outcome.events {
            self.received += u32::from(matches!(event.event, Some(Event::MessageReceived(_))));
        }
        if let Some(last) = outcome.events.last() {
            let acknowledge = AcknowledgeEventsRequest { event_number: last.event_number };
            self.pending.push_back((from, Input::AcknowledgeEvents(acknowledge)));
        }
    }
}
