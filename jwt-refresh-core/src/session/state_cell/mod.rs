//! The state machine behind its lock, and beside the lock the two atomics that make the fast path
//! cheap. Every change of a session's state goes through this module. It does no input or output
//! and never waits.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::events::Event;
use super::fast_path::ShardedCounter;
use super::other_request::OtherRequest;
use super::outage::Finding;
use super::pending::{Notification, PendingRenewal};
use super::running::{Pace, Step};
use super::state::{CutOff, NextOther, NextStep, NextStepUp, RenewalPermit, SessionState};
use super::step_up::StepUp;
use crate::authenticator::DynAuthenticator;
use crate::clock::{Clock, Moment, OnDeadline, Timestamp};
use crate::error::Error;
use crate::policy::Policy;
use crate::renewal::{IssuedTokens, Outcome, Plan, RefreshCredential};
use crate::sync::{AtomicI64, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::timer::Timer;
use crate::token::{AccessToken, RefreshToken};

/// The fields are in this order so that what the fast path reads shares no cache line with what is
/// written more often: by a clone of the session, or by a caller inside the lock. An alignment
/// would do that too, but take a fifth more memory.
#[repr(C)]
pub(super) struct StateCell {
    pub(super) clock: Clock,
    pub(super) policy: Arc<Policy>,
    fast: FastPath,
    /// Passes when the state next changes by time alone. It is written when the fast path is.
    timer: Timer,
    state: Mutex<SessionState>,
}

/// What the fast path reads.
#[repr(C)]
struct FastPath {
    /// Until when the token may be served without looking at the state, in nanoseconds since the
    /// epoch.
    until: AtomicI64,
    /// The generation of that token.
    generation: AtomicU64,
    /// The newest generation of which a call has gone well.
    served: AtomicU64,
    /// How often a token was asked for.
    requests: ShardedCounter,
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
                requests: ShardedCounter::new(),
            },
            timer: Timer::new(clock.clone()),
            clock,
            policy: policy.shared(),
            state: Mutex::new(SessionState::new()),
        }
    }

    /// Returns whether the token may be served: one load, one reading of the clock, one comparison.
    /// Counts the request.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.fast.requests.count();
        self.clock.timestamp().as_nanos() < self.fast.until.load(Ordering::Acquire)
    }

    /// Returns how often a token was asked for.
    pub(super) fn requests(&self) -> u64 {
        self.fast.requests.sum()
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
        let now = self.clock.moment();
        let (live, pace) = match state.next_step(now) {
            NextStep::Serve(token) => {
                // The wall clock was stepped, or the caller came while the fast path was closed.
                self.publish_fast_path(&state, now);
                return Ok(Acquisition::Serve(token));
            }
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
                self.publish(&state, now);
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
                state.forget_answers();
            }
            Ok(state.begin(plan))
        })
    }

    /// Begins a login for a challenge, or returns what else a caller has to do whose token of
    /// `generation` was challenged. Returns `None` if `step_up` does not follow on the session's
    /// own authenticator, which was `basis`.
    pub(super) fn begin_step_up(
        &self,
        generation: u64,
        step_up: StepUp,
        basis: Option<&Arc<dyn DynAuthenticator>>,
    ) -> Result<Option<NextStepUp>, Error> {
        self.change(|state, now| state.begin_step_up(generation, step_up, basis, now))
    }

    /// Begins a refresh for an access token with other parameters, or returns what else the caller
    /// has to do.
    pub(super) fn begin_other(&self, request: &Arc<OtherRequest>) -> NextOther {
        self.change(|state, now| state.begin_other(request, now))
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

    /// Returns the token that lives and was not rejected.
    pub(super) fn servable_token(&self) -> Option<AccessToken> {
        self.lock().servable_token(self.clock.moment())
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

    /// Forgets the access token, of which the session of the login may bring another one.
    pub(super) fn forget_token(&self) {
        self.change(|state, _| state.forget_token());
    }

    /// Forgets the captured tokens that the session was built with.
    pub(super) fn discard_captured(&self) {
        self.change(|state, _| state.discard_captured());
    }

    /// Takes tokens of another process in place of those of `sequence`, which were given up.
    pub(super) fn replace(&self, sequence: u64, found: IssuedTokens, tell: impl FnOnce(Event)) {
        self.change(|state, _| {
            if state.replace(sequence, found) {
                tell(Event::Adopted);
            }
        });
    }

    /// Notes that the tokens of one sequence are in the store, and have another one there.
    pub(super) fn renumber(&self, from: u64, to: u64) {
        self.change(|state, _| state.renumber(from, to));
    }

    /// Puts the refresh token in doubt, unless it is older than `sequence`. Returns it.
    pub(super) fn doubt(&self, sequence: u64) -> Option<RefreshToken> {
        self.change(|state, _| state.doubt(sequence))
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

    /// Forgets the tokens of `sequence`, which could not be saved, because another process has
    /// logged out after they came. Returns false and does nothing if the session has gone on since,
    /// or `is_idle` says that the user has.
    pub(super) fn log_out_unsaved(
        &self,
        sequence: u64,
        is_idle: impl FnOnce() -> bool,
        tell: impl FnOnce(Event),
    ) -> bool {
        self.change(|state, _| {
            let is_current = state.unsaved().is_some_and(|unsaved| unsaved.issued.sequence == sequence);
            if !is_current || state.running_renewal().is_some() || !is_idle() {
                return false;
            }
            state.log_out();
            tell(Event::LoggedOut);
            true
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

    /// Closes the fast path if its time has passed on either clock, or else opens it until then.
    /// The fast path itself reads only the clock that can be stepped.
    pub(super) fn update_fast_path(&self) {
        let state = self.lock();
        self.publish_fast_path(&state, self.clock.moment());
    }

    /// Publishes the next deadline after those that were reached at `handled`, which were handled
    /// since. Others may have been reached meanwhile, such as that of a new token.
    pub(super) fn update_deadline(&self, handled: Moment) {
        let state = self.lock();
        self.timer.set(state.wake_after(handled));
    }

    /// Tells that the login ends soon, if it is time to do so.
    pub(super) fn tell_login_end(&self, tell: impl FnOnce(Event)) {
        if let Some(at) = self.lock().take_login_end(self.clock.moment()) {
            tell(Event::LoginEnds(at));
        }
    }

    /// Calls `target` from now on whenever the state changes by time alone, unless this was called
    /// before.
    pub(super) fn start_timer(&self, target: impl FnOnce() -> Weak<dyn OnDeadline>) {
        self.timer.start(target);
    }

    /// Changes the state under the lock, and publishes it.
    fn change<T>(&self, change: impl FnOnce(&mut SessionState, Moment) -> T) -> T {
        let mut state = self.lock();
        let now = self.clock.moment();
        let done = change(&mut state, now);
        self.publish(&state, now);
        done
    }

    /// Makes the state visible to the fast path. Called with the lock held, so that writers do not
    /// overtake each other.
    fn publish(&self, state: &SessionState, now: Moment) {
        // The generation is stored first, so that a reader that sees the new deadline sees the new
        // generation too.
        self.fast.generation.store(state.generation(), Ordering::Release);
        self.publish_fast_path(state, now);
        self.timer.set(state.wake_at(now));
    }

    /// Opens the fast path until the state's deadline is reached on the clock that reaches it
    /// first, as the wall clock shows time now. A deadline that was reached opens nothing, whatever
    /// the wall clock shows: it may have been set back since.
    fn publish_fast_path(&self, state: &SessionState, now: Moment) {
        let until = state.fast_path_until();
        let wall = if now.reached(until) { Timestamp::LONG_AGO } else { now.wall + now.until(until) };
        self.fast.until.store(wall.as_nanos(), Ordering::Release);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock()
    }
}

#[cfg(all(test, shuttle))]
mod model;

#[cfg(test)]
mod tests;
