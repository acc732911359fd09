//! What follows from a challenge: a login, the token that one has brought, or nothing.

use std::sync::Arc;

use super::{Phase, RenewalPermit, SessionState, logged_out};
use crate::authenticator::DynAuthenticator;
use crate::clock::Moment;
use crate::error::Error;
use crate::policy::Policy;
use crate::renewal::Plan;
use crate::session::events::Event;
use crate::session::pending::{Notification, PendingRenewal, RenewalResult};
use crate::session::running::Running;
use crate::session::step_up::{KnownChallenge, StepUp};

/// What a caller whose token was challenged has to do.
pub(in crate::session) enum NextStepUp {
    /// Launch this login, and wait for it.
    Launch(RenewalPermit),
    /// Wait for the login that another caller has begun for the same challenge.
    Join(PendingRenewal),
    /// Wait until this renewal has ended, and look again.
    After(PendingRenewal),
    /// Use the session's token: a login for the same challenge has brought it, or one before it.
    Done,
    /// Fail. Without an error, the token itself is from such a login.
    Refuse(Option<Error>),
}

impl SessionState {
    /// Returns the authenticator that logs in for all that was asked for since the session was
    /// built, unless that is the one that it was built with.
    pub(in crate::session) fn authenticator(&self) -> Option<Arc<dyn DynAuthenticator>> {
        self.step_ups.as_ref()?.authenticator().cloned()
    }

    /// Returns the authenticator for a renewal, unless it is the one that the session was built
    /// with.
    pub(in crate::session) fn authenticator_of(&self, epoch: u64) -> Option<Arc<dyn DynAuthenticator>> {
        let step_up = self.running.step_up(epoch).map(|step_up| Arc::clone(&step_up.authenticator));
        step_up.or_else(|| self.authenticator())
    }

    /// Returns whether a renewal under way answers a challenge.
    pub(in crate::session) fn is_step_up(&self, epoch: u64) -> bool {
        self.running.step_up(epoch).is_some()
    }

    /// Returns what a caller has to do whose token of `generation` was challenged. Returns `None`
    /// if `step_up` does not follow on the session's own authenticator, which was `basis`.
    pub(in crate::session) fn begin_step_up(
        &mut self,
        generation: u64,
        step_up: StepUp,
        basis: Option<&Arc<dyn DynAuthenticator>>,
        now: Moment,
    ) -> Result<Option<NextStepUp>, Error> {
        if self.is_logged_out() {
            return Err(logged_out());
        }
        let challenge = &step_up.challenge;
        match self.step_ups.as_ref().and_then(|known| known.known(generation, challenge, now.boot)) {
            Some(KnownChallenge::Met) => return Ok(Some(NextStepUp::Done)),
            Some(KnownChallenge::Refused(error)) => return Ok(Some(NextStepUp::Refuse(error))),
            None => {}
        }
        if let Phase::Renewing { pending, .. } = &self.phase {
            let answers = self.running.step_up(self.epoch).is_some_and(|running| running.challenge == *challenge);
            let pending = pending.clone();
            return Ok(Some(if answers { NextStepUp::Join(pending) } else { NextStepUp::After(pending) }));
        }
        if let Some(error) = self.refused_renewal(Plan::StepUp, now) {
            return Ok(Some(NextStepUp::Refuse(Some(error))));
        }
        let current = self.step_ups.as_ref().and_then(|known| known.authenticator());
        let is_current = match (current, basis) {
            (Some(current), Some(basis)) => Arc::ptr_eq(current, basis),
            (current, basis) => current.is_none() && basis.is_none(),
        };
        if !is_current {
            return Ok(None);
        }
        Ok(Some(match self.begin(Plan::StepUp) {
            Ok(permit) => {
                self.running.answers(step_up);
                NextStepUp::Launch(permit)
            }
            Err(pending) => NextStepUp::After(pending),
        }))
    }

    /// Notes that the login for a challenge has brought the current token.
    pub(super) fn stepped_up(&mut self, step_up: Option<Box<StepUp>>, now: Moment) {
        if let Some(step_up) = step_up {
            let generation = self.generation;
            self.step_ups.get_or_insert_default().note_success(*step_up, generation, now.boot);
        }
    }

    /// Ends a login for a challenge that has failed: everything is as it was.
    pub(super) fn step_up_failed(
        &mut self,
        ended: Running<Phase>,
        error: Error,
        policy: &Policy,
        now: Moment,
    ) -> Notification {
        self.phase = ended.previous_phase;
        if let Some(step_up) = ended.step_up {
            self.step_ups.get_or_insert_default().note_failure(*step_up, error.clone(), policy, now.boot);
        }
        let event = Some(Event::Failed(error.clone()));
        Notification { sender: ended.sender, result: RenewalResult::Inconclusive(error), event }
    }

    /// Lets challenges be answered anew, because the user logs in or brings tokens.
    pub(in crate::session) fn forget_answers(&mut self) {
        if let Some(step_ups) = &mut self.step_ups {
            step_ups.forget_answers();
        }
    }
}
