//! When a message says that it was published.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use super::lock;

/// In nanoseconds. Nodes refuse a timestamp that is more than 20 s from their clock: far below that, and far above what a burst adds.
const MAX_AHEAD: i64 = 5_000_000_000;

/// Timestamps of messages, Unix time in nanoseconds. No two in a row are alike: the network takes messages that differ in nothing for one. They
/// run ahead of the clock only briefly, so that a clock that was ahead and was put right is followed.
#[derive(Default)]
pub(super) struct Timestamps {
    last: Mutex<i64>,
}

impl Timestamps {
    pub(super) fn next(&self, clock: SystemTime) -> i64 {
        let mut last = lock(&self.last);
        let since = clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        let stale = *last > now.saturating_add(MAX_AHEAD);
        *last = if now > *last || stale { now } else { last.saturating_add(1) };
        *last
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_225_600)
    }

    fn nanoseconds(time: SystemTime) -> i64 {
        time.duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
    }

    #[test]
    fn r1_timestamps_of_a_burst_are_unlike_each_other_and_go_on_while_the_clock_is_put_back_a_little() {
        let timestamps = Timestamps::default();
        let mut drawn: Vec<i64> = (0..1000).map(|_| timestamps.next(now())).collect();
        assert_eq!(drawn[0], nanoseconds(now()));
        drawn.push(timestamps.next(now() - Duration::from_millis(4999)));
        drawn.push(timestamps.next(now() - Duration::from_millis(1)));
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        let later = now() + Duration::from_millis(1);
        assert_eq!(timestamps.next(later), nanoseconds(later));
    }

    #[test]
    fn r1_timestamps_follow_a_clock_that_was_an_hour_ahead_and_was_put_right() {
        let timestamps = Timestamps::default();
        timestamps.next(now() + HOUR);
        assert_eq!(timestamps.next(now()), nanoseconds(now()));
        assert_eq!(timestamps.next(now()), nanoseconds(now()) + 1);
    }
}
