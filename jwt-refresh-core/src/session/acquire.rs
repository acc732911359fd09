//! How a caller gets a token: the current one, or a new one from a renewal.

use std::sync::Arc;

use super::pending::{PendingRenewal, RenewalResult};
use super::shared::{RenewalRuntime, SessionShared};
use super::state::RenewalPermit;
use super::state_cell::Acquisition;
use super::task;
use crate::error::{Error, ErrorKind};
use crate::renewal::Plan;
use crate::token::AccessToken;
use crate::{renewal, runtime};

impl SessionShared {
    /// Returns a fresh token, from a renewal if one is needed. The renewal begins when this is
    /// called; the future only waits.
    pub(super) fn fresh(self: &Arc<Self>) -> impl Future<Output = Result<AccessToken, Error>> + use<> {
        let acquired = self.acquire();
        let shared = Arc::clone(self);
        async move {
            let mut acquired = acquired?;
            loop {
                let pending = match acquired {
                    Ok(token) => return Ok(token),
                    Err(pending) => pending,
                };
                shared.telemetry.waited();
                if let Some(result) = shared.wait(pending).await {
                    return result;
                }
                acquired = shared.acquire()?;
            }
        }
    }

    /// Waits for a renewal, or until half of the time has passed that a live token has left, and
    /// then returns that token. Returns `None` if the caller has to look at the state again.
    async fn wait(&self, pending: PendingRenewal) -> Option<Result<AccessToken, Error>> {
        let longest = self.cell.lock().longest_wait(self.cell.clock.moment());
        let Some((token, until)) = longest else { return pending.result().await.token() };
        tokio::select! {
            biased;
            result = pending.result() => result.token(),
            () = runtime::sleep_until(&self.cell.clock, until) => Some(Ok(token)),
        }
    }

    /// Renews now, whatever tokens the session has. The renewal begins when this is called; the
    /// future only waits. One that is under way is joined, unless it is for another access token:
    /// then this begins after it.
    pub(super) fn renew_now(self: &Arc<Self>, plan: Plan) -> impl Future<Output = Result<AccessToken, Error>> + use<> {
        let begun = self.begin_now(plan);
        let shared = Arc::clone(self);
        async move {
            let mut begun = begun?;
            loop {
                match begun.result().await {
                    RenewalResult::OfOther(_) => begun = shared.begin_now(plan)?,
                    result => return result.success(),
                }
            }
        }
    }

    fn begin_now(self: &Arc<Self>, plan: Plan) -> Result<PendingRenewal, Error> {
        if renewal::is_within(self.id) {
            return Err(reentrant());
        }
        let runtime = self.runtime()?;
        match self.cell.begin_now(plan)? {
            Ok(permit) => Ok(self.launch(permit, &runtime)),
            Err(under_way) => Ok(under_way),
        }
    }

    /// Returns a token, or the renewal to wait for.
    pub(super) fn acquire(self: &Arc<Self>) -> Result<Result<AccessToken, PendingRenewal>, Error> {
        match self.cell.acquire(|| self.runtime())? {
            Acquisition::Serve(token) => Ok(Ok(token)),
            Acquisition::Wait(_) if renewal::is_within(self.id) => Err(reentrant()),
            // Not in a fork of the process, which has no thread that could end the wait.
            Acquisition::Wait(pending) => runtime::handle().map(|_| Err(pending)),
            Acquisition::Launch(permit, runtime, live) => {
                let pending = self.launch(permit, &runtime);
                // A short program could end before a refresh in the background has, which would
                // cost a login at the next start. So its first caller waits for the refresh.
                let live = live.filter(|_| !self.may_be_a_script() || renewal::is_within(self.id));
                Ok(live.ok_or(pending))
            }
        }
    }

    /// Launches a renewal. Called after the lock is released: a runtime that was shut down drops
    /// the task at once, and the task's guard then takes the lock to complete the renewal.
    pub(super) fn launch(self: &Arc<Self>, permit: RenewalPermit, runtime: &RenewalRuntime) -> PendingRenewal {
        let pending = permit.pending.clone();
        task::spawn(self, permit, runtime);
        pending
    }
}

fn reentrant() -> Error {
    Error::new(ErrorKind::Reentrant, "a login or refresh asked its own session for a token, and would wait for itself")
}
