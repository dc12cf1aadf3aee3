//! How long a call may take: the engine's epoch grows while any call is under way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

use crate::error::{Error, ErrorCode, Result};

/// How exactly a deadline is kept.
const TICK: Duration = Duration::from_millis(50);

/// A thread that raises the epoch every `TICK` as long as a call is under way, and sleeps otherwise.
pub(super) struct Ticker {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    calls: AtomicUsize,
    ended: Mutex<bool>,
    changed: Condvar,
}

/// One call under way.
pub(super) struct Running<'a>(&'a Shared);

impl Ticker {
    pub(super) fn new(engine: Engine) -> Result<Self> {
        let shared =
            Arc::new(Shared { engine, calls: AtomicUsize::new(0), ended: Mutex::new(false), changed: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("chatsdk-ticker".into()).spawn(move || of_thread.tick()).map_err(|error| {
            Error::new(ErrorCode::Internal, "module: no thread can be started; free resources").caused_by(error)
        })?;
        Ok(Self { shared })
    }

    /// Ticks until the result is dropped.
    pub(super) fn run(&self) -> Running<'_> {
        if self.shared.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            // Under the lock, so that the thread is either waiting, or yet to look.
            let _ended = self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.changed.notify_one();
        }
        Running(&self.shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn tick(&self) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        while !*ended {
            if self.calls.load(Ordering::SeqCst) == 0 {
                ended = self.changed.wait(ended).unwrap_or_else(PoisonError::into_inner);
            } else {
                ended = self.changed.wait_timeout(ended, TICK).unwrap_or_else(PoisonError::into_inner).0;
                self.engine.increment_epoch();
            }
        }
    }
}
