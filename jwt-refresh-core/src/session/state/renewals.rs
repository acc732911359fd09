//! How a renewal begins, goes on and ends.

use std::time::Duration;

use super::{Basis, CutOff, NextStep, Phase, RenewalPermit, SessionState};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::renewal::{Outcome, Plan, Serving};
use crate::session::events::Event;
use crate::session::outage::{Condition, Finding};
use crate::session::pending::{Notification, PendingRenewal, RenewalResult};
use crate::session::running::{Pace, Running, Step};
use crate::session::unsaved::TokenSource;

impl SessionState {
    /// Begins a renewal, or returns the one under way. A renewal that the user has not asked for
    /// may be begun only after [`NextStep::Renew`].
    pub(in crate::session) fn begin(&mut self, plan: Plan) -> Result<RenewalPermit, PendingRenewal> {
        self.begin_at(plan, Pace::Regular, Condition::None)
    }

    /// Begins a renewal before the pause after the last failure has ended, or returns the one under
    /// way. It may be begun only after [`NextStep::RenewEarly`].
    pub(in crate::session) fn begin_early(&mut self) -> Result<RenewalPermit, PendingRenewal> {
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
        let basis = Basis { credential: self.credential.clone(), sequence: self.sequence, token: self.token() };
        Ok(RenewalPermit { plan, basis, epoch: self.epoch, pending, condition, after })
    }

    /// Lets a renewal take a step, which may take `timeout`. Returns false if the renewal was
    /// overtaken: then it must neither talk to the server nor write to the store.
    pub(in crate::session) fn advance(&mut self, epoch: u64, step: Step, timeout: Duration) -> bool {
        self.running.advance(epoch, step, timeout);
        self.lost_starts = 0;
        epoch == self.epoch
    }

    /// Completes a renewal. If it was overtaken by a logout or by new tokens, nothing changes.
    /// Returns `None` if it was completed before, because it was cut off.
    pub(in crate::session) fn complete(
        &mut self,
        epoch: u64,
        outcome: Outcome,
        policy: &Policy,
        now: Moment,
    ) -> Option<Notification> {
        let mut ended = self.running.end(epoch)?;
        if epoch != self.epoch {
            return Some(Notification { sender: ended.sender, result: self.overtaken(now), event: None });
        }
        if ended.plan == Plan::Other {
            return Some(self.other_ended(ended, outcome));
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
                self.stepped_up(ended.step_up.take(), now);
                (result, Event::Renewed)
            }
            Outcome::Renewed(issued) => {
                let result = self.accepted(issued);
                self.stepped_up(ended.step_up.take(), now);
                (result, Event::Renewed)
            }
            Outcome::Found(issued) => (self.accepted(issued), Event::Renewed),
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
    pub(in crate::session) fn cut_off(
        &mut self,
        epoch: u64,
        cause: CutOff,
        policy: &Policy,
        now: Moment,
    ) -> Option<Notification> {
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
            self.phase = if ended.plan == Plan::Renew { Phase::Idle } else { ended.previous_phase };
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
    pub(in crate::session) fn give_up_early(
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
