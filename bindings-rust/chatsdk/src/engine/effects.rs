//! What an outcome asks to be done on the network, after the commit.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::task::Poll;

use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Shared;
use super::parts::parts;
use super::untaken::Ticket;
use crate::abi::{Clock, Instant, Transport};
use crate::abi::{HistoryPage, Log, LogLevel, Publish, PublishResult, QueryHistory, Subscribe, Wake, effect, input};
use crate::clock::sleep;
use crate::error::{Error, ErrorCode};

/// After an input of the host that could not be committed.
const RETRY_MS: u64 = 5_000;

/// Performs effects in the background, and feeds what becomes of them.
pub(super) struct Effects {
    shared: Weak<Shared>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    topics: watch::Sender<Vec<String>>,
    publications: mpsc::UnboundedSender<Publication>,
    wake: Option<AbortHandle>,
}

/// A message for the network. `close` waits for what has a token.
type Publication = (Publish, TaskTrackerToken);

impl Effects {
    pub(super) fn new(shared: &Arc<Shared>, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        let (topics, wanted) = watch::channel(Vec::new());
        shared.in_background(&shared.underway, subscribe_to_latest(Arc::clone(&transport), wanted));
        let (publications, line) = mpsc::unbounded_channel();
        shared.in_background(&shared.underway, publish_in_order(Arc::clone(&transport), line, Arc::downgrade(shared)));
        Self { shared: Arc::downgrade(shared), transport, clock, topics, publications, wake: None }
    }

    pub(super) fn perform(&mut self, effect: effect::Effect) {
        match effect {
            effect::Effect::Publish(message) => self.publish(message),
            effect::Effect::Subscribe(subscribe) => drop(self.topics.send(subscribe.topics)),
            effect::Effect::QueryHistory(query) => self.query_history(query),
            effect::Effect::WakeAtMs(at_ms) => self.set_wake(at_ms),
            effect::Effect::Log(line) => log(&line),
        }
    }

    pub(super) fn after_failed_input(&mut self, input: &input::Input, error: &Error) {
        if self.shared.upgrade().is_none_or(|shared| shared.closing.is_cancelled()) {
            return;
        }
        tracing::warn!("{}: not taken in: {error}", name_of(input));
        if let input::Input::Wake(_) = input {
            self.wake_soon();
        }
    }

    /// Serves an input that failed again after a pause.
    pub(super) fn serve_later(&self, ticket: Ticket) {
        let Some(shared) = self.shared.upgrade() else { return };
        let (clock, to) = (Arc::clone(&self.clock), Weak::clone(&self.shared));
        shared.in_background(&shared.underway, async move {
            sleep(&*clock, RETRY_MS).await;
            if let Some(shared) = to.upgrade() {
                shared.serve_again(ticket);
            }
        });
    }

    /// 0: no wake.
    fn set_wake(&mut self, at_ms: u64) {
        let clock = Arc::clone(&self.clock);
        self.wake_after((at_ms != 0).then_some(async move {
            if let Err(error) = clock.sleep_until(Instant { unix_ms: at_ms }).await {
                tracing::warn!("clock: {error}");
            }
        }));
    }

    /// Looks again soon: after an input that could not be committed, or a core that could not be made anew.
    pub(super) fn wake_soon(&mut self) {
        let clock = Arc::clone(&self.clock);
        self.wake_after(Some(async move { sleep(&*clock, RETRY_MS).await }));
    }

    /// Replaces the wait before.
    fn wake_after(&mut self, wait: Option<impl Future<Output = ()> + Send + 'static>) {
        if let Some(wake) = self.wake.take() {
            wake.abort();
        }
        if let (Some(wait), Some(shared)) = (wait, self.shared.upgrade()) {
            let to = Weak::clone(&self.shared);
            let waiting = shared.runtime.spawn(async move {
                wait.await;
                feed(&to, input::Input::Wake(Wake {}));
            });
            self.wake = Some(waiting.abort_handle());
        }
    }

    fn publish(&self, message: Publish) {
        let Some(shared) = self.shared.upgrade() else { return };
        // The engine has closed, if it fails: the message is published after the next start.
        let _ = self.publications.send((message, shared.publishing.token()));
    }

    fn query_history(&self, query: QueryHistory) {
        let Some(shared) = self.shared.upgrade() else { return };
        let (transport, to) = (Arc::clone(&self.transport), Weak::clone(&self.shared));
        shared.in_background(&shared.underway, async move {
            let query_id = query.query_id.clone();
            let failed = take_pages(&*transport, query, &to)
                .await
                .inspect_err(|error| tracing::debug!("history: {error}"))
                .is_err();
            feed(&to, input::Input::HistoryPage(HistoryPage { query_id, failed, ..HistoryPage::default() }));
        });
    }
}

impl Drop for Effects {
    fn drop(&mut self) {
        if let Some(wake) = self.wake.take() {
            wake.abort();
        }
    }
}

/// Keeps a step short.
const PAGE_LENGTH: usize = 100;

/// Each page is taken in before the next is asked for: a long absence must not fill the memory.
async fn take_pages(transport: &dyn Transport, query: QueryHistory, to: &Weak<Shared>) -> Result<(), Error> {
    let query_id = query.query_id.clone();
    let mut pages = transport.query_history(query);
    while let Some(batch) = pages.next().await {
        for envelopes in parts(batch?.envelopes, PAGE_LENGTH, |envelope| envelope.payload.len()) {
            let Some(shared) = to.upgrade() else { return Ok(()) };
            let page = HistoryPage { query_id: query_id.clone(), envelopes, more: true, failed: false };
            let taken = shared.take(input::Input::HistoryPage(page));
            drop(shared);
            taken.await?;
        }
    }
    Ok(())
}

/// Several at a time, but each takes its place in the transport's line in the order of the core: where messages wait for long, as those
/// with proofs do, another order would reach the peer.
async fn publish_in_order(
    transport: Arc<dyn Transport>,
    mut line: mpsc::UnboundedReceiver<Publication>,
    to: Weak<Shared>,
) {
    while let Some((message, token)) = line.recv().await {
        let mut publishing = Box::pin(publish(Arc::clone(&transport), message, Weak::clone(&to)));
        // Which it takes at the first poll.
        if let (Poll::Pending, Some(shared)) = (futures::poll!(&mut publishing), to.upgrade()) {
            shared.in_background(&shared.publishing, publishing);
        }
        drop(token);
    }
}

async fn publish(transport: Arc<dyn Transport>, message: Publish, to: Weak<Shared>) {
    let publish_id = message.publish_id.clone();
    let published = AssertUnwindSafe(transport.publish(message)).catch_unwind().await;
    let published = published.unwrap_or_else(|_| {
        Err(Error::new(ErrorCode::TransportFailed, "the transport panicked; report this to who made it"))
    });
    let reason = published.err().map(|error| {
        // A node that will not take it later either: only a person can mend that.
        let working = to.upgrade().is_some_and(|shared| !shared.closing.is_cancelled());
        if working && error.code() == ErrorCode::TransportFailed && !error.is_retryable() {
            tracing::warn!("publish: {error}");
        } else {
            tracing::debug!("publish: {error}");
        }
        error.message().to_owned()
    });
    let ok = reason.is_none();
    let result = PublishResult { publish_id, ok, reason: reason.unwrap_or_default() };
    feed(&to, input::Input::PublishResult(result));
}

async fn subscribe_to_latest(transport: Arc<dyn Transport>, mut wanted: watch::Receiver<Vec<String>>) {
    while wanted.changed().await.is_ok() {
        let topics = wanted.borrow_and_update().clone();
        if let Err(error) = transport.subscribe(Subscribe { topics }).await {
            tracing::warn!("subscribe: {error}");
        }
    }
}

fn feed(to: &Weak<Shared>, input: input::Input) {
    if let Some(shared) = to.upgrade() {
        shared.feed(input);
    }
}

fn log(line: &Log) {
    match line.level() {
        LogLevel::Warn => tracing::warn!("{}", line.message),
        LogLevel::Info => tracing::info!("{}", line.message),
        LogLevel::Debug => tracing::debug!("{}", line.message),
    }
}

fn name_of(input: &input::Input) -> &'static str {
    match input {
        input::Input::Start(_) => "start",
        input::Input::EnvelopeReceived(_) => "envelope",
        input::Input::HistoryPage(_) => "history",
        input::Input::PublishResult(_) => "publish result",
        input::Input::Wake(_) => "wake",
        input::Input::ConnectionChanged(_) => "connection",
        input::Input::AcknowledgeEvents(_) => "acknowledged events",
        _ => "call",
    }
}
