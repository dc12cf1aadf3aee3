//! Collects acknowledged events for a moment, so that many are forgotten in one commit.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::abi::Clock;
use crate::abi::{AcknowledgeEventsRequest, input};
use crate::clock::sleep;
use crate::engine::Engine;

const DELAY_MS: u64 = 50;

pub(super) struct Acknowledger {
    clock: Arc<dyn Clock>,
    runtime: tokio::runtime::Handle,
    engine: OnceLock<Weak<Engine>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    number: Option<u64>,
    closing: bool,
}

impl Acknowledger {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let runtime = tokio::runtime::Handle::current();
        Arc::new(Self { clock, runtime, engine: OnceLock::new(), state: Mutex::default() })
    }

    /// Which engine forgets the events.
    pub(super) fn attach(&self, engine: &Arc<Engine>) {
        self.engine.get_or_init(|| Arc::downgrade(engine));
    }

    pub(super) fn acknowledge_soon(self: &Arc<Self>, number: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let first = state.number.is_none();
        // Two streams may get here in either order.
        state.number = state.number.max(Some(number));
        let closing = state.closing;
        drop(state);
        if closing {
            self.flush();
        } else if first {
            let this = Arc::clone(self);
            self.runtime.spawn(async move {
                sleep(&*this.clock, DELAY_MS).await;
                this.flush();
            });
        }
    }

    /// From now on nothing is held back.
    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closing = true;
        self.flush();
    }

    fn flush(&self) {
        let number = self.state.lock().unwrap_or_else(PoisonError::into_inner).number.take();
        if let (Some(event_number), Some(engine)) = (number, self.engine.get().and_then(Weak::upgrade)) {
            engine.feed(input::Input::AcknowledgeEvents(AcknowledgeEventsRequest { event_number }));
        }
    }
}
