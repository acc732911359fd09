//! The access token that a session holds, and how it has lived.

use std::time::Duration;

use crate::clock::{Moment, Timestamp};
use crate::renewal::Lifetime;
use crate::token::AccessToken;

/// A token that was rejected later than this, or later than in this part of its life, has served.
const SERVED_AFTER: Duration = Duration::from_secs(5);
const SERVED_SHARE: f64 = 0.2;

/// If the last token died early, the next one is taken to die so much before its hints say: as much
/// as a server loses that rounds to seconds, but at most this part of its life.
const EARLY_BY: Duration = Duration::from_secs(1);
const EARLY_SHARE: f64 = 0.1;

/// The current access token.
#[derive(Debug)]
pub(super) struct HeldToken {
    pub(super) token: AccessToken,
    pub(super) life: Lifetime,
    /// From when on, since boot, a rejection says nothing against the token as it was issued.
    served_from: Timestamp,
}

impl HeldToken {
    /// Returns a token of `generation` whose life began at `begins`.
    pub(super) fn new(token: AccessToken, generation: u64, begins: Moment, life: Lifetime) -> Self {
        let total = life.expires.wall.since(begins.wall);
        let served_from = begins.boot + SERVED_AFTER.min(total.mul_f64(SERVED_SHARE));
        Self { token: token.issued(life.expires.wall, generation), life, served_from }
    }

    /// Returns whether the token has not expired.
    pub(super) fn is_alive(&self, now: Moment) -> bool {
        !now.reached(self.life.expires)
    }

    /// Returns whether the token has lived for so long that a rejection says nothing against the
    /// tokens that the server issues.
    pub(super) fn is_old(&self, now: Moment) -> bool {
        now.boot >= self.served_from
    }

    /// Returns whether the token was not rejected before it was to be replaced. `successor_begins`
    /// is when the life of the next one began.
    pub(super) fn had_a_good_life(&self, successor_begins: Moment) -> bool {
        self.life != Lifetime::EXPIRED && successor_begins.reached(self.life.ahead)
    }
}

/// Returns the lifetime of a token that began at `begins`, if the one before was rejected before it
/// expired.
pub(super) fn shortened(begins: Moment, life: Lifetime) -> Lifetime {
    let total = life.expires.wall.since(begins.wall);
    life.shortened(EARLY_BY.min(total.mul_f64(EARLY_SHARE)))
}
