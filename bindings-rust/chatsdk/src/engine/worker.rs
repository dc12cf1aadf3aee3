//! What the thread of the core does.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use tokio::sync::oneshot;
use zeroize::Zeroize as _;

use super::effects::Effects;
use super::untaken::{Subject, Untaken};
use super::{Answered, Command, Core, EngineParts, Job};
use crate::abi::{ConnectionChanged, Event, Input, Start, input, reply};
use crate::error::{Error, ErrorCode, Result};

/// Owns the core, and serves one input after the other.
pub(crate) struct Worker {
    /// What `Engine::with` works on.
    pub(crate) core: Core,
    parts: EngineParts,
    effects: Effects,
    /// Until the start.
    waiting: VecDeque<Job>,
    untaken: Untaken,
    started: bool,
    /// Of the newest event shown: after a restart of the core, earlier ones are dropped.
    shown: u64,
    online: bool,
}

impl Worker {
    pub(super) fn new(core: Core, parts: EngineParts, effects: Effects) -> Self {
        Self {
            core,
            parts,
            effects,
            waiting: VecDeque::new(),
            untaken: Untaken::default(),
            started: false,
            shown: 0,
            online: false,
        }
    }

    /// Works until told to end.
    pub(super) fn run(mut self, inbox: &mpsc::Receiver<Command>) {
        while let Ok(command) = inbox.recv() {
            match command {
                Command::Serve(job) if self.started => self.serve(job),
                Command::Serve(job) => self.waiting.push_back(job),
                Command::Start { start, reply } => self.start(start, reply),
                Command::Again(ticket) => {
                    let input = self.untaken.take(ticket);
                    input.into_iter().for_each(|input| self.take_in(input));
                }
                Command::AgainAll => self.untaken.take_last().into_iter().for_each(|input| self.take_in(input)),
                Command::Use(work) => {
                    work(&mut self);
                    self.mend();
                }
                Command::End => return,
            }
        }
    }

    /// A panic of a part that the application gave, such as a storage, fails what it interrupted. The core may know half of it, and
    /// begins anew as after a trap.
    pub(crate) fn guarded<Found>(&mut self, work: impl FnOnce(&mut Self) -> Result<Found>) -> Result<Found> {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            if !self.core.is_broken() {
                self.core.discard();
            }
            let message = "a part of the client panicked, such as its storage; report this to who made it";
            Err(Error::new(ErrorCode::Internal, message))
        })
    }

    fn start(&mut self, start: Start, reply: oneshot::Sender<Result<()>>) {
        let started = self.guarded(|worker| worker.step(input::Input::Start(start))).map(drop);
        let ok = started.is_ok();
        // The client was dropped meanwhile, if this fails.
        let _ = reply.send(started);
        if ok {
            self.started = true;
            self.core.forget_credentials();
            while let Some(job) = self.waiting.pop_front() {
                self.serve(job);
            }
        }
    }

    fn serve(&mut self, job: Job) {
        let Job { input, reply, place } = job;
        drop(place);
        let Some(reply) = reply else { return self.take_in(input) };
        self.mend();
        // Nobody waits for a call that was given up.
        if !reply.is_closed() {
            drop(reply.send(self.guarded(|worker| worker.step(input))));
        }
        self.mend();
    }

    /// An input of the host.
    fn take_in(&mut self, input: input::Input) {
        self.mend();
        if let input::Input::ConnectionChanged(change) = &input {
            self.online = change.online;
        }
        let subject = Subject::of(&input);
        let taken = self.guarded(|worker| worker.step(input.clone()));
        if let Some(subject) = &subject {
            self.untaken.forget(subject);
        }
        if let Err(error) = taken {
            self.effects.after_failed_input(&input, &error);
            if let Some(subject) = subject {
                self.effects.serve_later(self.untaken.put(subject, input));
            }
        }
        self.mend();
    }

    /// One step, its commit, and then what it leads to. An input that the core answers with a failure has failed.
    fn step(&mut self, input: input::Input) -> Result<Answered> {
        let accepts_rollback = matches!(&input, input::Input::Start(Start { rolled_back: true, .. }));
        let now_ms = futures::executor::block_on(self.parts.clock.now())?.unix_ms;
        let mut input = Input { now_ms, entropy: self.parts.entropy.draw()?.bytes, input: Some(input) };
        let generation = self.core.generation();
        let result = self.core.step(&input);
        input.entropy.zeroize();
        let outcome = result?.outcome.unwrap_or_default();
        if self.core.generation() != generation {
            self.write_anchor(accepts_rollback);
        }
        for effect in outcome.effects.into_iter().filter_map(|effect| effect.effect) {
            self.effects.perform(effect);
        }
        for event in outcome.events {
            self.show(event);
        }
        match outcome.reply.and_then(|reply| reply.reply) {
            Some(reply::Reply::Failure(failure)) => Err(failure.into()),
            reply => Ok(reply),
        }
    }

    /// After a trap: a new instance, which starts as after a crash. What cannot be mended now is tried again with the next
    /// input, and soon.
    fn mend(&mut self) {
        if !self.core.is_broken() {
            return;
        }
        if let Err(error) = self.guarded(Self::restart) {
            tracing::warn!("the core could not be made anew: {error}");
            self.effects.wake_soon();
        }
    }

    fn restart(&mut self) -> Result<()> {
        self.core.reopen()?;
        if !self.started {
            return Ok(());
        }
        let online = ConnectionChanged { online: self.online };
        let inputs = [input::Input::Start(Start::default()), input::Input::ConnectionChanged(online)];
        let started = inputs.into_iter().try_for_each(|input| self.step(input).map(drop));
        if started.is_err() {
            self.core.discard();
        }
        started
    }

    fn show(&mut self, event: Event) {
        if event.event_number != 0 {
            if event.event_number <= self.shown {
                return;
            }
            self.shown = event.event_number;
        }
        (self.parts.on_event)(event);
    }

    /// What is durable stays so: without the anchor only the detection of old copies suffers.
    fn write_anchor(&self, accepts_rollback: bool) {
        let Some(anchor) = &self.parts.anchor else { return };
        if let Err(error) = anchor.write(self.core.database_id(), self.core.generation()) {
            tracing::warn!("rollback anchor: {error}");
        }
        if accepts_rollback {
            // From now on every other copy is an old one, also if this process ends at once.
            anchor.flush();
        }
    }
}
