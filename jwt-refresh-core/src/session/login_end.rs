//! When the login itself ends: the refresh token expires, and nobody has used it by then.

use std::time::{Duration, SystemTime};

use crate::clock::{Moment, Timestamp};

/// How long before the end of the login its event is sent, or half of what the login lives if that
/// is less.
const AHEAD: Duration = Duration::from_secs(300);

/// When a login ends, and when that has to be told: times since boot, because it is told once, and
/// a wall clock that is set forward must not have it told too early.
#[derive(Debug)]
pub(super) struct LoginEnd {
    at: Timestamp,
    tell_at: Timestamp,
    told: bool,
}

impl LoginEnd {
    /// Returns the end of a login that lives from `begins` until `at`. Some servers say that a
    /// refresh token lives for 0 s if it does not expire: it has no end.
    pub(super) fn new(begins: Moment, at: Moment) -> Option<Self> {
        let lives = at.boot.since(begins.boot);
        (!lives.is_zero()).then(|| Self { at: at.boot, tell_at: at.boot - AHEAD.min(lives / 2), told: false })
    }

    /// Returns when the event has to be sent, unless it was.
    pub(super) fn deadline(&self) -> Timestamp {
        if self.told { Timestamp::NEVER } else { self.tell_at }
    }

    /// Returns the time of the end, as the wall clock shows time now, if it has to be told at
    /// `now`, which it is only once.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<SystemTime> {
        if self.told || now.boot < self.tell_at {
            return None;
        }
        self.told = true;
        Some((now.wall + self.at.since(now.boot)).into())
    }
}
