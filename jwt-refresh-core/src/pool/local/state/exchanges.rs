//! The jobs of a pool: logins and refreshes, when each is due and what follows from its outcome,
//! and revocations for accounts that were removed.

use std::sync::Arc;

use super::PoolState;
use crate::error::{Error, ErrorKind};
use crate::pool::account::NamedAuthenticator;
use crate::pool::local::entry::{AccountHandle, TokenTimes};
use crate::pool::local::job::{Job, Request};
use crate::pool::local::rank::{Rank, Slot};
use crate::pool::local::time::{LONG_AGO, NEVER, after};
use crate::pool::policy::PoolPolicy;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::refresh_time::jittered_refresh_time;
use crate::renewal::{IssuedTokens, Outcome, Plan, RefreshCredential};

impl PoolState {
    /// Sets when the account's tokens are to be exchanged, or that they are not if `time` is
    /// `None`.
    pub(super) fn set_timer(&mut self, slot: Slot, time: Option<i64>) {
        self.timers.set(slot, time.map(Rank::at));
    }

    /// Begins the next job, if one is due and the policy allows one more at once. Exchanges go
    /// before revocations for removed accounts.
    pub(in crate::pool::local) fn begin(&mut self, policy: &PoolPolicy, now: i64) -> Option<Job> {
        if self.running_jobs >= policy.exchanges {
            return None;
        }
        let job = self.due(now).or_else(|| self.pending_revocations.pop_front())?;
        self.running_jobs += 1;
        Some(job)
    }

    /// Begins the next login or refresh that is due.
    fn due(&mut self, now: i64) -> Option<Job> {
        let slot = self.timers.due(now)?;
        self.set_timer(slot, None);
        let entry = self.table.get_mut(slot)?;
        entry.in_exchange = true;
        let handle = AccountHandle { slot, serial: entry.serial };
        // The token after a renewal was rejected, too, so the next one is to come of a login.
        let is_distrusted = entry.token.is_none() && entry.rare.get().rejected_renewals > 0;
        let plan = if is_distrusted { Plan::LogIn } else { Plan::Renew };
        let request = Request::Exchange(handle, entry.credential(), plan);
        Some(Job { identity: Arc::clone(&entry.identity), request, failures: entry.failures })
    }

    /// Returns when the next job may begin, or `None` if none is planned or as many are under way
    /// as the policy allows.
    pub(super) fn next_exchange(&self, policy: &PoolPolicy) -> Option<i64> {
        if self.running_jobs >= policy.exchanges {
            return None;
        }
        if self.pending_revocations.is_empty() { self.timers.next_due() } else { Some(LONG_AGO) }
    }

    /// Plans the revocation of the refresh token of an account that was removed.
    pub(super) fn revoke_later(&mut self, identity: &Arc<dyn NamedAuthenticator>, credential: RefreshCredential) {
        if credential != RefreshCredential::None || identity.stored().is_some() {
            let request = Request::Revocation(credential);
            self.pending_revocations.push_back(Job { identity: Arc::clone(identity), request, failures: 0 });
        }
    }

    /// Takes the revocations that were not begun, for when the pool ends.
    pub(in crate::pool::local) fn take_pending_revocations(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.pending_revocations).into()
    }

    /// Ends a job. `outcome` is the outcome of an exchange, and `None` for a revocation.
    pub(in crate::pool::local) fn complete(
        &mut self,
        job: &Job,
        outcome: Option<Outcome>,
        policy: &PoolPolicy,
        now: i64,
    ) {
        self.running_jobs = self.running_jobs.saturating_sub(1);
        let (&Request::Exchange(handle, ..), Some(outcome)) = (&job.request, outcome) else { return };
        if self.table.by_handle(handle).is_none() {
            return self.revoke_later(&job.identity, outcome.into_credential());
        }
        match outcome {
            Outcome::Renewed(issued) | Outcome::Unsaved(issued) | Outcome::Found(issued) => {
                self.renewed(handle.slot, issued, now);
            }
            Outcome::Failed { error, credential, .. } => self.failed(handle.slot, &error, credential, policy, now),
            Outcome::LoggedOut => self.logged_out(handle.slot, policy, now),
        }
    }

    /// Stores new tokens, and ends a quarantine that they can end.
    pub(super) fn renewed(&mut self, slot: Slot, issued: IssuedTokens, now: i64) {
        self.last_generation += 1;
        let generation = self.last_generation;
        let Some(entry) = self.table.get_mut(slot) else { return };
        let IssuedTokens { token, life, credential, .. } = issued;
        let token = token.issued(life.expires.wall, generation);
        let old_expires = entry.token.replace(token).map(|_| entry.times.expires);
        let [ahead, due, expires] = [life.ahead, life.due, life.expires].map(|moment| moment.boot.as_nanos());
        entry.times = TokenTimes { due, expires };
        entry.set_credential(credential);
        entry.in_exchange = false;
        (entry.failures, entry.used) = (0, 0);
        let cause = entry.rare.get().cause();
        if cause == Some(QuarantineCause::Rejected) {
            entry.rare.change(|rare| rare.renewed_after_rejection = Some(now));
        }
        if let Some(expires) = old_expires {
            self.counters.token_removed(expires);
        }
        self.counters.token_issued(expires);
        self.set_timer(slot, (ahead != NEVER).then(|| jittered_refresh_time(ahead, expires, now)));
        // New tokens bring back neither rate nor quota, so a rest goes on.
        if cause.is_some_and(|cause| !cause.is_rest()) {
            self.set_quarantine(slot, None);
        }
        self.dispatch(slot, now);
    }

    /// Takes an account out of service that another process has logged out in the store. Its token
    /// is not served any more.
    fn logged_out(&mut self, slot: Slot, policy: &PoolPolicy, now: i64) {
        let Some(entry) = self.table.get_mut(slot) else { return };
        if entry.token.take().is_some() {
            self.counters.token_removed(entry.times.expires);
        }
        if entry.quarantine().is_none() {
            self.renew_now(slot, QuarantineCause::Denied, now);
        }
        let error = Error::new(ErrorKind::LoggedOut, "another process has logged the account out in the store");
        self.failed(slot, &error, RefreshCredential::None, policy, now);
    }

    /// Plans the next exchange after a failure. An account that is in quarantine for new tokens
    /// stays there until then; other accounts go on as before.
    fn failed(&mut self, slot: Slot, error: &Error, credential: RefreshCredential, policy: &PoolPolicy, now: i64) {
        let Some(entry) = self.table.get_mut(slot) else { return };
        entry.set_credential(credential);
        entry.in_exchange = false;
        entry.failures = entry.failures.saturating_add(1);
        let until = after(now, policy.failure_pause(error, entry.failures));
        let cause = entry.rare.get().cause().filter(|cause| !cause.is_rest());
        // Without a login there is nothing to try again.
        let (cause, until) =
            if error.lacks_login() { (cause.map(|_| QuarantineCause::NoLogin), NEVER) } else { (cause, until) };
        self.set_timer(slot, Some(until).filter(|&until| until != NEVER));
        if let Some(cause) = cause {
            let cause = if error.is_transient() || cause.is_final() { cause } else { QuarantineCause::Denied };
            self.set_quarantine(slot, Some(Quarantine { cause, until: Some(until), error: Some(error.clone()) }));
        }
        self.place(slot, now);
    }
}
