//! A point in time on two clocks, one of which nobody can step.

use std::ops::{Add, Sub};
use std::time::Duration;

use super::timestamp::Timestamp;

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
