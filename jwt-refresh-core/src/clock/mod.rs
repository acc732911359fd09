//! The clocks by which expiry is decided: the system's clock, and manual clocks for tests.
//!
//! The check before each call reads the *coarse real-time* clock where the system has one. That
//! costs a quarter of [`SystemTime::now`], and unlike the monotonic clock it counts the time in
//! which the machine is suspended. But it can be stepped. All other decisions therefore use a
//! [`Moment`], which also contains the time since boot: that clock cannot be stepped.

mod date;
mod moment;
#[cfg(feature = "oauth")]
mod signing_time;
mod timer_queue;
mod timestamp;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

pub(crate) use date::{DATE_RESOLUTION, date_ahead, date_header, parse_date};
pub(crate) use moment::Moment;
#[cfg(feature = "oauth")]
pub(crate) use signing_time::SigningTime;
pub(crate) use timer_queue::{DueTimers, OnDeadline, TimerQueue};
pub(crate) use timestamp::Timestamp;
pub(crate) use words::in_words;

/// The clock from which a session or pool reads the time: [`Clock::system`] by default, or a
/// [`ManualClock`] in tests.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<ManualTime>),
}

/// The time that a manual clock shows, in nanoseconds: on the wall clock since the Unix epoch, and
/// since boot.
#[derive(Debug)]
struct ManualTime {
    wall: AtomicI64,
    boot: AtomicI64,
    changed: Notify,
    timers: TimerQueue,
}

/// The timers that wait for the system's clock.
static SYSTEM_TIMERS: TimerQueue = TimerQueue::new();

/// Ends when the time may be another than it was.
pub(crate) enum Tick<'a> {
    System,
    /// A manual clock is moved.
    Manual(Notified<'a>),
}

impl Tick<'_> {
    /// Waits for the time to change, for at most `left` where it passes by itself.
    pub(crate) async fn within(self, left: Duration) {
        match self {
            Self::System => tokio::time::sleep(left.min(LONGEST_SLEEP)).await,
            Self::Manual(moved) => moved.await,
        }
    }
}

/// The longest sleep before the clock is read again. Timers stand still while the machine is
/// suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

impl Clock {
    /// Returns the machine's real-time clock. On Linux and Android it is the coarse one, which is
    /// up to one kernel tick (1–10 ms) behind.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// Returns the time that this clock shows.
    pub fn now(&self) -> SystemTime {
        self.timestamp().into()
    }

    #[inline]
    pub(crate) fn timestamp(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(time) => Timestamp::from_nanos(time.wall.load(Ordering::Acquire)),
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        let boot = match &self.0 {
            Source::System => system_boot(),
            Source::Manual(time) => Timestamp::from_nanos(time.boot.load(Ordering::Acquire)),
        };
        Moment { wall: self.timestamp(), boot }
    }

    /// Waits until either clock has reached `deadline`. Never returns for [`Moment::NEVER`].
    pub(crate) async fn sleep_until(&self, deadline: Moment) {
        if deadline == Moment::NEVER {
            return std::future::pending().await;
        }
        loop {
            let tick = self.tick();
            let left = self.moment().until(deadline);
            if left.is_zero() {
                return;
            }
            tick.within(left).await;
        }
    }

    /// Returns what ends when the time changes. It is asked for before the time is read, so that no
    /// change after that is missed.
    pub(crate) fn tick(&self) -> Tick<'_> {
        match &self.0 {
            Source::System => Tick::System,
            Source::Manual(time) => Tick::Manual(time.changed.notified()),
        }
    }

    /// Returns the timers that wait for this clock.
    pub(crate) fn timers(&self) -> &TimerQueue {
        match &self.0 {
            Source::System => &SYSTEM_TIMERS,
            Source::Manual(time) => &time.timers,
        }
    }
}

/// A clock that moves only when it is told to, so that no test has to sleep until a token expires.
/// Clones show the same time.
///
/// All that a session does at a time follows its clock: the expiry of tokens, the pauses after
/// failures, and `Retry-After`. So after a failure a session with a manual clock asks its server
/// again only when the clock has been [advanced](ManualClock::advance) past the pause. Time-outs of
/// requests pass in real time.
///
/// ```
/// # use std::time::Duration;
/// use jwt_refresh::{Clock, ManualClock};
///
/// let manual = ManualClock::new();
/// let clock = Clock::from(&manual);
/// let before = clock.now();
/// manual.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now(), before + Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<ManualTime>);

impl ManualClock {
    /// Returns a clock that shows the machine's current time, so that it agrees with the dates that
    /// real servers send.
    pub fn new() -> Self {
        Self::at(SystemTime::now())
    }

    /// Returns a clock that shows `time`.
    pub fn at(time: SystemTime) -> Self {
        let wall = AtomicI64::new(Timestamp::from(time).as_nanos());
        let (boot, changed, timers) = (AtomicI64::new(0), Notify::new(), TimerQueue::new());
        Self(Arc::new(ManualTime { wall, boot, changed, timers }))
    }

    /// Lets `duration` pass, as if the machine had been awake or suspended for that long. Stops at
    /// the latest time that can be represented, in the year 2262.
    pub fn advance(&self, duration: Duration) {
        let later = |now| Some((Timestamp::from_nanos(now) + duration).as_nanos());
        for clock in [&self.0.boot, &self.0.wall] {
            // `fetch_update` cannot fail, because `later` always returns a time.
            let _ = clock.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
        }
        self.0.changed.notify_waiters();
    }

    /// Sets the clock to `time`, forwards or backwards, as a person or a time server may do. No
    /// time passes: the time since boot stays the same.
    pub fn step_to(&self, time: SystemTime) {
        self.0.wall.store(Timestamp::from(time).as_nanos(), Ordering::Release);
        self.0.changed.notify_waiters();
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&ManualClock> for Clock {
    fn from(manual: &ManualClock) -> Self {
        Self(Source::Manual(Arc::clone(&manual.0)))
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

/// Reads the monotonic clock, which is the next best: some systems count the time in suspend in it,
/// others do not.
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
    fn a_deadline_stays_reached_if_the_wall_clock_is_stepped_back() {
        let manual = ManualClock::new();
        let clock = Clock::from(&manual);
        let deadline = clock.moment() + Duration::from_secs(60);
        manual.advance(Duration::from_secs(60));
        manual.step_to(clock.now() - Duration::from_secs(3600));
        assert!(clock.moment().reached(deadline));
        assert_eq!(clock.moment().until(deadline), Duration::ZERO);
    }

    #[test]
    fn a_manual_clock_that_is_advanced_too_far_stops_at_the_latest_time() {
        let manual = ManualClock::new();
        manual.advance(Duration::MAX);
        assert_eq!(Clock::from(&manual).timestamp(), Timestamp::NEVER);
    }
}
