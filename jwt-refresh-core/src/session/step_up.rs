//! Logins for what an API wants beyond the token, which its challenges say.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::authenticator::DynAuthenticator;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::policy::Policy;
use crate::send::Challenge;

/// How many challenges are remembered.
const MOST_REMEMBERED: usize = 16;

/// A login that answers a challenge.
pub(super) struct StepUp {
    pub(super) challenge: Challenge,
    /// The authenticator that logs in for it.
    pub(super) authenticator: Arc<dyn DynAuthenticator>,
}

/// What has come of challenges so far.
#[derive(Default)]
pub(super) struct StepUps {
    /// The authenticator of the last step-up that brought tokens.
    authenticator: Option<Arc<dyn DynAuthenticator>>,
    answered: Vec<AnsweredChallenge>,
}

#[derive(Debug)]
struct AnsweredChallenge {
    challenge: Challenge,
    /// The generation of the token that the login has brought, or why it brought none.
    outcome: Result<u64, Error>,
    /// How many logins for it have failed in a row.
    failures: u32,
    /// Until when, since boot, no login is made for the same challenge.
    until: Timestamp,
}

/// What is known of a challenge.
pub(super) enum KnownChallenge {
    /// A login for it has brought a token that is newer than the one that was challenged.
    Met,
    /// Another login is no use. Without an error, the token itself is from such a login.
    Refused(Option<Error>),
}

impl StepUps {
    pub(super) fn authenticator(&self) -> Option<&Arc<dyn DynAuthenticator>> {
        self.authenticator.as_ref()
    }

    /// Returns what is known of a challenge of the token of `generation`, if a login for it has
    /// ended and another one would be no use.
    pub(super) fn known(&self, generation: u64, challenge: &Challenge, now: Timestamp) -> Option<KnownChallenge> {
        let answered = self.answered.iter().find(|answered| answered.challenge == *challenge)?;
        match &answered.outcome {
            Ok(brought) if *brought > generation => Some(KnownChallenge::Met),
            _ if now >= answered.until => None,
            outcome => Some(KnownChallenge::Refused(outcome.as_ref().err().cloned())),
        }
    }

    /// Notes a login that has brought the token of `generation` at `now`.
    pub(super) fn note_success(&mut self, step_up: StepUp, generation: u64, now: Timestamp) {
        // A login that was recent enough becomes too old.
        let max_age = step_up.challenge.parameter("max_age").and_then(|seconds| seconds.parse().ok());
        let until = max_age.map_or(Timestamp::NEVER, |seconds| now + Duration::from_secs(seconds));
        self.authenticator = Some(step_up.authenticator);
        self.note(AnsweredChallenge { challenge: step_up.challenge, outcome: Ok(generation), failures: 0, until });
    }

    /// Notes a login that has failed at `now`. It is not sent again before a pause has passed.
    pub(super) fn note_failure(&mut self, step_up: StepUp, error: Error, policy: &Policy, now: Timestamp) {
        let StepUp { challenge, .. } = step_up;
        let before = self.answered.iter().find(|answered| answered.challenge == challenge);
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        let pause = policy.pause(failures, error.retry_after());
        let until = if error.is_transient() { now + pause } else { Timestamp::NEVER };
        self.note(AnsweredChallenge { challenge, outcome: Err(error), failures, until });
    }

    fn note(&mut self, answered: AnsweredChallenge) {
        self.answered.retain(|other| other.challenge != answered.challenge);
        if self.answered.len() == MOST_REMEMBERED {
            self.answered.remove(0);
        }
        self.answered.push(answered);
    }

    /// Forgets which challenges were answered, because the user logs in or brings tokens.
    pub(super) fn forget_answers(&mut self) {
        self.answered.clear();
    }
}

impl fmt::Debug for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUp").field("challenge", &self.challenge).finish_non_exhaustive()
    }
}

impl fmt::Debug for StepUps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUps").field("answered", &self.answered).finish_non_exhaustive()
    }
}
