//! The state machine of a session: which tokens it has, whether a renewal is under way, and what a
//! caller that needs a token has to do. It does no input or output and never waits. All of it runs
//! under one short lock.

use std::time::{Duration, Instant, SystemTime};

use super::events::Event;
use super::held::{HeldToken, shortened};
use super::login_end::LoginEnd;
use super::outage::{Condition, EarlyRenewal, Finding, Outage};
use super::pending::{Notification, PendingRenewal, RenewalResult};
use super::rejections::Rejections;
use super::running::{Pace, Running, RunningRenewals, Step};
use super::unsaved::{TokenSource, UnsavedTokens};
use crate::clock::{Moment, Timestamp};
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::renewal::{IssuedTokens, Lifetime, Outcome, Plan, RefreshCredential, Serving};
use crate::token::{AccessToken, RefreshToken};

/// The tokens and the phase of a session.
#[derive(Debug)]
pub(super) struct SessionState {
    held: Option<HeldToken>,
    credential: RefreshCredential,
    /// The sequence of the newest token of the account that this session knows of.
    sequence: u64,
    phase: Phase,
    running: RunningRenewals<Phase>,
    /// How many renewals in a row were given up before their task had started.
    lost_starts: u32,
    /// Counts access tokens and logouts. The current token has the last number.
    generation: u64,
    /// Counts renewals, logouts and adoptions. If it has changed when a renewal ends, that renewal
    /// was overtaken by a logout or an adoption.
    epoch: u64,
    /// How many renewals have failed since the last success.
    failures: u32,
    outage: Outage,
    /// When the login ends, if the server has said so.
    login_end: Option<LoginEnd>,
    /// Until when, since boot, the server has asked to be left alone, and with which error.
    asked: Option<(Timestamp, Error)>,
    /// The token that a renewal is about to save.
    saving: Option<AccessToken>,
    /// The current tokens, if they could not be saved.
    unsaved: Option<Box<UnsavedTokens>>,
    /// The tokens that were rejected as soon as they were issued.
    rejections: Rejections,
    /// Whether the last token was rejected after it had served, before it expired.
    tokens_die_early: bool,
}

/// What the session is doing.
#[derive(Debug)]
enum Phase {
    Idle,
    Renewing {
        pending: PendingRenewal,
        serving: Serving,
    },
    /// The pause ends at this time since boot, so that a wall clock that is stepped neither ends
    /// nor prolongs it.
    BackingOff {
        until: Timestamp,
        early: Option<EarlyRenewal>,
        error: Error,
        serving: Serving,
    },
    ReauthenticationRequired(Error),
    LoggedOut,
}

/// What a caller that needs a token has to do.
#[derive(Debug)]
pub(super) enum NextStep {
    /// Use this token.
    Serve(AccessToken),
    /// Wait for the renewal under way.
    Wait(PendingRenewal),
    /// Begin a renewal. Use this token if there is one, otherwise wait for the renewal.
    Renew(Option<AccessToken>),
    /// Begin a renewal although the pause after the last failure has not ended, and wait for it.
    RenewEarly,
    /// Fail with this error: there is no usable token, and no renewal to wait for.
    Fail(Error),
}

/// A renewal that was begun and must be completed, whatever its outcome.
#[derive(Debug)]
pub(super) struct RenewalPermit {
    pub(super) plan: Plan,
    pub(super) basis: Basis,
    pub(super) epoch: u64,
    pub(super) pending: PendingRenewal,
    /// On which condition it may talk to the server.
    pub(super) condition: Condition,
    /// The renewal before, if its task still runs. This one must not talk to the server until that
    /// one has ended.
    pub(super) after: Option<PendingRenewal>,
}

/// Why a renewal is completed by another than its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CutOff {
    /// The authenticator or the store panicked.
    Panic,
    /// The runtime of the task has ended.
    RuntimeEnded,
    /// The present step has taken longer than it may.
    Overdue,
}

/// What a renewal starts from.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    pub(super) credential: RefreshCredential,
    /// The sequence of the newest token that this session knows of.
    pub(super) sequence: u64,
}

impl SessionState {
    pub(super) fn new() -> Self {
        Self {
            held: None,
            credential: RefreshCredential::None,
            sequence: 0,
            phase: Phase::Idle,
            running: RunningRenewals::new(),
            lost_starts: 0,
            failures: 0,
            outage: Outage::new(),
            login_end: None,
            asked: None,
            generation: 0,
            epoch: 0,
            saving: None,
            unsaved: None,
            rejections: Rejections::new(),
            tokens_die_early: false,
        }
    }

    /// Returns what a caller that needs a token at `now` has to do.
    pub(super) fn next_step(&self, now: Moment) -> NextStep {
        let serve_until = |end: fn(&Lifetime) -> Moment| self.token_until(now, end);
        match &self.phase {
            Phase::LoggedOut => NextStep::Fail(logged_out()),
            Phase::Renewing { pending, serving: Serving::Nothing } => NextStep::Wait(pending.clone()),
            Phase::Renewing { pending, .. } => {
                serve_until(|life| life.due).map_or_else(|| NextStep::Wait(pending.clone()), NextStep::Serve)
            }
            Phase::BackingOff { until, early, error, serving } if now.boot < *until => {
                let live = serve_until(|life| life.expires).filter(|_| *serving == Serving::LiveToken);
                match (live, early) {
                    (Some(token), _) => NextStep::Serve(token),
                    (None, Some(early)) if now.boot >= early.at => NextStep::RenewEarly,
                    (None, _) => NextStep::Fail(error.clone()),
                }
            }
            Phase::ReauthenticationRequired(error) => {
                serve_until(|life| life.expires).map_or_else(|| NextStep::Fail(error.clone()), NextStep::Serve)
            }
            // The pause is over.
            Phase::BackingOff { serving: Serving::Nothing, .. } => NextStep::Renew(None),
            Phase::Idle | Phase::BackingOff { .. } => match serve_until(|life| life.ahead) {
                Some(token) => NextStep::Serve(token),
                None => NextStep::Renew(serve_until(|life| life.due)),
            },
        }
    }

    /// Returns the token that still lives, and how long a caller may wait for a renewal before it
    /// uses that token: for half of the time that the token has left. A caller that waited longer
    /// could be left with an expired one. Returns `None` if no token may be served.
    pub(super) fn longest_wait(&self, now: Moment) -> Option<(AccessToken, Moment)> {
        let token = self.token_until(now, |life| life.expires).filter(|_| self.serving() == Serving::LiveToken)?;
        let left = now.until(self.held.as_ref()?.life.expires);
        Some((token, now + left / 2))
    }

    fn serving(&self) -> Serving {
        match self.phase {
            Phase::Renewing { serving, .. } | Phase::BackingOff { serving, .. } => serving,
            Phase::Idle | Phase::ReauthenticationRequired(_) | Phase::LoggedOut => Serving::LiveToken,
        }
    }

    /// Returns until when the current token may be served without looking at the state.
    pub(super) fn fast_path_until(&self) -> Moment {
        let Some(HeldToken { life, .. }) = &self.held else { return Moment::LONG_AGO };
        match &self.phase {
            Phase::LoggedOut
            | Phase::Renewing { serving: Serving::Nothing, .. }
            | Phase::BackingOff { serving: Serving::Nothing, .. } => Moment::LONG_AGO,
            Phase::Idle => life.ahead,
            Phase::Renewing { .. } => life.due,
            Phase::BackingOff { until, .. } => life.expires.earlier(Moment::since_boot(*until)),
            Phase::ReauthenticationRequired(_) => life.expires,
        }
    }

    /// Returns when something next has to be done because of the time alone, seen from `now`.
    pub(super) fn wake_at(&self, now: Moment) -> Moment {
        self.next_change(now).earlier(self.tell_login_end_at())
    }

    /// Returns the same after what is due at `now` was done.
    pub(super) fn wake_after(&self, now: Moment) -> Moment {
        let change = self.next_change(now);
        let change = if now.reached(change) { Moment::NEVER } else { change };
        change.earlier(self.tell_login_end_at())
    }

    fn tell_login_end_at(&self) -> Moment {
        self.login_end.as_ref().map_or(Moment::NEVER, |login_end| Moment::since_boot(login_end.deadline()))
    }

    /// Returns when the login ends, if that has to be told at `now`.
    pub(super) fn take_login_end(&mut self, now: Moment) -> Option<SystemTime> {
        self.login_end.as_mut()?.take_due(now)
    }

    /// Returns when the state next changes by time alone, seen from `now`: a token has to be
    /// renewed, or a pause ends.
    fn next_change(&self, now: Moment) -> Moment {
        match &self.phase {
            Phase::LoggedOut => Moment::NEVER,
            Phase::BackingOff { until, early, serving, .. } => {
                let live = self.held.as_ref().filter(|held| *serving == Serving::LiveToken && held.is_alive(now));
                let until = Moment::since_boot(*until);
                match (live, early) {
                    (Some(held), _) => held.life.expires.earlier(until),
                    (None, Some(early)) => Moment::since_boot(early.at).earlier(until),
                    (None, None) => until,
                }
            }
            _ if self.held.is_none() => Moment::NEVER,
            _ => self.fast_path_until(),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the current token, expired or not, for a caller that has seen that it is fresh.
    pub(super) fn token(&self) -> Option<AccessToken> {
        self.held.as_ref().map(|held| held.token.clone())
    }

    /// Returns the current token, unless `end` of its lifetime has been reached.
    fn token_until(&self, now: Moment, end: fn(&Lifetime) -> Moment) -> Option<AccessToken> {
        self.held.as_ref().filter(|held| !now.reached(end(&held.life))).map(|held| held.token.clone())
    }

    /// Begins a renewal, or returns the one under way. A renewal that the user has not asked for
    /// may be begun only after [`NextStep::Renew`].
    pub(super) fn begin(&mut self, plan: Plan) -> Result<RenewalPermit, PendingRenewal> {
        self.begin_at(plan, Pace::Regular, Condition::None)
    }

    /// Begins a renewal before the pause after the last failure has ended, or returns the one under
    /// way. It may be begun only after [`NextStep::RenewEarly`].
    pub(super) fn begin_early(&mut self) -> Result<RenewalPermit, PendingRenewal> {
        let early = if let Phase::BackingOff { early, .. } = &self.phase { *early } else { None };
        let condition = early.map_or(Condition::None, |early| early.condition);
        self.begin_at(Plan::Renew, Pace::Early, condition)
    }

    fn begin_at(&mut self, plan: Plan, pace: Pace, condition: Condition) -> Result<RenewalPermit, PendingRenewal> {
        if let Phase::Renewing { pending, .. } = &self.phase {
            return Err(pending.clone());
        }
        self.epoch += 1;
        // A renewal that begins must not serve a token that may not be served after the last
        // failure.
        let serving = self.serving();
        let previous_phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let (sender, after) = self.running.begin(self.epoch, plan, pace, previous_phase);
        let pending = sender.subscribe();
        self.phase = Phase::Renewing { pending: pending.clone(), serving };
        let basis = Basis { credential: self.credential.clone(), sequence: self.sequence };
        Ok(RenewalPermit { plan, basis, epoch: self.epoch, pending, condition, after })
    }

    /// Returns the error of a renewal that the user asks for, if it may not begin now.
    pub(super) fn refused_renewal(&self, plan: Plan, now: Moment) -> Option<Error> {
        if plan == Plan::Renew && self.is_logged_out() {
            return Some(logged_out());
        }
        let (until, error) = self.asked.as_ref().filter(|(until, _)| now.boot < *until)?;
        Some(error.clone().retry_in(until.since(now.boot)))
    }

    /// Notes that the server has asked to be left alone. Returns until when it is.
    fn leave_alone(&mut self, asked: Duration, error: &Error, policy: &Policy, now: Moment) -> Timestamp {
        let until = now.boot + policy.asked_pause(Some(asked));
        if self.asked.as_ref().is_none_or(|(before, _)| until >= *before) {
            self.asked = Some((until, error.clone()));
        }
        until
    }

    /// Lets a renewal take a step, which may take `timeout`. Returns false if the renewal was
    /// overtaken: then it must neither talk to the server nor write to the store.
    pub(super) fn advance(&mut self, epoch: u64, step: Step, timeout: Duration) -> bool {
        self.running.advance(epoch, step, timeout);
        self.lost_starts = 0;
        epoch == self.epoch
    }

    /// Completes a renewal. If it was overtaken by a logout or by new tokens, nothing changes.
    /// Returns `None` if it was completed before, because it was cut off.
    pub(super) fn complete(
        &mut self,
        epoch: u64,
        outcome: Outcome,
        policy: &Policy,
        now: Moment,
    ) -> Option<Notification> {
        let ended = self.running.end(epoch)?;
        if epoch != self.epoch {
            return Some(Notification { sender: ended.sender, result: self.overtaken(now), event: None });
        }
        let (result, event) = match outcome {
            Outcome::Found(issued) if issued.sequence < self.sequence => {
                // Newer ones were taken from the store meanwhile.
                self.phase = Phase::Idle;
                (self.overtaken(now), Event::Renewed)
            }
            Outcome::Found(issued) if now.reached(issued.life.expires) => {
                // It has died since it was read, and callers look again.
                self.accept(issued);
                (self.overtaken(now), Event::Renewed)
            }
            Outcome::Unsaved(issued) => {
                // What is renewed unguarded from adopted tokens stays the user's.
                let source = self.unsaved.as_ref().map_or(TokenSource::Renewal, |unsaved| unsaved.source);
                let result = self.accepted(issued.clone());
                self.keep_unsaved(issued, source);
                (result, Event::Renewed)
            }
            Outcome::Renewed(issued) | Outcome::Found(issued) => (self.accepted(issued), Event::Renewed),
            Outcome::Failed { error, credential, serving } => {
                // What came to be in doubt meanwhile stays so.
                if self.credential != credential.clone().in_doubt() {
                    self.credential = credential;
                }
                return Some(self.failed(ended, error, serving, policy, now));
            }
            Outcome::LoggedOut => {
                self.log_out();
                (self.overtaken(now), Event::LoggedOut)
            }
        };
        Some(Notification { sender: ended.sender, result, event: Some(event) })
    }

    /// Completes a renewal whose task does not. The refresh token is in doubt if it may have been
    /// sent. Returns `None` if the renewal has ended.
    pub(super) fn cut_off(&mut self, epoch: u64, cause: CutOff, policy: &Policy, now: Moment) -> Option<Notification> {
        let ended = self.running.end(epoch)?;
        if epoch != self.epoch {
            return Some(Notification { sender: ended.sender, result: self.overtaken(now), event: None });
        }
        // The task may still run. Whatever it does next, it finds that it was overtaken.
        self.epoch += 1;
        if ended.sent_refresh {
            self.credential = self.credential.clone().in_doubt();
        }
        let error = cut_off_error(cause, ended.step);
        if self.may_start_again(cause, ended.step) {
            self.phase = if ended.plan == Plan::LogIn { ended.previous_phase } else { Phase::Idle };
            return Some(Notification {
                sender: ended.sender,
                result: RenewalResult::Inconclusive(error),
                event: None,
            });
        }
        Some(self.failed(ended, error, Serving::LiveToken, policy, now))
    }

    /// Completes an early renewal whose condition was not met: nothing has changed. Returns `None`
    /// if it was completed before.
    pub(super) fn give_up_early(
        &mut self,
        epoch: u64,
        finding: Finding,
        policy: &Policy,
        now: Moment,
    ) -> Option<Notification> {
        let Running { previous_phase, sender, .. } = self.running.end(epoch)?;
        let Phase::BackingOff { until, error, serving, .. } = previous_phase else {
            return Some(Notification { sender, result: self.overtaken(now), event: None });
        };
        if epoch != self.epoch {
            return Some(Notification { sender, result: self.overtaken(now), event: None });
        }
        let early = match finding {
            Finding::StillDown(retry_after) => Some(self.outage.still_down(retry_after, policy, now)),
            Finding::Met | Finding::Unknown => None,
        };
        let until = match finding {
            Finding::StillDown(Some(asked)) => until.max(self.leave_alone(asked, &error, policy, now)),
            _ => until,
        };
        let result = RenewalResult::Failed(error.clone(), self.live_token(serving, now));
        self.phase = Phase::BackingOff { until, early, error, serving };
        Some(Notification { sender, result, event: None })
    }

    /// Returns whether callers may begin another renewal at once after one was cut off: it did not
    /// fail, its runtime was lost. After three such losses in a row they have to pause.
    fn may_start_again(&mut self, cause: CutOff, step: Step) -> bool {
        let lost = cause == CutOff::RuntimeEnded || (cause == CutOff::Overdue && step == Step::Starting);
        self.lost_starts = if lost { self.lost_starts + 1 } else { 0 };
        lost && self.lost_starts <= 3
    }

    /// Returns the result of a renewal that was overtaken.
    fn overtaken(&self, now: Moment) -> RenewalResult {
        let what = "the session was logged out, or given other tokens, while it was renewed";
        match self.next_step(now) {
            NextStep::Serve(token) => RenewalResult::Renewed(token),
            NextStep::Fail(_) | NextStep::Wait(_) | NextStep::Renew(_) | NextStep::RenewEarly => {
                RenewalResult::Inconclusive(Error::new(ErrorKind::LoggedOut, what))
            }
        }
    }

    /// Restores the previous phase if a login that the user asked for has failed, a logout above
    /// all. If a login is the only way to renew, or its answer has changed what the session can
    /// renew with, its failure counts as one of the session.
    fn restore_after_failed_login(&mut self, result: RenewalResult, previous_phase: Phase) -> RenewalResult {
        let RenewalResult::Failed(error, live) = result else { return result };
        match previous_phase {
            Phase::LoggedOut => self.credential = RefreshCredential::None,
            // The answer had no access token that lives, and a refresh token: nobody has to log in.
            Phase::ReauthenticationRequired(_) if self.credential != RefreshCredential::None => {
                return RenewalResult::Failed(error, live);
            }
            Phase::ReauthenticationRequired(_) => {}
            _ if !self.credential.is_valid() => return RenewalResult::Failed(error, live),
            _ => {}
        }
        self.phase = previous_phase;
        RenewalResult::Inconclusive(error)
    }

    /// Handles the failure of a renewal: pauses, or gives up if there is nothing left to renew
    /// with.
    fn failed(
        &mut self,
        ended: Running<Phase>,
        error: Error,
        serving: Serving,
        policy: &Policy,
        now: Moment,
    ) -> Notification {
        if let Some(asked) = error.retry_after() {
            self.leave_alone(asked, &error, policy, now);
        }
        if self.credential == RefreshCredential::None {
            self.login_end = None;
        }
        let exhausted =
            error.kind() == ErrorKind::ReauthenticationRequired && self.credential == RefreshCredential::None;
        self.phase = if exhausted {
            self.failures = self.failures.saturating_add(1);
            Phase::ReauthenticationRequired(error.clone())
        } else {
            self.pause_after(&ended, &error, serving, policy, now)
        };
        // A failure does not displace a token that still lives, unless the policy says so.
        let mut result = RenewalResult::Failed(error.clone(), self.live_token(serving, now));
        if ended.plan == Plan::LogIn {
            result = self.restore_after_failed_login(result, ended.previous_phase);
        }
        let event = match &self.phase {
            Phase::ReauthenticationRequired(cause) if cause.kind() == error.kind() => {
                Event::ReauthenticationRequired(error)
            }
            // The refusal of a login that the user asked for is no alarm if the session can go on.
            _ => Event::Failed(error),
        };
        Notification { sender: ended.sender, result, event: Some(event) }
    }

    /// Returns the pause after a renewal that failed. If that was an early one and sent no login,
    /// the pause that it was begun in goes on, so that logins are not put off by it.
    fn pause_after(
        &mut self,
        ended: &Running<Phase>,
        error: &Error,
        serving: Serving,
        policy: &Policy,
        now: Moment,
    ) -> Phase {
        let paused_until =
            if let Phase::BackingOff { until, .. } = &ended.previous_phase { Some(*until) } else { None };
        self.outage.note_failure(error, paused_until, policy, now);
        if ended.pace == Pace::Early && ended.sent_login {
            self.outage.note_early_login(error);
        }
        let early = self.outage.early_renewal(error, &self.credential, policy, now);
        let until = match (ended.pace, paused_until, early) {
            (Pace::Early, Some(until), Some(early)) if !ended.sent_login => until.max(early.at),
            _ => {
                self.failures = self.failures.saturating_add(1);
                now.boot + policy.pause(self.failures, error.retry_after())
            }
        };
        Phase::BackingOff { until, early, error: error.clone(), serving }
    }

    /// Returns the token that may be served after a failure, if it lives.
    fn live_token(&self, serving: Serving, now: Moment) -> Option<AccessToken> {
        self.token_until(now, |life| life.expires).filter(|_| serving == Serving::LiveToken)
    }

    /// Takes new tokens, and ends a renewal or a pause.
    fn accept(&mut self, issued: IssuedTokens) -> AccessToken {
        self.phase = Phase::Idle;
        self.failures = 0;
        self.outage = Outage::new();
        self.set_tokens(issued)
    }

    /// Takes new tokens, and ends a renewal. Its callers look again if it found the token in the
    /// store that the session has already, and that was rejected meanwhile.
    fn accepted(&mut self, issued: IssuedTokens) -> RenewalResult {
        let token = self.accept(issued);
        if self.held.as_ref().is_some_and(|held| held.life == Lifetime::EXPIRED) {
            let what = "the token in the store was rejected before it was found there";
            return RenewalResult::Inconclusive(Error::new(ErrorKind::Aborted, what));
        }
        RenewalResult::Renewed(token)
    }

    /// Takes new tokens, unless they are the ones that the session has already. Returns the current
    /// token.
    fn set_tokens(&mut self, issued: IssuedTokens) -> AccessToken {
        let IssuedTokens { token, begins, life, credential, login_ends, sequence, .. } = issued;
        // What was said of a refresh token holds for as long as that is not replaced.
        if login_ends.is_some() || credential.token() != self.credential.token() {
            self.login_end = login_ends.and_then(|at| LoginEnd::new(begins, at));
        }
        self.credential = credential;
        // The number alone does not say so: if the store fails, two processes may give it to tokens
        // of their own.
        let is_known = |held: &&HeldToken| sequence == self.sequence && held.token.expose() == token.expose();
        if let Some(held) = self.held.as_ref().filter(is_known) {
            return held.token.clone();
        }
        if self.held.as_ref().is_some_and(|held| held.had_a_good_life(begins)) {
            self.tokens_die_early = false;
        }
        self.generation += 1;
        self.sequence = sequence;
        self.unsaved = None;
        let life = if self.tokens_die_early { shortened(begins, life) } else { life };
        let held = HeldToken::new(token, self.generation, begins, life);
        let token = held.token.clone();
        self.held = Some(held);
        token
    }

    /// Replaces all tokens. A renewal under way is overtaken.
    pub(super) fn adopt(&mut self, issued: IssuedTokens) {
        self.epoch += 1;
        self.forget_rejections();
        self.accept(issued);
    }

    /// Returns the sequence of the newest token that this session knows of.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns the sequence of the next token, for tokens that come from elsewhere.
    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence + 1
    }

    /// Forgets the captured tokens that the session was built with, unless it has others by now.
    pub(super) fn discard_captured(&mut self) {
        if self.sequence == 0 {
            self.held = None;
            self.credential = RefreshCredential::None;
        }
    }

    /// Takes tokens of another process in place of those of `sequence`, which were given up, unless
    /// these were replaced before. Returns whether they were taken.
    pub(super) fn replace(&mut self, sequence: u64, found: IssuedTokens) -> bool {
        let is_current = self.sequence == sequence && !self.is_logged_out();
        if is_current {
            self.set_tokens(found);
        }
        is_current
    }

    /// Notes that the tokens could not be saved, unless the session has others by now.
    pub(super) fn keep_unsaved(&mut self, issued: IssuedTokens, source: TokenSource) {
        if self.sequence == issued.sequence && !self.is_logged_out() {
            self.unsaved = Some(Box::new(UnsavedTokens { issued, source }));
        }
    }

    /// Returns the current tokens if the store does not have them.
    pub(super) fn unsaved(&self) -> Option<UnsavedTokens> {
        Some(self.unsaved.as_ref()?.renewed_with(&self.credential))
    }

    /// Notes that the store has the tokens after all, if `is_saved` says so of those that could not
    /// be saved.
    pub(super) fn note_saved(&mut self, is_saved: impl FnOnce(&UnsavedTokens) -> bool) {
        self.unsaved.take_if(|unsaved| is_saved(unsaved));
    }

    /// Notes that the tokens of one sequence are in the store, and have another one there.
    pub(super) fn renumber(&mut self, from: u64, to: u64) {
        if self.sequence == from && self.held.is_some() {
            self.unsaved = None;
            self.sequence = to;
        }
    }

    /// Puts the refresh token in doubt, unless it is older than `sequence`: the store has lost what
    /// was written after the token of that sequence. Returns it.
    pub(super) fn doubt(&mut self, sequence: u64) -> Option<RefreshToken> {
        if sequence > self.sequence || self.unsaved.is_some() {
            return None;
        }
        self.credential = self.credential.clone().in_doubt();
        self.credential.token().cloned()
    }

    /// Notes which token a renewal is about to save. In the store it is no other process's.
    pub(super) fn saving(&mut self, token: AccessToken) {
        self.saving = Some(token);
    }

    /// Takes tokens that another process has put into the store, if they are newer than the current
    /// ones. Returns whether they were taken. A renewal under way goes on, and finds them in the
    /// store too.
    pub(super) fn follow(&mut self, issued: IssuedTokens, now: Moment) -> bool {
        let is_own = self.saving.as_ref().is_some_and(|saving| saving.expose() == issued.token.expose());
        let adopted = self.unsaved.as_ref().filter(|unsaved| unsaved.is_adoption());
        if is_own || adopted.is_some() || issued.sequence <= self.sequence || self.is_logged_out() {
            return false;
        }
        if now.reached(issued.life.expires) && self.held.as_ref().is_some_and(|held| held.is_alive(now)) {
            // An access token that has died displaces none that lives.
            if issued.credential != RefreshCredential::None {
                self.credential = issued.credential;
                self.sequence = issued.sequence;
                self.unsaved = None;
            }
            return false;
        }
        if matches!(self.phase, Phase::Renewing { .. }) {
            self.set_tokens(issued);
        } else {
            self.accept(issued);
        }
        true
    }

    /// Handles a 401 answer to the token of `generation`. It concerns only the current token: a
    /// newer one may have arrived since the call was sent. `served` is the newest generation of
    /// which a call has gone well.
    pub(super) fn reject(&mut self, generation: u64, served: u64, policy: &Policy, now: Moment) {
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
    pub(super) fn forget_rejections(&mut self) {
        self.rejections.clear();
    }

    /// Forgets all tokens. A renewal under way is overtaken.
    pub(super) fn log_out(&mut self) {
        self.epoch += 1;
        self.generation += 1;
        self.held = None;
        self.unsaved = None;
        self.credential = RefreshCredential::None;
        self.login_end = None;
        self.forget_rejections();
        self.phase = Phase::LoggedOut;
    }

    /// Returns whether the session was logged out, and has no tokens since.
    pub(super) fn is_logged_out(&self) -> bool {
        matches!(self.phase, Phase::LoggedOut)
    }

    /// Returns when the present step of a renewal is given up, unless the renewal has ended.
    pub(super) fn renewal_deadline(&self, epoch: u64) -> Option<Instant> {
        self.running.deadline(epoch)
    }

    /// Returns the present epoch if no renewal is under way.
    pub(super) fn idle_epoch(&self) -> Option<u64> {
        self.running.newest().is_none().then_some(self.epoch)
    }

    /// Returns the present step of a renewal, unless the renewal has ended.
    pub(super) fn renewal_step(&self, epoch: u64) -> Option<Step> {
        self.running.step(epoch)
    }

    /// Returns the newest renewal whose task has not ended, also if it was overtaken.
    pub(super) fn running_renewal(&self) -> Option<PendingRenewal> {
        self.running.newest()
    }

    /// Returns how many renewals have failed since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the renewal under way, if there is one.
    pub(super) fn pending_renewal(&self) -> Option<PendingRenewal> {
        if let Phase::Renewing { pending, .. } = &self.phase { Some(pending.clone()) } else { None }
    }

    /// Returns what the session can refresh with, for its revocation.
    pub(super) fn credential(&self) -> &RefreshCredential {
        &self.credential
    }
}

fn logged_out() -> Error {
    Error::new(ErrorKind::LoggedOut, "the session was logged out")
}

/// Returns the error of a renewal that was cut off.
fn cut_off_error(cause: CutOff, step: Step) -> Error {
    let what = match (cause, step) {
        (CutOff::Panic, _) => "the renewal was cut off by a panic",
        (CutOff::RuntimeEnded, _) => "the renewal was cut off by the end of its runtime",
        (CutOff::Overdue, Step::Starting) => "the renewal did not start: its runtime is parked or overloaded",
        (CutOff::Overdue, Step::Queued) => "the renewal was given up: the one before it did not end",
        (CutOff::Overdue, Step::Store) => "the renewal was given up: the token store did not keep to its time-out",
        (CutOff::Overdue, Step::Probing) => {
            let what = "the renewal was given up: the authenticator blocks its thread";
            return Error::new(ErrorKind::Unanswered, what);
        }
        (CutOff::Overdue, Step::Sending(action)) => {
            let what = format!("the {} was given up: the authenticator blocks its thread", action.name());
            return Error::new(ErrorKind::Unanswered, what);
        }
    };
    Error::new(ErrorKind::Aborted, what)
}

#[cfg(test)]
mod tests;
