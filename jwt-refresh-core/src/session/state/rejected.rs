//! What follows from a 401: the token has expired, and renewals may pause.

use super::{Phase, SessionState};
use crate::clock::{Moment, Timestamp};
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::renewal::{Lifetime, Serving};

impl SessionState {
    /// Handles a 401 answer to the token of `generation`. It concerns only the current token: a
    /// newer one may have arrived since the call was sent. `served` is the newest generation of
    /// which a call has gone well.
    pub(in crate::session) fn reject(&mut self, generation: u64, served: u64, policy: &Policy, now: Moment) {
        let Some(held) = self.held.as_mut().filter(|held| held.token.generation() == generation) else { return };
        if held.life == Lifetime::EXPIRED {
            return;
        }
        let has_served = served == generation || held.is_old(now);
        held.life = Lifetime::EXPIRED;
        if has_served {
            // During a renewal the server may have replaced the token already.
            self.tokens_die_early |= !matches!(self.phase, Phase::Renewing { .. });
        } else if let Some((count, until)) = self.rejections.add(policy, now) {
            self.pause_renewals(count, until);
        }
    }

    /// Renews no token until the given time, because too many were rejected as soon as they were
    /// issued.
    fn pause_renewals(&mut self, count: usize, until: Timestamp) {
        let may_pause = match &self.phase {
            Phase::Idle => true,
            // A server may have asked for a longer pause.
            Phase::BackingOff { until: asked, .. } => *asked < until,
            Phase::Renewing { .. } | Phase::ReauthenticationRequired(_) | Phase::LoggedOut => false,
        };
        if may_pause {
            let what = format!("{count} access tokens were rejected with 401 as soon as they were issued");
            let error = Error::new(ErrorKind::RejectedAsIssued, what);
            self.phase = Phase::BackingOff { until, early: None, error, serving: Serving::LiveToken };
        }
    }

    /// Forgets which tokens were rejected, because the user logs in or brings tokens.
    pub(in crate::session) fn forget_rejections(&mut self) {
        self.rejections.clear();
    }
}
