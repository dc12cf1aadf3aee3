//! Drives a core: one input at a time, its reads answered from the storage, its changes committed before anything leaves.
//!
//! If the commit fails nothing leaves: a call fails; an envelope is dropped and comes back with the history, since nobody was
//! told that it arrived.

mod core;
mod effects;
mod parts;
mod request;
mod settings;
mod untaken;
mod worker;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::core::{Core, CoreParts};
use self::effects::Effects;
pub(crate) use self::settings::Settings;
use self::untaken::Ticket;
pub(crate) use self::worker::Worker;
use crate::abi::Clock;
use crate::abi::Entropy;
use crate::abi::Transport;
use crate::abi::{ChatCaller, EnvelopeReceived, Start, input, reply};
use crate::error::{Error, ErrorCode, Result};
use crate::storage::RollbackAnchor;

/// How long `close` waits for messages on their way to a node; what is not taken by then is sent at the next start.
const CLOSE_GRACE: Duration = Duration::from_secs(3);
/// A transport from which more come waits: its own bounds hold then.
const WAITING_ENVELOPES: usize = 64;

/// What the core replied; `None` to an input of the host.
pub(crate) type Answered = Option<reply::Reply>;

/// What an engine is made of, beside its core.
pub(crate) struct EngineParts {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) anchor: Option<Arc<dyn RollbackAnchor>>,
    pub(crate) on_event: Box<dyn Fn(crate::abi::Event) + Send>,
}

/// An input on its way to the core. Without a reply it is one of the host's.
struct Job {
    input: input::Input,
    reply: Option<oneshot::Sender<Result<Answered>>>,
    /// Of an envelope; freed when it is served.
    place: Option<OwnedSemaphorePermit>,
}

enum Command {
    Serve(Job),
    /// Before all jobs; until then they wait.
    Start {
        start: Start,
        reply: oneshot::Sender<Result<()>>,
    },
    /// Serves an input that failed once more, unless a newer one was taken in meanwhile.
    Again(Ticket),
    /// The same for all of them: there is no later.
    AgainAll,
    /// Uses the core between two jobs, also before the start.
    Use(Box<dyn FnOnce(&mut Worker) + Send>),
    End,
}

const OPEN: u8 = 0;
/// Only what comes of earlier work is taken: the rest is told again at the next start.
const CLOSING: u8 = 1;
const ENDED: u8 = 2;

/// What the thread of the core and the tasks of the network share.
struct Shared {
    state: AtomicU8,
    commands: mpsc::Sender<Command>,
    runtime: Handle,
    /// Ends what is under way on the network.
    closing: CancellationToken,
    /// For envelopes that wait for the core.
    room: Arc<Semaphore>,
    publishing: TaskTracker,
    underway: TaskTracker,
}

/// The door to a core that works on a thread of its own.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    ended: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
}

impl Engine {
    /// Starts the thread. Must be called within a tokio runtime.
    pub(crate) fn new(core: Core, parts: EngineParts) -> Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let shared = Arc::new(Shared {
            state: AtomicU8::new(OPEN),
            commands,
            runtime: Handle::current(),
            closing: CancellationToken::new(),
            room: Arc::new(Semaphore::new(WAITING_ENVELOPES)),
            publishing: TaskTracker::new(),
            underway: TaskTracker::new(),
        });
        let effects = Effects::new(&shared, Arc::clone(&parts.transport), Arc::clone(&parts.clock));
        let worker = Worker::new(core, parts, effects);
        let (sender, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("chatsdk-core".into())
            .stack_size(8 * 1024 * 1024)
            .spawn(move || {
                worker.run(&inbox);
                // Nobody may wait any more.
                let _ = sender.send(());
            })
            .map_err(|error| {
                Error::new(ErrorCode::Internal, "engine: no thread can be started; free resources").caused_by(error)
            })?;
        Ok(Self { shared, ended: tokio::sync::Mutex::new(Some(ended)) })
    }

    /// The first input; what was fed before waits behind it. After a failure the engine is of no use, and to be closed.
    pub(crate) async fn start(&self, start: Start) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.shared.send(Command::Start { start, reply })?;
        let started = answer.await.map_err(|_| closed())?;
        if started.is_err() {
            self.shared.end();
        }
        started
    }

    /// An input of the host. Its failure is logged: there is nobody to tell.
    pub(crate) fn feed(&self, input: input::Input) {
        self.shared.feed(input);
    }

    /// The same for an envelope, once there is room for it.
    pub(crate) async fn take_in(&self, envelope: EnvelopeReceived) {
        // It never closes.
        if let Ok(place) = Arc::clone(&self.shared.room).acquire_owned().await {
            let input = input::Input::EnvelopeReceived(envelope);
            self.shared.serve(Job { input, reply: None, place: Some(place) });
        }
    }

    /// Uses the core between two inputs. Nothing is done if the future is dropped before.
    pub(crate) async fn with<Found: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Worker) -> Result<Found> + Send + 'static,
    ) -> Result<Found> {
        if self.shared.state.load(Ordering::SeqCst) != OPEN {
            return Err(closed());
        }
        self.shared.with(work).await
    }

    /// Feeds what a stream of the transport reports, until the engine closes.
    pub(crate) fn follow(&self, feeding: impl Future<Output = ()> + Send + 'static) {
        self.shared.in_background(&self.shared.underway, feeding);
    }

    /// Finishes the calls taken and, within the grace, what is being published; then ends what is under way on the network.
    pub(crate) async fn close(&self) {
        if self.shared.state.fetch_max(CLOSING, Ordering::SeqCst) == OPEN {
            // The thread has ended, if it fails.
            let _ = self.shared.send(Command::AgainAll);
        }
        let grace = tokio::time::sleep(CLOSE_GRACE);
        tokio::pin!(grace);
        loop {
            // Behind everything taken so far, which may publish.
            if self.shared.with(|_| Ok(())).await.is_err() || self.shared.publishing.is_empty() {
                break;
            }
            self.shared.publishing.close();
            tokio::select! {
                () = self.shared.publishing.wait() => {}
                () = &mut grace => break,
            }
            self.shared.publishing.reopen();
        }
        self.shared.end();
        for tasks in [&self.shared.publishing, &self.shared.underway] {
            tasks.close();
            tasks.wait().await;
        }
        if let Some(ended) = self.ended.lock().await.take() {
            // An error: the thread has ended before.
            let _ = ended.await;
        }
    }
}

/// A call of the application. It is not begun if its future is dropped before its turn.
impl ChatCaller for Arc<Engine> {
    async fn call(&self, input: input::Input) -> Result<reply::Reply> {
        request::check_length(&input)?;
        let answer = self.shared.take(input).await?;
        answer.ok_or_else(|| Error::new(ErrorCode::Internal, "the core gave no reply; report this"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Shared {
    fn send(&self, command: Command) -> Result<()> {
        self.commands.send(command).map_err(|_| closed())
    }

    fn take(&self, input: input::Input) -> impl Future<Output = Result<Answered>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let sent = if self.accepts(&input) {
            self.send(Command::Serve(Job { input, reply: Some(reply), place: None }))
        } else {
            Err(closed())
        };
        async move {
            sent?;
            answer.await.map_err(|_| closed())?
        }
    }

    fn feed(&self, input: input::Input) {
        self.serve(Job { input, reply: None, place: None });
    }

    fn serve(&self, job: Job) {
        // A closed engine is told again at the next start.
        if self.accepts(&job.input) {
            let _ = self.send(Command::Serve(job));
        }
    }

    fn serve_again(&self, ticket: Ticket) {
        // `close` sees to it, if it is not open any more.
        if self.state.load(Ordering::SeqCst) == OPEN {
            let _ = self.send(Command::Again(ticket));
        }
    }

    fn accepts(&self, input: &input::Input) -> bool {
        let earlier = matches!(input, input::Input::PublishResult(_) | input::Input::AcknowledgeEvents(_));
        match self.state.load(Ordering::SeqCst) {
            OPEN => true,
            CLOSING => earlier,
            _ => false,
        }
    }

    async fn with<Found: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Worker) -> Result<Found> + Send + 'static,
    ) -> Result<Found> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Use(Box::new(move |worker| {
            // Nobody waits for what was given up.
            if !reply.is_closed() {
                drop(reply.send(worker.guarded(work)));
            }
        }));
        self.send(command)?;
        answer.await.map_err(|_| closed())?
    }

    fn in_background(&self, tasks: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) {
        let closing = self.closing.clone();
        let limited = async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = work => {}
            }
        };
        drop(tasks.spawn_on(limited, &self.runtime));
    }

    /// Takes in nothing more.
    fn end(&self) {
        self.state.store(ENDED, Ordering::SeqCst);
        self.closing.cancel();
        // Gone already, if it fails.
        let _ = self.send(Command::End);
    }
}

fn closed() -> Error {
    Error::new(ErrorCode::Closed, "the client is closed; open a new one")
}
