//! The state machine behind its lock, and beside the lock the two words that make the check cheap. Everything that changes a
//! session's state comes by here, and nothing here waits or talks.

use std::sync::PoisonError;

use tokio::sync::watch;

use super::holding::{Grant, Holding};
use super::state::{Announcement, Landing, Look, Outcome, Plan, State, Ticket};
use crate::clock::{Moment, Timestamp};
use crate::sync::{AtomicI64, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::{AccessToken, Clock, Error, Policy};

pub(super) struct Desk {
    hot: Hot,
    pub(super) clock: Clock,
    pub(super) policy: Policy,
    state: Mutex<State>,
    /// When something changes by time alone. Closed when the session ends.
    deadline: watch::Sender<Moment>,
}

/// What the check reads, on cache lines of its own: a clone of the session, or a caller inside the lock, must not make other
/// cores fetch it anew.
#[repr(align(128))]
struct Hot {
    /// Until when the token may be served unseen, in nanoseconds since the epoch.
    quiet_until: AtomicI64,
    /// The generation of that token.
    generation: AtomicU64,
}

/// What a caller who needs a token is to do.
pub(super) enum Turn<R> {
    /// Go on with this token.
    Serve(AccessToken),
    /// Wait for the renewal under way.
    Wait(Outcome),
    /// Launch this renewal where there is a place for it; go on with the token there is, if it may still be used, else wait.
    Launch(Ticket, R, Option<AccessToken>),
}

/// What came of following a logout.
pub(super) enum Followed {
    Already,
    Now,
    /// Nothing yet: this renewal has to end first.
    After(Outcome),
}

impl Desk {
    pub(super) fn new(policy: Policy, clock: Clock) -> Self {
        Self {
            hot: Hot { quiet_until: AtomicI64::new(Timestamp::LONG_AGO.as_nanos()), generation: AtomicU64::new(0) },
            clock,
            policy,
            state: Mutex::new(State::new()),
            deadline: watch::Sender::new(Moment::NEVER),
        }
    }

    /// The check: a load, a reading of the clock, a compare.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.clock.timestamp().as_nanos() < self.hot.quiet_until.load(Ordering::Acquire)
    }

    /// The generation of the token, for a caller who has seen that it is fresh.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.hot.generation.load(Ordering::Acquire)
    }

    /// What to do for a token. A renewal that is to be launched has been begun, and must be landed; none is begun where there is
    /// no `place` for one.
    pub(super) fn turn<R>(&self, place: impl FnOnce() -> Result<R, Error>) -> Result<Turn<R>, Error> {
        let mut state = self.lock();
        let live = match state.look(self.clock.moment()) {
            Look::Serve(token) => return Ok(Turn::Serve(token)),
            Look::Fail(error) => return Err(error),
            Look::Wait(outcome) => return Ok(Turn::Wait(outcome)),
            Look::Renew(live) => live,
        };
        match (place(), live) {
            (Ok(place), live) => Ok(match self.begin(&mut state, Plan::Renew) {
                Ok(ticket) => Turn::Launch(ticket, place, live),
                Err(under_way) => Turn::Wait(under_way),
            }),
            // Refresh-ahead is a courtesy: that it could not begin is no reason to withhold a token that lives.
            (Err(_), Some(token)) => Ok(Turn::Serve(token)),
            (Err(error), None) => Err(error),
        }
    }

    /// Begins a login that the user asked for, unless a renewal is under way.
    pub(super) fn begin_login(&self) -> Result<Ticket, Outcome> {
        self.begin(&mut self.lock(), Plan::LogIn)
    }

    fn begin(&self, state: &mut State, plan: Plan) -> Result<Ticket, Outcome> {
        let begun = state.begin(plan);
        self.publish(state);
        begun
    }

    /// Ends a renewal. Those who wait for it are told by the announcement: with the lock given back, and after the check has
    /// seen it.
    pub(super) fn land(&self, ticket: Ticket, landing: Landing) -> Announcement {
        self.change(|state, now| state.land(ticket, landing, &self.policy, now))
    }

    pub(super) fn reject(&self, generation: u64) {
        self.change(|state, now| state.reject(generation, &self.policy, now));
    }

    /// Takes tokens of the user's in place of all others, as the `issue`th or the next.
    pub(super) fn adopt(&self, holding: impl FnOnce(u64, Moment) -> Holding) -> Holding {
        self.change(|state, now| {
            let holding = holding(state.next_issue(), now);
            state.adopt(holding.clone());
            holding
        })
    }

    /// Takes what another process holds, if it is newer. Whether it was.
    pub(super) fn follow(&self, holding: Holding) -> bool {
        self.change(|state, _| state.follow(holding))
    }

    /// Forgets everything; what could be refreshed with until then.
    pub(super) fn log_out(&self) -> Grant {
        self.change(|state, _| {
            let grant = state.grant().clone();
            state.log_out();
            grant
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
            self.hot.quiet_until.store(Timestamp::LONG_AGO.as_nanos(), Ordering::Release);
        }
    }

    pub(super) fn deadline(&self) -> watch::Receiver<Moment> {
        self.deadline.subscribe()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State, Moment) -> T) -> T {
        let mut state = self.lock();
        let done = change(&mut state, self.clock.moment());
        self.publish(&state);
        done
    }

    /// Makes what the state says visible to the check. Called with the lock held, so that writers do not overtake each other.
    fn publish(&self, state: &State) {
        // The generation first: whoever then sees the new deadline sees the new generation too.
        self.hot.generation.store(state.generation(), Ordering::Release);
        self.hot.quiet_until.store(state.quiet_until().wall.as_nanos(), Ordering::Release);
        let wake_at = state.wake_at();
        self.deadline.send_if_modified(|old| std::mem::replace(old, wake_at) != wake_at);
    }

    /// No code of the user's runs under this lock, so what a poisoned one guards is as good as ever.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, shuttle))]
mod model;
