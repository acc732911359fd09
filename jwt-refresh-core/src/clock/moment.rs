//! A point in time on two clocks, one of which cannot be stepped.

use std::ops::{Add, Sub};
use std::time::Duration;

use super::timestamp::Timestamp;

/// A point in time on two clocks: the wall clock, and the time since boot, which counts suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) wall: Timestamp,
    pub(crate) boot: Timestamp,
}

impl Moment {
    pub(crate) const LONG_AGO: Self = Self { wall: Timestamp::LONG_AGO, boot: Timestamp::LONG_AGO };
    pub(crate) const NEVER: Self = Self { wall: Timestamp::NEVER, boot: Timestamp::NEVER };

    /// Returns whether `deadline` has been reached on either clock. If the wall clock is stepped
    /// back, a deadline that was reached thus stays reached. If it is set forward, a deadline on it
    /// is reached too early: that is right for the end of a token, which a server that goes by the
    /// same clock takes to have ended, and wrong for a pause. See [`since_boot`](Self::since_boot).
    pub(crate) fn reached(self, deadline: Self) -> bool {
        self.wall >= deadline.wall || self.boot >= deadline.boot
    }

    /// Returns the moment `boot` after boot, whatever the wall clock shows. Pauses end at such a
    /// moment: a wall clock that is set forward must not end them.
    pub(crate) const fn since_boot(boot: Timestamp) -> Self {
        Self { wall: Timestamp::NEVER, boot }
    }

    /// Returns the moment at which the wall clock will show `time`, seen from `self`, unless it is
    /// stepped.
    pub(crate) fn at_wall(self, time: Timestamp) -> Self {
        if time == Timestamp::NEVER {
            return Self::NEVER;
        }
        let boot =
            if time >= self.wall { self.boot + time.since(self.wall) } else { self.boot - self.wall.since(time) };
        Self { wall: time, boot }
    }

    /// Returns the earlier time on each of the two clocks.
    pub(crate) fn earlier(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), boot: self.boot.min(other.boot) }
    }

    /// Returns how long it is until `deadline`, on the clock that reaches it first. Zero if it has
    /// been reached.
    pub(crate) fn until(self, deadline: Self) -> Duration {
        deadline.wall.since(self.wall).min(deadline.boot.since(self.boot))
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
