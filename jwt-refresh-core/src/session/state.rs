//! The session as a state machine, without any waiting or talking in it: what is held, what is under way, and what
//! a caller who needs a token is to do about it. All of it runs under one short lock.

use std::collections::VecDeque;

use tokio::sync::watch;

use super::lifetime::{Exchange, Lifetime, expiry, expiry_of_captured};
use crate::clock::Timestamp;
use crate::{AccessToken, Error, ErrorKind, Policy, RefreshToken, Tokens};

/// Where everybody who waits for a renewal is told what came of it.
pub(crate) type Outcome = watch::Receiver<Option<Verdict>>;

/// What came of a renewal, for those who wait for it.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Renewed(AccessToken),
    /// It failed; the token from before may still live.
    Failed(Error, Option<AccessToken>),
}

impl Verdict {
    /// For a caller who needs a token, whichever.
    pub(crate) fn token(self) -> Result<AccessToken, Error> {
        match self {
            Self::Renewed(token) | Self::Failed(_, Some(token)) => Ok(token),
            Self::Failed(error, None) => Err(error),
        }
    }

    /// For a caller who wants to know whether the renewal itself succeeded.
    pub(crate) fn success(self) -> Result<AccessToken, Error> {
        match self {
            Self::Renewed(token) => Ok(token),
            Self::Failed(error, _) => Err(error),
        }
    }
}

/// Everything a session knows, and what it is doing.
#[derive(Debug)]
pub(crate) struct State {
    held: Option<Held>,
    grant: Grant,
    phase: Phase,
    /// Counts access tokens; the one held is the last.
    generation: u64,
    /// Counts renewals and logouts; a renewal that was begun before a logout is told by it.
    epoch: u64,
    /// Renewals that failed since the last that did not.
    failures: u32,
    /// When tokens were rejected, the latest last.
    rejections: VecDeque<Timestamp>,
}

#[derive(Debug)]
struct Held {
    token: AccessToken,
    life: Lifetime,
}

/// What the session can refresh with.
#[derive(Clone, Debug)]
pub(crate) enum Grant {
    /// Nothing: it has to log in.
    None,
    /// A refresh token that the server has not seen since it issued it.
    Sound(RefreshToken),
    /// One that was sent without an answer: spent, or not. Sending it again may look like theft (RFC 9700 §4.14.2), so it is
    /// the last resort.
    Doubtful(RefreshToken),
}

#[derive(Debug)]
enum Phase {
    Idle,
    Renewing(Outcome),
    BackingOff { until: Timestamp, error: Error },
    ReauthenticationRequired(Error),
    LoggedOut,
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
    pub(crate) grant: Grant,
    epoch: u64,
    outcome: watch::Sender<Option<Verdict>>,
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
    /// New tokens, and the refresh token to keep if they bring none.
    Renewed { tokens: Tokens, exchange: Exchange, keep: Option<RefreshToken> },
    /// An error, and what is left to refresh with.
    Failed { error: Error, grant: Grant },
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
            phase: Phase::Idle,
            failures: 0,
            generation: 0,
            epoch: 0,
            rejections: VecDeque::new(),
        }
    }

    pub(crate) fn look(&self, now: Timestamp) -> Look {
        let serve_until = |edge: fn(&Lifetime) -> Timestamp| self.live(now, edge);
        match &self.phase {
            Phase::LoggedOut => Look::Fail(Error::new(ErrorKind::LoggedOut, "the session was logged out")),
            Phase::Renewing(outcome) => {
                serve_until(|life| life.due).map_or_else(|| Look::Wait(outcome.clone()), Look::Serve)
            }
            Phase::BackingOff { until, error, .. } if now < *until => {
                serve_until(|life| life.expires).map_or_else(|| Look::Fail(error.clone()), Look::Serve)
            }
            Phase::ReauthenticationRequired(error) => {
                serve_until(|life| life.expires).map_or_else(|| Look::Fail(error.clone()), Look::Serve)
            }
            Phase::Idle | Phase::BackingOff { .. } => match serve_until(|life| life.ahead) {
                Some(token) => Look::Serve(token),
                None => Look::Renew(serve_until(|life| life.due)),
            },
        }
    }

    /// Until when nobody has to look: before that, the token held may be served unseen.
    pub(crate) fn quiet_until(&self) -> Timestamp {
        let Some(Held { life, .. }) = &self.held else { return Timestamp::LONG_AGO };
        match &self.phase {
            Phase::LoggedOut => Timestamp::LONG_AGO,
            Phase::Idle => life.ahead,
            Phase::Renewing(_) => life.due,
            Phase::BackingOff { until, .. } => life.expires.min(*until),
            Phase::ReauthenticationRequired(_) => life.expires,
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The token held, expired or not, for a caller who has seen that it is fresh.
    pub(crate) fn token(&self) -> Option<AccessToken> {
        self.held.as_ref().map(|held| held.token.clone())
    }

    fn live(&self, now: Timestamp, edge: fn(&Lifetime) -> Timestamp) -> Option<AccessToken> {
        self.held.as_ref().filter(|held| now < edge(&held.life)).map(|held| held.token.clone())
    }

    /// Begins a renewal, unless one is under way. [`Plan::Renew`] only after [`Look::Renew`].
    pub(crate) fn begin(&mut self, plan: Plan) -> Result<Ticket, Outcome> {
        if let Phase::Renewing(outcome) = &self.phase {
            return Err(outcome.clone());
        }
        let (outcome, receiver) = watch::channel(None);
        self.epoch += 1;
        self.phase = Phase::Renewing(receiver);
        Ok(Ticket { plan, grant: self.grant.clone(), epoch: self.epoch, outcome })
    }

    /// Ends a renewal and tells everybody who waits for it. One that a logout or new tokens overtook changes nothing.
    pub(crate) fn land(&mut self, ticket: Ticket, landing: Landing, policy: &Policy, now: Timestamp) {
        let Ticket { epoch, outcome, .. } = ticket;
        let verdict = match landing {
            _ if epoch != self.epoch => self.overtaken(now),
            Landing::Renewed { tokens, exchange, keep } => self.renewed(tokens, exchange, keep, policy),
            Landing::Failed { error, grant } => self.failed(error, grant, policy, now),
        };
        // Nobody may be waiting; that is not an error.
        let _ = outcome.send(Some(verdict));
    }

    fn overtaken(&self, now: Timestamp) -> Verdict {
        let error = Error::new(ErrorKind::LoggedOut, "the session was logged out while its token was renewed");
        match self.look(now) {
            Look::Serve(token) => Verdict::Renewed(token),
            Look::Fail(_) | Look::Wait(_) | Look::Renew(_) => Verdict::Failed(error, None),
        }
    }

    fn renewed(&mut self, tokens: Tokens, exchange: Exchange, keep: Option<RefreshToken>, policy: &Policy) -> Verdict {
        let expires = expiry(policy, &tokens, exchange);
        // RFC 6749 §6: a new refresh token replaces the old one; without a new one the old one stays.
        let grant = tokens.refresh.or(keep).map(Grant::Sound);
        if expires.is_some_and(|expires| expires <= exchange.answered) {
            let error = Error::new(ErrorKind::BadAnswer, "the server issued an access token that has already expired");
            let grant = grant.unwrap_or_else(|| self.grant.clone());
            return self.failed(error, grant, policy, exchange.answered);
        }
        self.failures = 0;
        let life = Lifetime::new(policy, exchange.asked, expires, fastrand::f64());
        Verdict::Renewed(self.hold(&tokens.access, life, grant.unwrap_or(Grant::None)))
    }

    fn failed(&mut self, error: Error, grant: Grant, policy: &Policy, now: Timestamp) -> Verdict {
        self.failures = self.failures.saturating_add(1);
        let exhausted = error.kind() == ErrorKind::ReauthenticationRequired && matches!(grant, Grant::None);
        self.grant = grant;
        self.phase = if exhausted {
            Phase::ReauthenticationRequired(error.clone())
        } else {
            Phase::BackingOff { until: now + policy.pause(self.failures, error.retry_after()), error: error.clone() }
        };
        // A failure never displaces a token that lives (blueprint, rule 3).
        Verdict::Failed(error, self.live(now, |life| life.expires))
    }

    /// Takes tokens that came from elsewhere: captured at a login, or kept from an earlier run.
    pub(crate) fn adopt(&mut self, tokens: Tokens, policy: &Policy, now: Timestamp) {
        let expires = expiry_of_captured(policy, &tokens, now);
        let life = Lifetime::new(policy, now, expires, fastrand::f64());
        self.epoch += 1;
        self.failures = 0;
        self.hold(&tokens.access, life, tokens.refresh.map_or(Grant::None, Grant::Sound));
    }

    fn hold(&mut self, token: &AccessToken, life: Lifetime, grant: Grant) -> AccessToken {
        self.generation += 1;
        let expires = (life.expires != Timestamp::NEVER).then_some(life.expires);
        let token = token.issued(expires, self.generation);
        self.held = Some(Held { token: token.clone(), life });
        self.grant = grant;
        self.phase = Phase::Idle;
        token
    }

    /// Notes that the server answered 401 to the `generation`th token. Whether that means anything is told by comparing it
    /// with the one held: a newer one may have come since the call was sent (blueprint, rule 4).
    pub(crate) fn reject(&mut self, generation: u64, policy: &Policy, now: Timestamp) {
        let Some(held) = self.held.as_mut().filter(|held| held.token.generation() == generation) else { return };
        if held.life == Lifetime::OVER {
            return;
        }
        held.life = Lifetime::OVER;

        let (most, window) = policy.rejections;
        self.rejections.push_back(now);
        while self.rejections.front().is_some_and(|&first| first + window <= now) {
            self.rejections.pop_front();
        }
        let Some(&first) = self.rejections.front() else { return };
        let settled = matches!(self.phase, Phase::Idle | Phase::BackingOff { .. });
        if settled && self.rejections.len() >= most.max(1) as usize {
            let what =
                format!("{} access tokens were rejected with 401 as soon as they were issued", self.rejections.len());
            let error = Error::new(ErrorKind::RejectedAsIssued, what);
            self.phase = Phase::BackingOff { until: first + window, error };
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
}

#[cfg(test)]
mod tests;
