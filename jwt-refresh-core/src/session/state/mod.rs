//! The state machine of a session: which tokens it has, whether a renewal is under way, and what a
//! caller that needs a token has to do. It does no input or output and never waits. All of it runs
//! under one short lock.
//!
//! `renewals` begins and ends renewals, `failures` decides what follows from one that failed,
//! `tokens` takes new tokens and gives up old ones, `rejected` handles a 401, and `step_ups` a
//! challenge, and `others` gets access tokens with other parameters.

mod failures;
mod others;
mod rejected;
mod renewals;
mod step_ups;
#[cfg(test)]
mod tests;
mod tokens;

pub(super) use self::others::NextOther;
pub(super) use self::step_ups::NextStepUp;

use std::time::{Instant, SystemTime};

use super::held::HeldToken;
use super::login_end::LoginEnd;
use super::outage::{Condition, EarlyRenewal, Outage};
use super::pending::PendingRenewal;
use super::rejections::Rejections;
use super::running::{RunningRenewals, Step};
use super::step_up::StepUps;
use super::unsaved::UnsavedTokens;
use crate::clock::{Moment, Timestamp};
use crate::error::{Error, ErrorKind};
use crate::renewal::{Lifetime, Plan, RefreshCredential, Serving};
use crate::token::AccessToken;

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
    /// What has come of challenges, if there were any.
    step_ups: Option<Box<StepUps>>,
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
    /// The access token that is to be replaced, if there is one.
    pub(super) token: Option<AccessToken>,
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
            step_ups: None,
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
        let token = self.servable_token(now)?;
        let left = now.until(self.held.as_ref()?.life.expires);
        Some((token, now + left / 2))
    }

    /// Returns the token that lives and was not rejected.
    pub(super) fn servable_token(&self, now: Moment) -> Option<AccessToken> {
        self.live_token(self.serving(), now)
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
    pub(super) fn token_until(&self, now: Moment, end: fn(&Lifetime) -> Moment) -> Option<AccessToken> {
        self.held.as_ref().filter(|held| !now.reached(end(&held.life))).map(|held| held.token.clone())
    }

    /// Returns the current token with its lifetime, unless it is due.
    pub(super) fn held_until_due(&self, now: Moment) -> Option<(AccessToken, Lifetime)> {
        let held = self.held.as_ref().filter(|held| !now.reached(held.life.due))?;
        Some((held.token.clone(), held.life))
    }

    /// Returns the sequence of the newest token that this session knows of.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns the sequence of the next token, for tokens that come from elsewhere.
    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence + 1
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

    /// Returns whether a renewal has sent a login.
    pub(super) fn has_sent_login(&self, epoch: u64) -> bool {
        self.running.has_sent_login(epoch)
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
