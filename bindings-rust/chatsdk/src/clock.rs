//! Time, as the SDK needs it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use crate::abi::{Clock, Instant};
use crate::error::Result;

/// Longest wait at a time: the wall clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The clock of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    fn unix_ms() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

#[async_trait]
impl Clock for SystemClock {
    async fn now(&self) -> Result<Instant> {
        Ok(Instant { unix_ms: Self::unix_ms() })
    }

    async fn sleep_until(&self, at: Instant) -> Result<()> {
        loop {
            let left = Duration::from_millis(at.unix_ms.saturating_sub(Self::unix_ms()));
            if left.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
        }
    }
}

/// Waits for so long by a clock, or by the system's if that fails: who waits to try again must not do it at once.
pub(crate) async fn sleep(clock: &dyn Clock, ms: u64) {
    let slept = match clock.now().await {
        Ok(now) => clock.sleep_until(Instant { unix_ms: now.unix_ms.saturating_add(ms) }).await,
        Err(error) => Err(error),
    };
    if let Err(error) = slept {
        tracing::warn!("clock: {error}");
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
