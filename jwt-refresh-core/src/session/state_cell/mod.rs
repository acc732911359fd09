//! The state machine behind its lock, and beside the lock the two atomics that make the fast path
//! cheap. Every change of a session's state goes through this module. It does no input or output
//! and never waits.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::events::Event;
use super::outage::Finding;
use super::pending::{Notification, PendingRenewal};
use super::running::{Pace, Step};
use super::state::{CutOff, NextStep, RenewalPermit, SessionState};
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
    /// When the state next changes by time alone. The channel is closed when the session ends.
    deadline: watch::Sender<Moment>,
}

/// What the fast path reads. It has cache lines of its own, so that a clone of the session, or a
/// caller inside the lock, does not make other cores fetch it again.
#[repr(align(128))]
struct FastPath {
    /// Until when the token may be served without looking at the state, in nanoseconds since the
    /// epoch.
    until: AtomicI64,
    /// The generation of that token.
    generation: AtomicU64,
    /// The newest generation of which a call has gone well.
    served: AtomicU64,
}

/// What a caller that needs a token has to do.
pub(super) enum Acquisition<R> {
    /// Use this token.
    Serve(AccessToken),
    /// Wait for the renewal under way.
    Wait(PendingRenewal),
    /// Launch this renewal on this runtime. Use the token if there is one, otherwise wait for the
    /// renewal.
    Launch(RenewalPermit, R, Option<AccessToken>),
}

/// What was done about the tokens or the logout of another process.
pub(super) enum Followed {
    /// Nothing: the session is logged out already, or has newer tokens.
    Already,
    /// Nothing: the entry is not the newest.
    Outdated,
    /// The session took the tokens or was logged out, and the event was sent.
    Now,
    /// Nothing yet, because this renewal has to end first.
    After(PendingRenewal),
}

/// A renewal that was completed.
#[must_use = "callers wait for its notification"]
pub(super) struct Completed {
    pub(super) notification: Notification,
    /// Whether the outcome has become the session's, or the renewal was overtaken.
    pub(super) is_current: bool,
}

impl StateCell {
    pub(super) fn new(policy: Policy, clock: Clock) -> Self {
        Self {
            fast: FastPath {
                until: AtomicI64::new(Timestamp::LONG_AGO.as_nanos()),
                generation: AtomicU64::new(0),
                served: AtomicU64::new(0),
            },
            clock,
            policy,
            state: Mutex::new(SessionState::new()),
            deadline: watch::Sender::new(Moment::NEVER),
        }
    }

    /// Returns whether the token may be served: one load, one reading of the clock, one comparison.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.clock.timestamp().as_nanos() < self.fast.until.load(Ordering::Acquire)
    }

    /// Returns the generation of the token, for a caller that has seen that it is fresh.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.fast.generation.load(Ordering::Acquire)
    }

    /// Notes that a call with the token of `generation` has gone well. This writes once for each
    /// token, and only reads after that.
    #[inline]
    pub(super) fn served(&self, generation: u64) {
        if self.fast.served.load(Ordering::Relaxed) < generation {
            self.note_served(generation);
        }
    }

    #[cold]
    fn note_served(&self, generation: u64) {
        // A token of another session may have any generation.
        if generation == self.generation() {
            self.fast.served.fetch_max(generation, Ordering::Relaxed);
        }
    }

    /// Returns what a caller that needs a token has to do. A renewal that is to be launched has
    /// been begun, and must be completed. None is begun if there is no `runtime` for it.
    pub(super) fn acquire<R>(&self, runtime: impl FnOnce() -> Result<R, Error>) -> Result<Acquisition<R>, Error> {
        let mut state = self.lock();
        let (live, pace) = match state.next_step(self.clock.moment()) {
            NextStep::Serve(token) => return Ok(Acquisition::Serve(token)),
            NextStep::Fail(error) => return Err(error),
            NextStep::Wait(pending) => return Ok(Acquisition::Wait(pending)),
            NextStep::Renew(live) => (live, Pace::Regular),
            NextStep::RenewEarly => (None, Pace::Early),
        };
        match (runtime(), live) {
            (Ok(runtime), live) => {
                let begun = match pace {
                    Pace::Regular => state.begin(Plan::Renew),
                    Pace::Early => state.begin_early(),
                };
                self.publish(&state);
                Ok(match begun {
                    Ok(permit) => Acquisition::Launch(permit, runtime, live),
                    Err(under_way) => Acquisition::Wait(under_way),
                })
            }
            // Refresh-ahead is optional: if it cannot begin, a token that lives is served all the
            // same.
            (Err(_), Some(token)) => Ok(Acquisition::Serve(token)),
            (Err(error), None) => Err(error),
        }
    }

    /// Begins a renewal that the user asked for, or returns the one under way. Returns an error if
    /// the server has asked to be left alone, or if a session that was logged out is to be renewed
    /// without a login.
    pub(super) fn begin_now(&self, plan: Plan) -> Result<Result<RenewalPermit, PendingRenewal>, Error> {
        self.change(|state, now| {
            if let Some(error) = state.refused_renewal(plan, now) {
                return Err(error);
            }
            if plan == Plan::LogIn {
                state.forget_rejections();
            }
            Ok(state.begin(plan))
        })
    }

    /// Lets a renewal take a step, which may take `timeout`. Returns false if it was overtaken.
    pub(super) fn advance(&self, epoch: u64, step: Step, timeout: Duration) -> bool {
        self.lock().advance(epoch, step, timeout)
    }

    /// Completes a renewal. Returns what its callers have to be sent, after the lock is released
    /// and the fast path sees the new state; `None` if the renewal was completed before.
    pub(super) fn complete(&self, epoch: u64, outcome: Outcome, tell: impl FnOnce(Event)) -> Option<Completed> {
        self.end(|state, now| state.complete(epoch, outcome, &self.policy, now), tell)
    }

    /// Completes a renewal whose task does not, as [`complete`](Self::complete) does.
    pub(super) fn cut_off(&self, epoch: u64, cause: CutOff, tell: impl FnOnce(Event)) -> Option<Completed> {
        self.end(|state, now| state.cut_off(epoch, cause, &self.policy, now), tell)
    }

    /// Completes an early renewal whose condition was not met.
    pub(super) fn give_up_early(&self, epoch: u64, finding: Finding) -> Option<Completed> {
        self.end(|state, now| state.give_up_early(epoch, finding, &self.policy, now), drop)
    }

    /// Ends a renewal. Its event is sent under the lock, so that events come in the order of what
    /// happened.
    fn end(
        &self,
        end: impl FnOnce(&mut SessionState, Moment) -> Option<Notification>,
        tell: impl FnOnce(Event),
    ) -> Option<Completed> {
        self.change(|state, now| {
            let mut notification = end(state, now)?;
            let event = notification.event.take();
            let is_current = event.is_some();
            event.map(tell);
            Some(Completed { notification, is_current })
        })
    }

    /// Returns whether the present step of a renewal has taken longer than it may.
    pub(super) fn is_overdue(&self, epoch: u64) -> bool {
        self.renewal_deadline(epoch).is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Returns whether the task of a renewal has started.
    pub(super) fn has_started(&self, epoch: u64) -> bool {
        self.lock().renewal_step(epoch).is_some_and(|step| step != Step::Starting)
    }

    /// Returns whether the session has this refresh credential.
    pub(super) fn holds(&self, credential: &RefreshCredential) -> bool {
        self.lock().credential().token() == credential.token()
    }

    /// Returns when the present step of a renewal is given up, unless the renewal has ended.
    pub(super) fn renewal_deadline(&self, epoch: u64) -> Option<Instant> {
        self.lock().renewal_deadline(epoch)
    }

    /// Handles a 401 answer to the token of `generation`.
    pub(super) fn reject(&self, generation: u64) {
        let served = self.fast.served.load(Ordering::Relaxed);
        self.change(|state, now| state.reject(generation, served, &self.policy, now));
    }

    /// Replaces all tokens with those that `issued` returns, which is called with their sequence
    /// and the time. Returns what it returned.
    pub(super) fn adopt<T>(&self, issued: impl FnOnce(u64, Moment) -> (IssuedTokens, T)) -> (IssuedTokens, T) {
        self.change(|state, now| {
            let (issued, other) = issued(state.next_sequence(), now);
            state.adopt(issued.clone());
            (issued, other)
        })
    }

    /// Takes tokens of another process, if they are newer, unless `outdated` returns true. Returns
    /// whether it did.
    pub(super) fn follow(
        &self,
        issued: IssuedTokens,
        outdated: impl FnOnce() -> bool,
        tell: impl FnOnce(Event),
    ) -> Followed {
        self.change(|state, now| {
            if outdated() {
                return Followed::Outdated;
            }
            if !state.follow(issued, now) {
                return Followed::Already;
            }
            tell(Event::Adopted);
            Followed::Now
        })
    }

    /// Forgets the captured tokens that the session was built with.
    pub(super) fn discard_captured(&self) {
        self.change(|state, _| state.discard_captured());
    }

    /// Notes that the tokens of one sequence have another one in the store.
    pub(super) fn renumber(&self, from: u64, to: u64) {
        self.change(|state, _| state.renumber(from, to));
    }

    /// Puts the refresh token in doubt, unless it is older than `sequence`.
    pub(super) fn doubt(&self, sequence: u64) {
        self.change(|state, _| state.doubt(sequence));
    }

    /// Forgets all tokens. Returns what could be refreshed with until then, and what `tell` has
    /// returned.
    pub(super) fn log_out<T>(&self, tell: impl FnOnce(Event) -> T) -> (RefreshCredential, T) {
        self.change(|state, _| {
            let credential = state.credential().clone();
            state.log_out();
            (credential, tell(Event::LoggedOut))
        })
    }

    /// Forgets all tokens because another process has logged out, unless `outdated` returns true.
    pub(super) fn follow_logout(&self, outdated: impl FnOnce() -> bool, tell: impl FnOnce(Event)) -> Followed {
        self.change(|state, _| {
            if outdated() {
                return Followed::Outdated;
            }
            if state.is_logged_out() {
                return Followed::Already;
            }
            if let Some(renewal) = state.pending_renewal() {
                return Followed::After(renewal);
            }
            state.log_out();
            tell(Event::LoggedOut);
            Followed::Now
        })
    }

    /// Closes the fast path if its time has passed on either clock. The fast path itself reads only
    /// the clock that can be stepped.
    pub(super) fn close_fast_path_if_due(&self) {
        let state = self.lock();
        if self.clock.moment().reached(state.fast_path_until()) {
            self.fast.until.store(Timestamp::LONG_AGO.as_nanos(), Ordering::Release);
        }
    }

    /// Publishes the next deadline after one that has passed and was handled.
    pub(super) fn update_deadline(&self) {
        let state = self.lock();
        self.publish_deadline(state.wake_after(self.clock.moment()));
    }

    /// Tells that the login ends soon, if it is time to do so.
    pub(super) fn tell_login_end(&self, tell: impl FnOnce(Event)) {
        if let Some(at) = self.lock().take_login_end(self.clock.moment()) {
            tell(Event::LoginEnds(at));
        }
    }

    fn publish_deadline(&self, deadline: Moment) {
        self.deadline.send_if_modified(|old| std::mem::replace(old, deadline) != deadline);
    }

    pub(super) fn deadline(&self) -> watch::Receiver<Moment> {
        self.deadline.subscribe()
    }

    /// Changes the state under the lock, and publishes it.
    fn change<T>(&self, change: impl FnOnce(&mut SessionState, Moment) -> T) -> T {
        let mut state = self.lock();
        let done = change(&mut state, self.clock.moment());
        self.publish(&state);
        done
    }

    /// Makes the state visible to the fast path. Called with the lock held, so that writers do not
    /// overtake each other.
    fn publish(&self, state: &SessionState) {
        // The generation is stored first, so that a reader that sees the new deadline sees the new
        // generation too.
        self.fast.generation.store(state.generation(), Ordering::Release);
        self.fast.until.store(state.fast_path_until().wall.as_nanos(), Ordering::Release);
        self.publish_deadline(state.wake_at(self.clock.moment()));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock()
    }
}

#[cfg(all(test, shuttle))]
mod model;
