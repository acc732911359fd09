//! The renewals whose tasks have not ended, and how far each has got. There is one as a rule; after
//! a logout the one before it may still run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::other_request::OtherRequest;
use super::pending::{PendingRenewal, ResultSender};
use super::step_up::StepUp;
use crate::renewal::{Action, Plan};

/// How long after its deadline a step is given up. The step's own time-out comes first, and names
/// what did not answer.
const GRACE: Duration = Duration::from_secs(1);

/// What the task of a renewal is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It has not started: its runtime has not got to it.
    Starting,
    /// It waits until the renewal before it has ended, which a logout has overtaken.
    Queued,
    /// It asks whether the server is back.
    Probing,
    /// It uses the store, or waits for the renewal lease.
    Store,
    /// It has sent a request to the server, or is about to.
    Sending(Action),
}

/// When a renewal was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// No earlier than the pause after the last failure allows.
    Regular,
    /// During that pause, because callers have no token.
    Early,
}

/// A renewal whose task has not ended.
#[derive(Debug)]
pub(super) struct Running<P> {
    pub(super) epoch: u64,
    pub(super) plan: Plan,
    pub(super) pace: Pace,
    pub(super) step: Step,
    /// Whether it has sent a login.
    pub(super) sent_login: bool,
    /// Whether it has sent a refresh, and perhaps gone on since.
    pub(super) sent_refresh: bool,
    deadline: Instant,
    /// The phase of the session before the renewal.
    pub(super) previous_phase: P,
    /// The challenge that it answers, if its plan is that.
    pub(super) step_up: Option<Box<StepUp>>,
    /// For what it gets an access token, if its plan is that.
    pub(super) other: Option<Arc<OtherRequest>>,
    pub(super) sender: ResultSender,
}

/// All renewals whose tasks have not ended, the newest last.
#[derive(Debug)]
pub(super) struct RunningRenewals<P>(Vec<Running<P>>);

impl<P> RunningRenewals<P> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a renewal. Returns the one before it, if that has not ended.
    pub(super) fn begin(
        &mut self,
        epoch: u64,
        plan: Plan,
        pace: Pace,
        previous_phase: P,
    ) -> (ResultSender, Option<PendingRenewal>) {
        let before = self.0.last().map(|running| running.sender.subscribe());
        let sender = ResultSender::new();
        let deadline = Instant::now() + START_TIMEOUT + GRACE;
        self.0.reserve_exact(1);
        self.0.push(Running {
            epoch,
            plan,
            pace,
            step: Step::Starting,
            sent_login: false,
            sent_refresh: false,
            deadline,
            previous_phase,
            step_up: None,
            other: None,
            sender: sender.clone(),
        });
        (sender, before)
    }

    /// Notes which challenge the newest renewal answers.
    pub(super) fn answers(&mut self, step_up: StepUp) {
        if let Some(running) = self.0.last_mut() {
            running.step_up = Some(Box::new(step_up));
        }
    }

    /// Notes for what the newest renewal gets an access token.
    pub(super) fn gets_other(&mut self, request: Arc<OtherRequest>) {
        if let Some(running) = self.0.last_mut() {
            running.other = Some(request);
        }
    }

    /// Returns for what a renewal gets an access token, if it is not the session's own.
    pub(super) fn other(&self, epoch: u64) -> Option<&Arc<OtherRequest>> {
        self.0.iter().find(|running| running.epoch == epoch)?.other.as_ref()
    }

    /// Returns the challenge that a renewal answers, if it does.
    pub(super) fn step_up(&self, epoch: u64) -> Option<&StepUp> {
        self.0.iter().find(|running| running.epoch == epoch)?.step_up.as_deref()
    }

    /// Notes that a renewal takes a step, which may take `timeout`.
    pub(super) fn advance(&mut self, epoch: u64, step: Step, timeout: Duration) {
        if let Some(running) = self.0.iter_mut().find(|running| running.epoch == epoch) {
            running.step = step;
            running.sent_login |= step == Step::Sending(Action::Login);
            running.sent_refresh |= step == Step::Sending(Action::Refresh);
            running.deadline = far_future(timeout);
        }
    }

    /// Removes a renewal. Returns `None` if it was given up before.
    pub(super) fn end(&mut self, epoch: u64) -> Option<Running<P>> {
        let index = self.0.iter().position(|running| running.epoch == epoch)?;
        let ended = self.0.remove(index);
        // The room that a vector keeps is more than an idle session takes.
        self.0.shrink_to_fit();
        Some(ended)
    }

    /// Returns when the present step of a renewal is given up, unless the renewal has ended.
    pub(super) fn deadline(&self, epoch: u64) -> Option<Instant> {
        self.0.iter().find(|running| running.epoch == epoch).map(|running| running.deadline)
    }

    /// Returns the present step of a renewal, unless the renewal has ended.
    pub(super) fn step(&self, epoch: u64) -> Option<Step> {
        self.0.iter().find(|running| running.epoch == epoch).map(|running| running.step)
    }

    /// Returns whether a renewal has sent a login.
    pub(super) fn has_sent_login(&self, epoch: u64) -> bool {
        self.0.iter().any(|running| running.epoch == epoch && running.sent_login)
    }

    /// Returns the newest renewal whose task has not ended.
    pub(super) fn newest(&self) -> Option<PendingRenewal> {
        self.0.last().map(|running| running.sender.subscribe())
    }
}

/// How long the task of a renewal may take to start. A runtime that is not parked starts it at
/// once.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns when a step that begins now is given up. A time-out beyond what a clock can show counts
/// as a year.
fn far_future(timeout: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    Instant::now() + timeout.min(YEAR) + GRACE
}
