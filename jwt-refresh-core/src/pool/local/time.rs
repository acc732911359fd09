//! Times in a pool: nanoseconds since boot, on a clock that cannot be stepped.

use std::time::Duration;

use crate::clock::Timestamp;

pub(super) const NEVER: i64 = Timestamp::NEVER.as_nanos();
pub(super) const LONG_AGO: i64 = Timestamp::LONG_AGO.as_nanos();

/// Returns the time that is `duration` after `now`.
pub(super) fn after(now: i64, duration: Duration) -> i64 {
    now.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(NEVER))
}

/// Returns how long it is from `now` until `time`, or zero if that has passed.
pub(super) fn until(now: i64, time: i64) -> Duration {
    Duration::from_nanos(u64::try_from(time.saturating_sub(now)).unwrap_or(0))
}
