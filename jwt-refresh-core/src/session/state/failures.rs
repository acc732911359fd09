//! What follows from a renewal that failed: a pause, or the need to log in.

use std::time::Duration;

use super::{Phase, SessionState, logged_out};
use crate::clock::{Moment, Timestamp};
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::renewal::{Outcome, Plan, RefreshCredential, Serving};
use crate::session::events::Event;
use crate::session::pending::{Notification, RenewalResult};
use crate::session::running::{Pace, Running};
use crate::token::AccessToken;

impl SessionState {
    /// Returns the error of a renewal that the user asks for, if it may not begin now.
    pub(in crate::session) fn refused_renewal(&self, plan: Plan, now: Moment) -> Option<Error> {
        if plan != Plan::LogIn && self.is_logged_out() {
            return Some(logged_out());
        }
        let (until, error) = self.asked.as_ref().filter(|(until, _)| now.boot < *until)?;
        Some(error.clone().retry_in(until.since(now.boot)))
    }

    /// Notes that the server has asked to be left alone. Returns until when it is.
    pub(super) fn leave_alone(&mut self, asked: Duration, error: &Error, policy: &Policy, now: Moment) -> Timestamp {
        let until = now.boot + policy.asked_pause(Some(asked));
        if self.asked.as_ref().is_none_or(|(before, _)| until >= *before) {
            self.asked = Some((until, error.clone()));
        }
        until
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
    pub(super) fn failed(
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
        if ended.plan == Plan::StepUp {
            return self.step_up_failed(ended, error, policy, now);
        }
        if ended.plan == Plan::Other {
            let credential = self.credential.clone();
            return self.other_ended(ended, Outcome::failed(error, credential));
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
    pub(super) fn live_token(&self, serving: Serving, now: Moment) -> Option<AccessToken> {
        self.token_until(now, |life| life.expires).filter(|_| serving == Serving::LiveToken)
    }
}
