//! Times in a pool: nanoseconds since boot, on the clock that nobody can step.

use std::time::Duration;

use crate::clock::Timestamp;

pub(super) const NEVER: i64 = Timestamp::NEVER.as_nanos();
pub(super) const LONG_AGO: i64 = Timestamp::LONG_AGO.as_nanos();

/// The time `duration` after `now`.
pub(super) fn after(now: i64, duration: Duration) -> i64 {
    now.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(NEVER))
}

/// How long it is from `now` until `time`; zero if that has passed.
pub(super) fn until(now: i64, time: i64) -> Duration {
    Duration::from_nanos(u64::try_from(time.saturating_sub(now)).unwrap_or(0))
}
