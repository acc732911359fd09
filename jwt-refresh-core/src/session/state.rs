//! The session as a state machine, without any waiting or talking in it: what is held, what is under way, and what
//! a caller who needs a token is to do about it. All of it runs under one short lock.

use std::collections::VecDeque;

use super::pending::{Notification, PendingRenewal, RenewalResult, ResultSender};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::renewal::{IssuedTokens, Lifetime, Outcome, Plan, RefreshCredential, Serving};
use crate::token::AccessToken;

/// Everything a session knows, and what it is doing.
#[derive(Debug)]
pub(super) struct SessionState {
    held: Option<Held>,
    credential: RefreshCredential,
    /// The last token of the account that this session knows of, by its store's count.
    sequence: u64,
    phase: Phase,
    /// Counts access tokens; the one held is the last.
    generation: u64,
    /// Counts renewals, logouts and adoptions; a renewal that one of the others overtook is told by it.
    epoch: u64,
    /// Renewals that failed since the last that did not.
    failures: u32,
    /// When tokens were rejected, the latest last.
    rejections: VecDeque<Moment>,
}

#[derive(Debug)]
struct Held {
    token: AccessToken,
    life: Lifetime,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Renewing { pending: PendingRenewal, serving: Serving },
    BackingOff { until: Moment, error: Error, serving: Serving },
    ReauthenticationRequired(Error),
    LoggedOut,
}

/// What a caller is to do.
#[derive(Debug)]
pub(super) enum NextStep {
    /// Go on with this token.
    Serve(AccessToken),
    /// Wait for the renewal under way.
    Wait(PendingRenewal),
    /// Begin a renewal; go on with the token there is, if it may still be used, else wait.
    Renew(Option<AccessToken>),
    /// There is none, and none to wait for.
    Fail(Error),
}

/// A renewal that was begun and must be completed, whatever comes of it.
#[derive(Debug)]
pub(super) struct RenewalPermit {
    pub(super) plan: Plan,
    pub(super) basis: Basis,
    before: Phase,
    epoch: u64,
    sender: ResultSender,
}

/// What a renewal starts from.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    pub(super) credential: RefreshCredential,
    /// The last sequence that this session knows of.
    pub(super) sequence: u64,
}

impl RenewalPermit {
    /// A place to wait for what comes of it.
    pub(super) fn subscribe(&self) -> PendingRenewal {
        self.sender.subscribe()
    }
}

impl SessionState {
    pub(super) const fn new() -> Self {
        Self {
            held: None,
            credential: RefreshCredential::None,
            sequence: 0,
            phase: Phase::Idle,
            failures: 0,
            generation: 0,
            epoch: 0,
            rejections: VecDeque::new(),
        }
    }

    pub(super) fn next_step(&self, now: Moment) -> NextStep {
        let serve_until = |edge: fn(&Lifetime) -> Moment| self.live(now, edge);
        match &self.phase {
            Phase::LoggedOut => NextStep::Fail(Error::new(ErrorKind::LoggedOut, "the session was logged out")),
            Phase::Renewing { pending, serving: Serving::Nothing } => NextStep::Wait(pending.clone()),
            Phase::Renewing { pending, .. } => {
                serve_until(|life| life.due).map_or_else(|| NextStep::Wait(pending.clone()), NextStep::Serve)
            }
            Phase::BackingOff { until, error, serving: Serving::Nothing } if !now.reached(*until) => {
                NextStep::Fail(error.clone())
            }
            Phase::BackingOff { until, error, .. } if !now.reached(*until) => {
                serve_until(|life| life.expires).map_or_else(|| NextStep::Fail(error.clone()), NextStep::Serve)
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

    /// For a caller who waits for a renewal while a token still lives: that token, and when to go on with it if the renewal has
    /// not ended by then. Whoever waited for longer would be left with an expired one.
    pub(super) fn longest_wait(&self, now: Moment) -> Option<(AccessToken, Moment)> {
        let token = self.live(now, |life| life.expires).filter(|_| self.serving() == Serving::WhatLives)?;
        let left = now.until(self.held.as_ref()?.life.expires);
        Some((token, now + left / 2))
    }

    fn serving(&self) -> Serving {
        match self.phase {
            Phase::Renewing { serving, .. } | Phase::BackingOff { serving, .. } => serving,
            Phase::Idle | Phase::ReauthenticationRequired(_) | Phase::LoggedOut => Serving::WhatLives,
        }
    }

    /// Until when nobody has to look: before that, the token held may be served unseen.
    pub(super) fn quiet_until(&self) -> Moment {
        let Some(Held { life, .. }) = &self.held else { return Moment::LONG_AGO };
        match &self.phase {
            Phase::LoggedOut
            | Phase::Renewing { serving: Serving::Nothing, .. }
            | Phase::BackingOff { serving: Serving::Nothing, .. } => Moment::LONG_AGO,
            Phase::Idle => life.ahead,
            Phase::Renewing { .. } => life.due,
            Phase::BackingOff { until, .. } => life.expires.earlier(*until),
            Phase::ReauthenticationRequired(_) => life.expires,
        }
    }

    /// When something changes by time alone: a token has to be looked at, or a pause ends.
    pub(super) fn wake_at(&self) -> Moment {
        match (&self.phase, &self.held) {
            (Phase::BackingOff { until, .. }, None)
            | (Phase::BackingOff { until, serving: Serving::Nothing, .. }, Some(_)) => *until,
            (Phase::LoggedOut, _) | (_, None) => Moment::NEVER,
            (_, Some(_)) => self.quiet_until(),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The token held, expired or not, for a caller who has seen that it is fresh.
    pub(super) fn token(&self) -> Option<AccessToken> {
        self.held.as_ref().map(|held| held.token.clone())
    }

    fn live(&self, now: Moment, edge: fn(&Lifetime) -> Moment) -> Option<AccessToken> {
        self.held.as_ref().filter(|held| !now.reached(edge(&held.life))).map(|held| held.token.clone())
    }

    /// Begins a renewal, unless one is under way. [`Plan::Renew`] only after [`NextStep::Renew`].
    pub(super) fn begin(&mut self, plan: Plan) -> Result<RenewalPermit, PendingRenewal> {
        if let Phase::Renewing { pending, .. } = &self.phase {
            return Err(pending.clone());
        }
        let sender = ResultSender::new();
        self.epoch += 1;
        // That a renewal has begun is no reason to serve what its failed predecessor withheld.
        let serving = self.serving();
        let before = std::mem::replace(&mut self.phase, Phase::Renewing { pending: sender.subscribe(), serving });
        let basis = Basis { credential: self.credential.clone(), sequence: self.sequence };
        Ok(RenewalPermit { plan, basis, before, epoch: self.epoch, sender })
    }

    /// Ends a renewal. One that a logout or new tokens overtook changes nothing.
    pub(super) fn complete(
        &mut self,
        permit: RenewalPermit,
        outcome: Outcome,
        policy: &Policy,
        now: Moment,
    ) -> Notification {
        let RenewalPermit { plan, before, epoch, sender, .. } = permit;
        let current = epoch == self.epoch;
        let mut result = match outcome {
            _ if !current => self.overtaken(now),
            Outcome::Renewed(issued) | Outcome::Unsaved(issued) => RenewalResult::Renewed(self.hold(issued)),
            Outcome::Failed { error, credential, serving } => self.failed(error, credential, serving, policy, now),
            Outcome::LoggedOut => {
                self.log_out();
                self.overtaken(now)
            }
        };
        if current && plan == Plan::LogIn {
            result = self.unless_failed(result, before);
        }
        Notification { sender, result }
    }

    fn overtaken(&self, now: Moment) -> RenewalResult {
        let what = "the session was logged out, or given other tokens, while it was renewed";
        match self.next_step(now) {
            NextStep::Serve(token) => RenewalResult::Renewed(token),
            NextStep::Fail(_) | NextStep::Wait(_) | NextStep::Renew(_) => {
                RenewalResult::Inconclusive(Error::new(ErrorKind::LoggedOut, what))
            }
        }
    }

    /// A login that the user asked for and that failed leaves everything as it was, a logout above all. Where a login is all
    /// that there is, its failure is the session's.
    fn unless_failed(&mut self, result: RenewalResult, before: Phase) -> RenewalResult {
        let RenewalResult::Failed(error, live) = result else { return result };
        if matches!(before, Phase::LoggedOut) {
            self.credential = RefreshCredential::None;
        } else if !matches!(
            (&before, &self.credential),
            (Phase::ReauthenticationRequired(_), _) | (_, RefreshCredential::Valid(_))
        ) {
            return RenewalResult::Failed(error, live);
        }
        self.phase = before;
        RenewalResult::Inconclusive(error)
    }

    fn failed(
        &mut self,
        error: Error,
        credential: RefreshCredential,
        serving: Serving,
        policy: &Policy,
        now: Moment,
    ) -> RenewalResult {
        self.failures = self.failures.saturating_add(1);
        let exhausted = error.kind() == ErrorKind::ReauthenticationRequired && credential == RefreshCredential::None;
        self.credential = credential;
        self.phase = if exhausted {
            Phase::ReauthenticationRequired(error.clone())
        } else {
            let until = now + policy.pause(self.failures, error.retry_after());
            Phase::BackingOff { until, error: error.clone(), serving }
        };
        // A failure never displaces a token that lives (blueprint, rule 3), unless the user wants it to.
        let live = if serving == Serving::WhatLives { self.live(now, |life| life.expires) } else { None };
        RenewalResult::Failed(error, live)
    }

    /// Holds new tokens and settles.
    fn hold(&mut self, issued: IssuedTokens) -> AccessToken {
        self.phase = Phase::Idle;
        self.failures = 0;
        self.take(issued)
    }

    fn take(&mut self, IssuedTokens { token, life, credential, sequence }: IssuedTokens) -> AccessToken {
        self.credential = credential;
        if let Some(held) = self.held.as_ref().filter(|_| sequence == self.sequence && sequence > 0) {
            // What another told us of already.
            return held.token.clone();
        }
        self.generation += 1;
        self.sequence = sequence;
        let token = token.issued(life.expires.wall, self.generation);
        self.held = Some(Held { token: token.clone(), life });
        token
    }

    /// Takes tokens that came from elsewhere in place of all that is held or under way.
    pub(super) fn adopt(&mut self, issued: IssuedTokens) {
        self.epoch += 1;
        self.hold(issued);
    }

    /// The number of the last token.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The number of the next token, for tokens that come from elsewhere.
    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence + 1
    }

    /// Takes tokens that another process has put into the store, if they are newer than those held. A renewal under way goes
    /// on, and will find them there too. Whether they were taken.
    pub(super) fn follow(&mut self, issued: IssuedTokens) -> bool {
        if issued.sequence <= self.sequence || matches!(self.phase, Phase::LoggedOut) {
            return false;
        }
        if matches!(self.phase, Phase::Renewing { .. }) {
            self.take(issued);
        } else {
            self.hold(issued);
        }
        true
    }

    /// Notes that the server answered 401 to the `generation`th token. Whether that means anything is told by comparing it
    /// with the one held: a newer one may have come since the call was sent (blueprint, rule 4).
    pub(super) fn reject(&mut self, generation: u64, policy: &Policy, now: Moment) {
        let Some(held) = self.held.as_mut().filter(|held| held.token.generation() == generation) else { return };
        if held.life == Lifetime::OVER {
            return;
        }
        held.life = Lifetime::OVER;

        let (most, window) = policy.rejections;
        self.rejections.push_back(now);
        while self.rejections.front().is_some_and(|&first| now.reached(first + window)) {
            self.rejections.pop_front();
        }
        let Some(&first) = self.rejections.front() else { return };
        let over = first + window;
        let settled = match &self.phase {
            Phase::Idle => true,
            // A server may have asked for a longer pause.
            Phase::BackingOff { until, .. } => !until.reached(over),
            Phase::Renewing { .. } | Phase::ReauthenticationRequired(_) | Phase::LoggedOut => false,
        };
        if settled && self.rejections.len() >= most.max(1) as usize {
            let what =
                format!("{} access tokens were rejected with 401 as soon as they were issued", self.rejections.len());
            let error = Error::new(ErrorKind::RejectedAsIssued, what);
            self.phase = Phase::BackingOff { until: over, error, serving: Serving::WhatLives };
        }
    }

    /// Forgets everything. A renewal under way will find that it was overtaken.
    pub(super) fn log_out(&mut self) {
        self.epoch += 1;
        self.generation += 1;
        self.held = None;
        self.credential = RefreshCredential::None;
        self.phase = Phase::LoggedOut;
    }

    pub(super) fn is_logged_out(&self) -> bool {
        matches!(self.phase, Phase::LoggedOut)
    }

    /// Where to wait for the renewal under way, if there is one.
    pub(super) fn under_way(&self) -> Option<PendingRenewal> {
        if let Phase::Renewing { pending, .. } = &self.phase { Some(pending.clone()) } else { None }
    }

    /// The refresh token held, for its revocation.
    pub(super) fn credential(&self) -> &RefreshCredential {
        &self.credential
    }
}

#[cfg(test)]
mod tests;
