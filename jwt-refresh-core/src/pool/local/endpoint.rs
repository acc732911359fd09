//! One token endpoint: whether exchanges may begin there.
//!
//! An endpoint that answers 429 or 5xx, or does not answer, is *left alone*: no account begins an
//! exchange there until its rest is over. Then one exchange tries it again. After the first answer
//! more and more may run at once, so that the accounts that have waited do not all come together.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::pool::local::rank::Slot;
use crate::pool::local::time::{LONG_AGO, after};
use crate::pool::policy::PoolPolicy;
use crate::pool::strikes::Strikes;
use crate::renewal::Outcome;

/// How long a trial of an endpoint that is left alone goes on before another account tries it, too;
/// each further one waits for twice as long. An account whose exchanges hang for reasons of its own
/// then holds up the others for a moment only.
const TRIAL: Duration = Duration::from_secs(2);

/// A rest that is longer than this counts against the pool's health.
const LONG_REST: Duration = Duration::from_secs(2);

/// What an exchange shows of its endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict<'a> {
    /// It answers. A refusal of one account's credentials is an answer, too.
    Answers,
    /// It asks to be left alone, or is out of order.
    Unavailable(&'a Error),
    /// It could not be reached, or did not answer. The account itself may be why, or its proxy.
    Silent(&'a Error),
    /// Nothing: no request was sent, or it is unknown what came of it.
    Nothing,
}

impl<'a> Verdict<'a> {
    /// Returns whether it speaks against the endpoint.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Silent(_))
    }

    pub(super) fn of(outcome: &'a Outcome) -> Self {
        let error = match outcome {
            Outcome::Renewed(_) | Outcome::Unsaved(_) => return Self::Answers,
            // The store had it.
            Outcome::Found(_) | Outcome::LoggedOut => return Self::Nothing,
            Outcome::Failed { error, .. } => error,
        };
        match error.kind() {
            ErrorKind::Unavailable => Self::Unavailable(error),
            ErrorKind::Unreachable | ErrorKind::Unanswered => Self::Silent(error),
            ErrorKind::Denied | ErrorKind::ReauthenticationRequired => Self::Answers,
            _ if error.status().is_some() => Self::Answers,
            _ => Self::Nothing,
        }
    }
}

/// Whether exchanges may begin at an endpoint.
#[derive(Debug)]
enum EndpointState {
    /// They begin when they are due.
    Open,
    /// It is left alone until that time, for that failure. Then one may try it, and if that is not
    /// answered for a while, another one; `trials` have begun.
    LeftAlone { until: i64, trials: u8, error: Error },
    /// It answers again. As many as this may run at once.
    Recovering { most: usize },
}

#[derive(Debug)]
pub(super) struct TokenEndpoint {
    state: EndpointState,
    strikes: Strikes,
    /// How many exchanges are under way.
    running: usize,
    /// When the last exchange began that was answered.
    answered: i64,
    /// An account that got no answer since then.
    unanswered: Option<Slot>,
}

impl TokenEndpoint {
    pub(super) fn new() -> Self {
        Self { state: EndpointState::Open, strikes: Strikes::NONE, running: 0, answered: LONG_AGO, unanswered: None }
    }

    /// Returns whether another exchange may begin now, if `most` may run at once at one endpoint.
    pub(super) fn may_begin(&self, most: usize, now: i64) -> bool {
        match self.state {
            EndpointState::Open => self.running < most,
            EndpointState::Recovering { most: recovering } => self.running < recovering.min(most),
            EndpointState::LeftAlone { until, .. } => until <= now,
        }
    }

    /// Returns until when the endpoint is left alone, and for which failure.
    pub(super) fn left_alone(&self) -> Option<(i64, &Error)> {
        match &self.state {
            EndpointState::LeftAlone { until, error, .. } => Some((*until, error)),
            EndpointState::Open | EndpointState::Recovering { .. } => None,
        }
    }

    /// Returns whether the endpoint is left alone, and not for a moment only.
    pub(super) fn is_out_of_order(&self) -> bool {
        self.left_alone().is_some() && self.strikes.rest() > LONG_REST
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running == 0
    }

    /// Notes that an exchange begins.
    pub(super) fn begin(&mut self, now: i64) {
        self.running += 1;
        if let EndpointState::LeftAlone { until, trials, .. } = &mut self.state {
            *until = after(now, TRIAL.saturating_mul(1 << u32::from(*trials).min(20)));
            *trials = trials.saturating_add(1);
        }
    }

    /// Notes what an exchange of the account `slot` showed that began at the time `sent`. At most
    /// `most` exchanges run at once.
    pub(super) fn end(
        &mut self,
        (slot, sent): (Slot, i64),
        verdict: Verdict<'_>,
        most: usize,
        policy: &PoolPolicy,
        now: i64,
    ) {
        self.running -= 1;
        match verdict {
            Verdict::Answers => self.answered(sent, most),
            Verdict::Unavailable(error) => self.refused(sent, error, policy, now),
            // It has answered others meanwhile.
            Verdict::Silent(_) if sent < self.answered => {}
            Verdict::Silent(error) => {
                let is_of_one_account = self.unanswered.is_none_or(|other| other == slot);
                self.unanswered = Some(slot);
                if !is_of_one_account || !matches!(self.state, EndpointState::Open) {
                    self.refused(sent, error, policy, now);
                }
            }
            Verdict::Nothing => {
                // If this was a trial, it has told nothing, so another one may begin.
                if let EndpointState::LeftAlone { until, .. } = &mut self.state
                    && self.strikes.is_over(sent)
                {
                    *until = now.min(*until);
                }
            }
        }
    }

    fn answered(&mut self, sent: i64, most: usize) {
        self.unanswered = None;
        self.answered = self.answered.max(sent);
        self.state = match self.state {
            // An exchange from before the rest says nothing of now.
            EndpointState::LeftAlone { .. } if !self.strikes.is_over(sent) => return,
            EndpointState::LeftAlone { .. } => EndpointState::Recovering { most: 2 },
            EndpointState::Recovering { most: recovering } if recovering < most => {
                EndpointState::Recovering { most: recovering + 1 }
            }
            EndpointState::Recovering { .. } | EndpointState::Open => EndpointState::Open,
        };
        self.strikes.forgive();
    }

    fn refused(&mut self, sent: i64, error: &Error, policy: &PoolPolicy, now: i64) {
        let asked = error.retry_after().map(|asked| asked.min(policy.tokens.longest_retry_after));
        let (first, longest) = policy.tokens.backoff;
        let cut = 1.0 - 0.5 * fastrand::f64();
        let Some(until) = self.strikes.strike(sent, now, asked, (first.mul_f64(cut), longest.mul_f64(cut))) else {
            return;
        };
        self.state = EndpointState::LeftAlone { until, trials: 0, error: error.clone() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::policy::Policy;
    use crate::renewal::IssuedTokens;
    use crate::token::Tokens;

    #[test]
    fn tokens_that_a_store_had_are_no_answer_of_the_endpoint() {
        let (policy, now) = (Policy::default(), Clock::system().moment());
        let issued = || IssuedTokens::captured(&policy, Tokens::new("a").unwrap(), now, 0);
        assert!(matches!(Verdict::of(&Outcome::Found(issued())), Verdict::Nothing));
        assert!(matches!(Verdict::of(&Outcome::Renewed(issued())), Verdict::Answers));
    }
}
