//! Time: the clocks that expiry is read on, and the hand-moved ones that tests put in their place.
//!
//! Before every call the *coarse real-time* clock is read, where there is one: it costs a quarter of [`SystemTime::now`], and
//! unlike the monotonic clock it goes on while the machine is suspended. But it can be stepped. So whatever else is decided is
//! decided by a [`Moment`], which has the time since boot in it too: nobody can step that.

mod moment;
mod timestamp;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

pub(crate) use moment::Moment;
pub(crate) use timestamp::Timestamp;

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
            Source::Manual(hands) => Timestamp::from_nanos(hands.wall.load(Ordering::Acquire)),
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        let boot = match &self.0 {
            Source::System => system_boot(),
            Source::Manual(hands) => Timestamp::from_nanos(hands.boot.load(Ordering::Acquire)),
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
        let later = |now| Some((Timestamp::from_nanos(now) + duration).as_nanos());
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
    Timestamp::from_nanos(time.tv_sec * 1_000_000_000 + time.tv_nsec)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn system_boot() -> Timestamp {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Timestamp::from_nanos(time.tv_sec * 1_000_000_000 + time.tv_nsec)
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
    Timestamp::from_nanos(0) + START.get_or_init(std::time::Instant::now).elapsed()
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
    fn a_manual_clock_can_be_advanced_to_the_end_of_time() {
        let hand = ManualClock::new();
        hand.advance(Duration::MAX);
        assert_eq!(Clock::from(&hand).timestamp(), Timestamp::NEVER);
    }
}
