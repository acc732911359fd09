//! A point in time on one clock.

use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime};

/// A point in time on one clock, in nanoseconds: since the Unix epoch on the wall clock, since boot
/// on the other. Arithmetic saturates: a lifetime of ten thousand years ends at
/// [`Timestamp::NEVER`] and does not overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(i64);

impl Timestamp {
    /// Before every time that a clock can show.
    pub(crate) const LONG_AGO: Self = Self(i64::MIN);
    /// After every time that a clock can show.
    pub(crate) const NEVER: Self = Self(i64::MAX);

    pub(crate) const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Returns the time from `earlier` until `self`, or zero if `self` is before `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Returns `duration` in nanoseconds, at most `i64::MAX`.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(nanos(after)),
            Err(before) => Self(nanos(before.duration()).saturating_neg()),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(Timestamp(nanos): Timestamp) -> Self {
        let distance = Duration::from_nanos(nanos.unsigned_abs());
        if nanos < 0 { Self::UNIX_EPOCH - distance } else { Self::UNIX_EPOCH + distance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_the_epoch_survive_conversion_to_system_time() {
        for nanos in [-1_500_000_001, -1, 0, 1, 1_900_000_000_123_456_789] {
            let time = Timestamp(nanos);
            assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        }
    }

    #[test]
    fn arithmetic_saturates_instead_of_overflowing() {
        assert_eq!(Timestamp::NEVER + Duration::MAX, Timestamp::NEVER);
        assert_eq!(Timestamp::LONG_AGO - Duration::MAX, Timestamp::LONG_AGO);
        assert_eq!(Timestamp::LONG_AGO.since(Timestamp::NEVER), Duration::ZERO);
    }
}
