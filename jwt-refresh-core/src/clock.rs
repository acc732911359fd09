//! Time: the one clock that expiry is read on, and the hand-moved one that tests put in its place.
//!
//! The system clock is the *coarse real-time* clock where there is one: it costs a quarter of [`SystemTime::now`], it is
//! read before every call, and unlike the monotonic clock it goes on while the machine is suspended.

use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// A point in time in nanoseconds since the Unix epoch. Arithmetic saturates: a lifetime of ten thousand years is
/// [`Timestamp::NEVER`], not an overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(i64);

impl Timestamp {
    /// Before every time a clock can show.
    pub(crate) const LONG_AGO: Self = Self(i64::MIN);
    /// After every time a clock can show.
    pub(crate) const NEVER: Self = Self(i64::MAX);

    pub(crate) const fn as_nanos(self) -> i64 {
        self.0
    }

    /// How long it is from `earlier` until `self`; zero if that lies behind.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

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

/// Where a session reads the time. [`Clock::system`] unless a test says otherwise; see [`ManualClock`].
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's real-time clock; on Linux and Android the coarse one, up to one kernel tick (1–10 ms) behind.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// The time this clock shows.
    pub fn now(&self) -> SystemTime {
        self.timestamp().into()
    }

    #[inline]
    pub(crate) fn timestamp(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(nanos) => Timestamp(nanos.load(Ordering::Acquire)),
        }
    }
}

/// A clock that moves only when told to, so that no test has to sleep until a token expires. Clones show the same time.
///
/// ```
/// # use std::time::Duration;
/// use jwt_refresh_core::{Clock, ManualClock};
///
/// let hand = ManualClock::new();
/// let clock = Clock::from(&hand);
/// let before = clock.now();
/// hand.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now(), before + Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Starts at the machine's present time, so that real servers' dates make sense beside it.
    pub fn new() -> Self {
        Self::at(SystemTime::now())
    }

    /// Starts at `time`.
    pub fn at(time: SystemTime) -> Self {
        Self(Arc::new(AtomicI64::new(Timestamp::from(time).as_nanos())))
    }

    /// Lets `duration` pass.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(nanos(duration), Ordering::AcqRel);
    }

    /// Steps the clock to `time`, forwards or backwards.
    pub fn step_to(&self, time: SystemTime) {
        self.0.store(Timestamp::from(time).as_nanos(), Ordering::Release);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&ManualClock> for Clock {
    fn from(hand: &ManualClock) -> Self {
        Self(Source::Manual(Arc::clone(&hand.0)))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn system_now() -> Timestamp {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    Timestamp(time.tv_sec * 1_000_000_000 + time.tv_nsec)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[inline]
fn system_now() -> Timestamp {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarse_clock_shows_the_time_of_the_system_clock() {
        let coarse = Clock::system().now();
        let exact = SystemTime::now();
        let apart = exact.duration_since(coarse).unwrap_or_else(|ahead| ahead.duration());
        assert!(apart < Duration::from_secs(1), "{apart:?} apart");
    }

    #[test]
    fn times_survive_the_way_through_system_time_on_both_sides_of_the_epoch() {
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
