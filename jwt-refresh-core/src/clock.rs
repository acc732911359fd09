//! Time: the clocks that expiry is read on, and the hand-moved ones that tests put in their place.
//!
//! Before every call the *coarse real-time* clock is read, where there is one: it costs a quarter of [`SystemTime::now`], and
//! unlike the monotonic clock it goes on while the machine is suspended. But it can be stepped. So whatever else is decided is
//! decided by a [`Moment`], which has the time since boot in it too: nobody can step that.

use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

/// A point in time in nanoseconds since the Unix epoch. Arithmetic saturates: a lifetime of ten thousand years is
/// [`Timestamp::NEVER`], not an overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(i64);

impl Timestamp {
    /// Before every time a clock can show.
    pub(crate) const LONG_AGO: Self = Self(i64::MIN);
    /// After every time a clock can show.
    pub(crate) const NEVER: Self = Self(i64::MAX);

    pub(crate) const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

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

/// A point in time on two clocks: what the wall shows, and how long the machine has been up, suspended or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) wall: Timestamp,
    pub(crate) boot: Timestamp,
}

impl Moment {
    pub(crate) const LONG_AGO: Self = Self { wall: Timestamp::LONG_AGO, boot: Timestamp::LONG_AGO };
    pub(crate) const NEVER: Self = Self { wall: Timestamp::NEVER, boot: Timestamp::NEVER };

    /// Whether `edge` has been reached on either clock: a wall clock that was stepped back does not bring back what is over.
    pub(crate) fn reached(self, edge: Self) -> bool {
        self.wall >= edge.wall || self.boot >= edge.boot
    }

    /// The moment at which the wall will show `time`, seen from this one, if nobody steps it.
    pub(crate) fn at_wall(self, time: Timestamp) -> Self {
        if time == Timestamp::NEVER {
            return Self::NEVER;
        }
        let boot =
            if time >= self.wall { self.boot + time.since(self.wall) } else { self.boot - self.wall.since(time) };
        Self { wall: time, boot }
    }

    pub(crate) fn earlier(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), boot: self.boot.min(other.boot) }
    }

    /// How long it is until `edge`, on the clock that reaches it first.
    pub(crate) fn until(self, edge: Self) -> Duration {
        edge.wall.since(self.wall).min(edge.boot.since(self.boot))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self { wall: self.wall + duration, boot: self.boot + duration }
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self { wall: self.wall - duration, boot: self.boot - duration }
    }
}

/// Where a session reads the time. [`Clock::system`] unless a test says otherwise; see [`ManualClock`].
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<Hands>),
}

/// What a manual clock shows.
#[derive(Debug)]
struct Hands {
    wall: AtomicI64,
    boot: AtomicI64,
    moved: Notify,
}

/// Timers stand still while the machine is suspended, so nobody sleeps for longer than this without looking at the clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

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
            Source::Manual(hands) => Timestamp(hands.wall.load(Ordering::Acquire)),
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        let boot = match &self.0 {
            Source::System => system_boot(),
            Source::Manual(hands) => Timestamp(hands.boot.load(Ordering::Acquire)),
        };
        Moment { wall: self.timestamp(), boot }
    }

    /// Waits until `edge` has been reached on either clock.
    pub(crate) async fn sleep_until(&self, edge: Moment) {
        if edge == Moment::NEVER {
            return std::future::pending().await;
        }
        loop {
            let left = match &self.0 {
                Source::System => self.moment().until(edge),
                Source::Manual(hands) => {
                    let moved = hands.moved.notified();
                    if self.moment().reached(edge) {
                        return;
                    }
                    moved.await;
                    continue;
                }
            };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
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
pub struct ManualClock(Arc<Hands>);

impl ManualClock {
    /// Starts at the machine's present time, so that real servers' dates make sense beside it.
    pub fn new() -> Self {
        Self::at(SystemTime::now())
    }

    /// Starts at `time`.
    pub fn at(time: SystemTime) -> Self {
        let wall = AtomicI64::new(Timestamp::from(time).as_nanos());
        Self(Arc::new(Hands { wall, boot: AtomicI64::new(0), moved: Notify::new() }))
    }

    /// Lets `duration` pass, awake or suspended.
    pub fn advance(&self, duration: Duration) {
        let later = |now| Some((Timestamp(now) + duration).as_nanos());
        for clock in [&self.0.boot, &self.0.wall] {
            // Never an error: there always is a later time.
            let _ = clock.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
        }
        self.0.moved.notify_waiters();
    }

    /// Steps what the clock shows to `time`, forwards or backwards, as a person or a time server may. No time passes by it.
    pub fn step_to(&self, time: SystemTime) {
        self.0.wall.store(Timestamp::from(time).as_nanos(), Ordering::Release);
        self.0.moved.notify_waiters();
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

#[cfg(any(target_os = "linux", target_os = "android"))]
fn system_boot() -> Timestamp {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Timestamp(time.tv_sec * 1_000_000_000 + time.tv_nsec)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[inline]
fn system_now() -> Timestamp {
    SystemTime::now().into()
}

/// The monotonic clock is the next best: on some systems it counts time in suspend, on others not.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn system_boot() -> Timestamp {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    Timestamp(0) + START.get_or_init(std::time::Instant::now).elapsed()
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
    fn a_wall_that_is_stepped_back_does_not_bring_back_what_is_over() {
        let hand = ManualClock::new();
        let clock = Clock::from(&hand);
        let edge = clock.moment() + Duration::from_secs(60);
        hand.advance(Duration::from_secs(60));
        hand.step_to(clock.now() - Duration::from_secs(3600));
        assert!(clock.moment().reached(edge));
        assert_eq!(clock.moment().until(edge), Duration::ZERO);
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
        let hand = ManualClock::new();
        hand.advance(Duration::MAX);
        assert_eq!(Clock::from(&hand).timestamp(), Timestamp::NEVER);
    }
}
