//! The session as a state machine, without any waiting or talking in it: what is held, what is under way, and what
//! a caller who needs a token is to do about it. All of it runs under one short lock.

use std::collections::VecDeque;

use tokio::sync::watch;

use super::holding::{Grant, Holding};
use super::lifetime::Lifetime;
use crate::clock::Moment;
use crate::{AccessToken, Error, ErrorKind, Policy};

/// Where everybody who waits for a renewal is told what came of it.
pub(crate) type Outcome = watch::Receiver<Option<Verdict>>;

/// What came of a renewal, for those who wait for it.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Renewed(AccessToken),
    /// It failed; the token from before may still live.
    Failed(Error, Option<AccessToken>),
    /// It says nothing about the next one: it was overtaken, or a login failed where there is something to refresh with.
    Void(Error),
}

impl Verdict {
    /// For a caller who needs a token, whichever. `None` if it has to look again.
    pub(crate) fn token(self) -> Option<Result<AccessToken, Error>> {
        match self {
            Self::Renewed(token) | Self::Failed(_, Some(token)) => Some(Ok(token)),
            Self::Failed(error, None) => Some(Err(error)),
            Self::Void(_) => None,
        }
    }

    /// For a caller who wants to know whether the renewal itself succeeded.
    pub(crate) fn success(self) -> Result<AccessToken, Error> {
        match self {
            Self::Renewed(token) => Ok(token),
            Self::Failed(error, _) | Self::Void(error) => Err(error),
        }
    }
}

/// Everything a session knows, and what it is doing.
#[derive(Debug)]
pub(crate) struct State {
    held: Option<Held>,
    grant: Grant,
    /// The last token of the account that this session knows of, by its store's count.
    issue: u64,
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
    Renewing { outcome: Outcome, serving: Serving },
    BackingOff { until: Moment, error: Error, serving: Serving },
    ReauthenticationRequired(Error),
    LoggedOut,
}

/// Whether a failure leaves the token from before in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serving {
    WhatLives,
    Nothing,
}

/// What a caller is to do.
#[derive(Debug)]
pub(crate) enum Look {
    /// Go on with this token.
    Serve(AccessToken),
    /// Wait for the renewal under way.
    Wait(Outcome),
    /// Begin a renewal; go on with the token there is, if it may still be used, else wait.
    Renew(Option<AccessToken>),
    /// There is none, and none to wait for.
    Fail(Error),
}

/// A renewal that was begun and must be landed, whatever comes of it.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) plan: Plan,
    pub(crate) basis: Basis,
    before: Phase,
    epoch: u64,
    outcome: watch::Sender<Option<Verdict>>,
}

/// What a renewal starts from.
#[derive(Clone, Debug)]
pub(crate) struct Basis {
    pub(crate) grant: Grant,
    /// The last issue that this session knows of.
    pub(crate) issue: u64,
}

/// What everybody who waits for a renewal is to be told, once the lock is given back and the check sees the new state.
#[must_use = "somebody waits for it"]
pub(crate) struct Announcement {
    outcome: watch::Sender<Option<Verdict>>,
    verdict: Verdict,
}

impl Announcement {
    pub(crate) fn make(self) {
        // Nobody may be waiting; that is not an error.
        let _ = self.outcome.send(Some(self.verdict));
    }
}

/// How a renewal goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Refresh or log in, whatever is soundest.
    Renew,
    /// Log in, because the user said so. A failure leaves everything as it was.
    LogIn,
}

/// What came of a renewal.
#[derive(Debug)]
pub(crate) enum Landing {
    /// New tokens: of our own, or another process's.
    Renewed(Holding),
    /// New tokens of our own that the store does not have yet.
    Unsaved(Holding),
    /// An error, what is left to refresh with, and whether what lives may be served.
    Failed { error: Error, grant: Grant, serving: Serving },
    /// Another process has logged the account out.
    LoggedOut,
}

impl Landing {
    pub(crate) fn failed(error: Error, grant: Grant) -> Self {
        Self::Failed { error, grant, serving: Serving::WhatLives }
    }

    /// What new tokens can be refreshed with.
    pub(crate) fn grant(&self) -> Option<Grant> {
        match self {
            Self::Renewed(holding) | Self::Unsaved(holding) => Some(holding.grant.clone()),
            Self::Failed { .. } | Self::LoggedOut => None,
        }
    }
}

impl Ticket {
    /// A place to wait for what comes of it.
    pub(crate) fn subscribe(&self) -> Outcome {
        self.outcome.subscribe()
    }
}

impl State {
    pub(crate) const fn new() -> Self {
        Self {
            held: None,
            grant: Grant::None,
            issue: 0,
            phase: Phase::Idle,
            failures: 0,
            generation: 0,
            epoch: 0,
            rejections: VecDeque::new(),
        }
    }

    pub(crate) fn look(&self, now: Moment) -> Look {
        let serve_until = |edge: fn(&Lifetime) -> Moment| self.live(now, edge);
        match &self.phase {
            Phase::LoggedOut => Look::Fail(Error::new(ErrorKind::LoggedOut, "the session was logged out")),
            Phase::Renewing { outcome, serving: Serving::Nothing } => Look::Wait(outcome.clone()),
            Phase::Renewing { outcome, .. } => {
                serve_until(|life| life.due).map_or_else(|| Look::Wait(outcome.clone()), Look::Serve)
            }
            Phase::BackingOff { until, error, serving: Serving::Nothing } if !now.reached(*until) => {
                Look::Fail(error.clone())
            }
            Phase::BackingOff { until, error, .. } if !now.reached(*until) => {
                serve_until(|life| life.expires).map_or_else(|| Look::Fail(error.clone()), Look::Serve)
            }
            Phase::ReauthenticationRequired(error) => {
                serve_until(|life| life.expires).map_or_else(|| Look::Fail(error.clone()), Look::Serve)
            }
            // The pause is over.
            Phase::BackingOff { serving: Serving::Nothing, .. } => Look::Renew(None),
            Phase::Idle | Phase::BackingOff { .. } => match serve_until(|life| life.ahead) {
                Some(token) => Look::Serve(token),
                None => Look::Renew(serve_until(|life| life.due)),
            },
        }
    }

    /// For a caller who waits for a renewal while a token still lives: that token, and when to go on with it if the renewal has
    /// not ended by then. Whoever waited for longer would be left with an expired one.
    pub(crate) fn patience(&self, now: Moment) -> Option<(AccessToken, Moment)> {
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
    pub(crate) fn quiet_until(&self) -> Moment {
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
    pub(crate) fn wake_at(&self) -> Moment {
        match (&self.phase, &self.held) {
            (Phase::BackingOff { until, .. }, None)
            | (Phase::BackingOff { until, serving: Serving::Nothing, .. }, Some(_)) => *until,
            (Phase::LoggedOut, _) | (_, None) => Moment::NEVER,
            (_, Some(_)) => self.quiet_until(),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The token held, expired or not, for a caller who has seen that it is fresh.
    pub(crate) fn token(&self) -> Option<AccessToken> {
        self.held.as_ref().map(|held| held.token.clone())
    }

    fn live(&self, now: Moment, edge: fn(&Lifetime) -> Moment) -> Option<AccessToken> {
        self.held.as_ref().filter(|held| !now.reached(edge(&held.life))).map(|held| held.token.clone())
    }

    /// Begins a renewal, unless one is under way. [`Plan::Renew`] only after [`Look::Renew`].
    pub(crate) fn begin(&mut self, plan: Plan) -> Result<Ticket, Outcome> {
        if let Phase::Renewing { outcome, .. } = &self.phase {
            return Err(outcome.clone());
        }
        let (outcome, receiver) = watch::channel(None);
        self.epoch += 1;
        // That a renewal has begun is no reason to serve what its failed predecessor withheld.
        let serving = self.serving();
        let before = std::mem::replace(&mut self.phase, Phase::Renewing { outcome: receiver, serving });
        let basis = Basis { grant: self.grant.clone(), issue: self.issue };
        Ok(Ticket { plan, basis, before, epoch: self.epoch, outcome })
    }

    /// Ends a renewal. One that a logout or new tokens overtook changes nothing.
    pub(crate) fn land(&mut self, ticket: Ticket, landing: Landing, policy: &Policy, now: Moment) -> Announcement {
        let Ticket { plan, before, epoch, outcome, .. } = ticket;
        let current = epoch == self.epoch;
        let mut verdict = match landing {
            _ if !current => self.overtaken(now),
            Landing::Renewed(holding) | Landing::Unsaved(holding) => Verdict::Renewed(self.hold(holding)),
            Landing::Failed { error, grant, serving } => self.failed(error, grant, serving, policy, now),
            Landing::LoggedOut => {
                self.log_out();
                self.overtaken(now)
            }
        };
        if current && plan == Plan::LogIn {
            verdict = self.unless_failed(verdict, before);
        }
        Announcement { outcome, verdict }
    }

    fn overtaken(&self, now: Moment) -> Verdict {
        let what = "the session was logged out, or given other tokens, while it was renewed";
        match self.look(now) {
            Look::Serve(token) => Verdict::Renewed(token),
            Look::Fail(_) | Look::Wait(_) | Look::Renew(_) => Verdict::Void(Error::new(ErrorKind::LoggedOut, what)),
        }
    }

    /// A login that the user asked for and that failed leaves everything as it was, a logout above all. Where a login is all
    /// that there is, its failure is the session's.
    fn unless_failed(&mut self, verdict: Verdict, before: Phase) -> Verdict {
        let Verdict::Failed(error, live) = verdict else { return verdict };
        if matches!(before, Phase::LoggedOut) {
            self.grant = Grant::None;
        } else if !matches!((&before, &self.grant), (Phase::ReauthenticationRequired(_), _) | (_, Grant::Sound(_))) {
            return Verdict::Failed(error, live);
        }
        self.phase = before;
        Verdict::Void(error)
    }

    fn failed(&mut self, error: Error, grant: Grant, serving: Serving, policy: &Policy, now: Moment) -> Verdict {
        self.failures = self.failures.saturating_add(1);
        let exhausted = error.kind() == ErrorKind::ReauthenticationRequired && grant == Grant::None;
        self.grant = grant;
        self.phase = if exhausted {
            Phase::ReauthenticationRequired(error.clone())
        } else {
            let until = now + policy.pause(self.failures, error.retry_after());
            Phase::BackingOff { until, error: error.clone(), serving }
        };
        // A failure never displaces a token that lives (blueprint, rule 3), unless the user wants it to.
        let live = if serving == Serving::WhatLives { self.live(now, |life| life.expires) } else { None };
        Verdict::Failed(error, live)
    }

    /// Holds new tokens and settles.
    fn hold(&mut self, holding: Holding) -> AccessToken {
        self.phase = Phase::Idle;
        self.failures = 0;
        self.take(holding)
    }

    fn take(&mut self, Holding { token, life, grant, issue }: Holding) -> AccessToken {
        self.grant = grant;
        if let Some(held) = self.held.as_ref().filter(|_| issue == self.issue && issue > 0) {
            // What another told us of already.
            return held.token.clone();
        }
        self.generation += 1;
        self.issue = issue;
        let token = token.issued(life.expires.wall, self.generation);
        self.held = Some(Held { token: token.clone(), life });
        token
    }

    /// Takes tokens that came from elsewhere in place of all that is held or under way.
    pub(crate) fn adopt(&mut self, holding: Holding) {
        self.epoch += 1;
        self.hold(holding);
    }

    /// The number of the last token.
    pub(crate) fn issue(&self) -> u64 {
        self.issue
    }

    /// The number of the next token, for tokens that come from elsewhere.
    pub(crate) fn next_issue(&self) -> u64 {
        self.issue + 1
    }

    /// Takes tokens that another process has put into the store, if they are newer than those held. A renewal under way goes
    /// on, and will find them there too. Whether they were taken.
    pub(crate) fn follow(&mut self, holding: Holding) -> bool {
        if holding.issue <= self.issue || matches!(self.phase, Phase::LoggedOut) {
            return false;
        }
        if matches!(self.phase, Phase::Renewing { .. }) {
            self.take(holding);
        } else {
            self.hold(holding);
        }
        true
    }

    /// Notes that the server answered 401 to the `generation`th token. Whether that means anything is told by comparing it
    /// with the one held: a newer one may have come since the call was sent (blueprint, rule 4).
    pub(crate) fn reject(&mut self, generation: u64, policy: &Policy, now: Moment) {
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
    pub(crate) fn log_out(&mut self) {
        self.epoch += 1;
        self.generation += 1;
        self.held = None;
        self.grant = Grant::None;
        self.phase = Phase::LoggedOut;
    }

    pub(crate) fn is_logged_out(&self) -> bool {
        matches!(self.phase, Phase::LoggedOut)
    }

    /// Where to wait for the renewal under way, if there is one.
    pub(crate) fn under_way(&self) -> Option<Outcome> {
        if let Phase::Renewing { outcome, .. } = &self.phase { Some(outcome.clone()) } else { None }
    }

    /// The refresh token held, for its revocation.
    pub(crate) fn grant(&self) -> &Grant {
        &self.grant
    }
}

#[cfg(test)]
mod tests;
