//! The state machine behind its lock, and beside the lock the two words that make the check cheap. Everything that changes a
//! session's state comes by here, and nothing here waits or talks.

use tokio::sync::watch;

use super::pending::{Notification, PendingRenewal};
use super::state::{NextStep, RenewalPermit, SessionState};
use crate::clock::{Clock, Moment, Timestamp};
use crate::error::Error;
use crate::policy::Policy;
use crate::renewal::{IssuedTokens, Outcome, Plan, RefreshCredential};
use crate::sync::{AtomicI64, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::token::AccessToken;

pub(super) struct StateCell {
    fast: FastPath,
    pub(super) clock: Clock,
    pub(super) policy: Policy,
    state: Mutex<SessionState>,
    /// When something changes by time alone. Closed when the session ends.
    deadline: watch::Sender<Moment>,
}

/// What the check reads, on cache lines of its own: a clone of the session, or a caller inside the lock, must not make other
/// cores fetch it anew.
#[repr(align(128))]
struct FastPath {
    /// Until when the token may be served unseen, in nanoseconds since the epoch.
    quiet_until: AtomicI64,
    /// The generation of that token.
    generation: AtomicU64,
}

/// What a caller who needs a token is to do.
pub(super) enum Acquisition<R> {
    /// Go on with this token.
    Serve(AccessToken),
    /// Wait for the renewal under way.
    Wait(PendingRenewal),
    /// Launch this renewal where there is a place for it; go on with the token there is, if it may still be used, else wait.
    Launch(RenewalPermit, R, Option<AccessToken>),
}

/// What came of following a logout.
pub(super) enum Followed {
    Already,
    Now,
    /// Nothing yet: this renewal has to end first.
    After(PendingRenewal),
}

impl StateCell {
    pub(super) fn new(policy: Policy, clock: Clock) -> Self {
        Self {
            fast: FastPath {
                quiet_until: AtomicI64::new(Timestamp::LONG_AGO.as_nanos()),
                generation: AtomicU64::new(0),
            },
            clock,
            policy,
            state: Mutex::new(SessionState::new()),
            deadline: watch::Sender::new(Moment::NEVER),
        }
    }

    /// The check: a load, a reading of the clock, a compare.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.clock.timestamp().as_nanos() < self.fast.quiet_until.load(Ordering::Acquire)
    }

    /// The generation of the token, for a caller who has seen that it is fresh.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.fast.generation.load(Ordering::Acquire)
    }

    /// What to do for a token. A renewal that is to be launched has been begun, and must be completed; none is begun where there is
    /// no `place` for one.
    pub(super) fn acquire<R>(&self, place: impl FnOnce() -> Result<R, Error>) -> Result<Acquisition<R>, Error> {
        let mut state = self.lock();
        let live = match state.next_step(self.clock.moment()) {
            NextStep::Serve(token) => return Ok(Acquisition::Serve(token)),
            NextStep::Fail(error) => return Err(error),
            NextStep::Wait(pending) => return Ok(Acquisition::Wait(pending)),
            NextStep::Renew(live) => live,
        };
        match (place(), live) {
            (Ok(place), live) => Ok(match self.begin(&mut state, Plan::Renew) {
                Ok(permit) => Acquisition::Launch(permit, place, live),
                Err(under_way) => Acquisition::Wait(under_way),
            }),
            // Refresh-ahead is a courtesy: that it could not begin is no reason to withhold a token that lives.
            (Err(_), Some(token)) => Ok(Acquisition::Serve(token)),
            (Err(error), None) => Err(error),
        }
    }

    /// Begins a login that the user asked for, unless a renewal is under way.
    pub(super) fn begin_login(&self) -> Result<RenewalPermit, PendingRenewal> {
        self.begin(&mut self.lock(), Plan::LogIn)
    }

    fn begin(&self, state: &mut SessionState, plan: Plan) -> Result<RenewalPermit, PendingRenewal> {
        let begun = state.begin(plan);
        self.publish(state);
        begun
    }

    /// Ends a renewal. Those who wait for it are told by the notification: with the lock given back, and after the check has
    /// seen it.
    pub(super) fn complete(&self, permit: RenewalPermit, outcome: Outcome) -> Notification {
        self.change(|state, now| state.complete(permit, outcome, &self.policy, now))
    }

    pub(super) fn reject(&self, generation: u64) {
        self.change(|state, now| state.reject(generation, &self.policy, now));
    }

    /// Takes tokens of the user's in place of all others, as the `sequence`th or the next.
    pub(super) fn adopt(&self, issued: impl FnOnce(u64, Moment) -> IssuedTokens) -> IssuedTokens {
        self.change(|state, now| {
            let issued = issued(state.next_sequence(), now);
            state.adopt(issued.clone());
            issued
        })
    }

    /// Takes what another process holds, if it is newer. Whether it was.
    pub(super) fn follow(&self, issued: IssuedTokens) -> bool {
        self.change(|state, _| state.follow(issued))
    }

    /// Forgets everything; what could be refreshed with until then.
    pub(super) fn log_out(&self) -> RefreshCredential {
        self.change(|state, _| {
            let credential = state.credential().clone();
            state.log_out();
            credential
        })
    }

    /// Forgets everything because another process did, unless that is `outdated`.
    pub(super) fn follow_logout(&self, outdated: impl FnOnce() -> bool) -> Followed {
        self.change(|state, _| {
            if state.is_logged_out() || outdated() {
                return Followed::Already;
            }
            if let Some(renewal) = state.under_way() {
                return Followed::After(renewal);
            }
            state.log_out();
            Followed::Now
        })
    }

    /// A deadline has passed on the clock that cannot be stepped: the check, which reads the other, is to be believed no more.
    pub(super) fn distrust_check(&self) {
        let state = self.lock();
        if self.clock.moment().reached(state.quiet_until()) {
            self.fast.quiet_until.store(Timestamp::LONG_AGO.as_nanos(), Ordering::Release);
        }
    }

    pub(super) fn deadline(&self) -> watch::Receiver<Moment> {
        self.deadline.subscribe()
    }

    fn change<T>(&self, change: impl FnOnce(&mut SessionState, Moment) -> T) -> T {
        let mut state = self.lock();
        let done = change(&mut state, self.clock.moment());
        self.publish(&state);
        done
    }

    /// Makes what the state says visible to the check. Called with the lock held, so that writers do not overtake each other.
    fn publish(&self, state: &SessionState) {
        // The generation first: whoever then sees the new deadline sees the new generation too.
        self.fast.generation.store(state.generation(), Ordering::Release);
        self.fast.quiet_until.store(state.quiet_until().wall.as_nanos(), Ordering::Release);
        let wake_at = state.wake_at();
        self.deadline.send_if_modified(|old| std::mem::replace(old, wake_at) != wake_at);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock()
    }
}

#[cfg(all(test, shuttle))]
mod model;
