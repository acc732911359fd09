//! When the login itself ends: the refresh token expires, and nobody has used it by then.

use std::time::{Duration, SystemTime};

use crate::clock::Moment;

/// How long before the end of the login its event is sent, or half of what the login lives if that
/// is less.
const AHEAD: Duration = Duration::from_secs(300);

/// When a login ends, and when that has to be told.
#[derive(Debug)]
pub(super) struct LoginEnd {
    pub(super) at: Moment,
    tell_at: Moment,
    told: bool,
}

impl LoginEnd {
    /// Returns the end of a login that lives from `begins` until `at`. Some servers say that a
    /// refresh token lives for 0 s if it does not expire: it has no end.
    pub(super) fn new(begins: Moment, at: Moment) -> Option<Self> {
        let lives = begins.until(at);
        (!lives.is_zero()).then(|| Self { at, tell_at: at - AHEAD.min(lives / 2), told: false })
    }

    /// Returns when the event has to be sent, unless it was.
    pub(super) fn deadline(&self) -> Moment {
        if self.told { Moment::NEVER } else { self.tell_at }
    }

    /// Returns the time of the end if it has to be told at `now`, which it is only once.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<SystemTime> {
        if self.told || !now.reached(self.tell_at) {
            return None;
        }
        self.told = true;
        Some(self.at.wall.into())
    }
}
