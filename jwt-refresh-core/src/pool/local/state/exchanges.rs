//! The jobs of a pool: logins and refreshes, when each is due and what follows from its outcome,
//! and revocations for accounts that were removed.

use std::sync::Arc;

use super::PoolState;
use crate::error::{Error, ErrorKind};
use crate::pool::account::NamedAuthenticator;
use crate::pool::limits::EndpointIndex;
use crate::pool::local::endpoint::Verdict;
use crate::pool::local::endpoints::DueExchange;
use crate::pool::local::entry::{AccountHandle, ExchangeState, TokenTimes};
use crate::pool::local::job::{Job, Request};
use crate::pool::local::rank::{Rank, Slot};
use crate::pool::local::slots::Priority;
use crate::pool::local::time::{LONG_AGO, NEVER, after};
use crate::pool::policy::PoolPolicy;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::refresh_time::jittered_refresh_time;
use crate::renewal::{IssuedTokens, Outcome, Plan, RefreshCredential};

impl PoolState {
    /// Plans the account's next exchange for the time `at`, or plans none. This does not change one
    /// that is under way.
    pub(super) fn plan_exchange(&mut self, slot: Slot, at: Option<i64>, now: i64) {
        let Some(entry) = self.table.get_mut(slot) else { return };
        match entry.exchange {
            ExchangeState::Running => return,
            ExchangeState::Due(priority) => {
                let due = entry.due_at(priority, slot);
                self.endpoints.remove(entry.limits.endpoint, due, now);
            }
            ExchangeState::Planned => {}
            #[cfg(feature = "redis")]
            ExchangeState::Supplied => return,
        }
        entry.exchange = ExchangeState::Planned;
        let is_failing = entry.failures > 0;
        entry.rare.change(|rare| rare.retry_at = at.filter(|_| is_failing));
        self.timers.set(slot, at.map(Rank::at));
        if at.is_some_and(|at| at <= now) {
            self.exchange_due(slot, now);
        }
        self.set_alarm(slot);
    }

    /// Notes that the account's exchange is due.
    pub(super) fn exchange_due(&mut self, slot: Slot, now: i64) {
        let Some(entry) = self.table.get_mut(slot).filter(|entry| !entry.is_supplied()) else { return };
        let due = entry.due_exchange(slot);
        entry.exchange = ExchangeState::Due(due.0);
        self.endpoints.push(entry.limits.endpoint, due, now);
        self.set_alarm(slot);
        self.wait_for_endpoint(slot, now);
    }

    /// Takes an account's token away. Its exchange, if one is due, is now among the first.
    pub(super) fn take_token(&mut self, slot: Slot, now: i64) {
        let Some(entry) = self.table.get_mut(slot).filter(|entry| entry.token.is_some()) else { return };
        let (endpoint, expires) = (entry.limits.endpoint, entry.times.expires);
        let moved = if let ExchangeState::Due(priority) = entry.exchange { Some(priority) } else { None };
        let from = moved.map(|priority| entry.due_at(priority, slot));
        entry.token = None;
        #[cfg(feature = "redis")]
        self.note_change(slot);
        let Some(entry) = self.table.get(slot) else { return };
        let to = moved.map(|priority| entry.due_at(priority, slot));
        self.counters.token_removed(expires);
        if let (Some(from), Some(to)) = (from, to) {
            self.endpoints.remove(endpoint, from, now);
            self.endpoints.push(endpoint, to, now);
        }
    }

    /// Begins the next job, if one is due and the policy allows one more at once. Exchanges go
    /// before revocations for removed accounts.
    pub(in crate::pool::local) fn begin(&mut self, now: i64) -> Option<Job> {
        if let Some((due, endpoint)) = self.next_exchange() {
            return self.begin_exchange(due, endpoint, now);
        }
        if !self.may_revoke() {
            return None;
        }
        let job = self.pending_revocations.pop_front()?;
        self.slots.begin(job.priority);
        Some(job)
    }

    fn begin_exchange(&mut self, due: DueExchange, endpoint: EndpointIndex, now: i64) -> Option<Job> {
        let (priority, _, slot) = due;
        self.endpoints.begin(endpoint, due, now);
        self.slots.begin(priority);
        let entry = self.table.get_mut(slot)?;
        entry.exchange = ExchangeState::Running;
        let handle = AccountHandle { slot, serial: entry.serial };
        // The token after a renewal was rejected, too, so the next one is to come of a login.
        let is_distrusted = entry.token.is_none() && entry.rare.get().rejected_renewals > 0;
        let plan = if is_distrusted { Plan::LogIn } else { Plan::Renew };
        let request = Request::Exchange(handle, entry.credential(), plan);
        let (identity, failures) = (Arc::clone(&entry.identity), entry.failures);
        let waits = entry.quarantine().filter(|quarantine| !quarantine.cause.is_rest() && quarantine.until.is_some());
        if let Some(quarantine) = waits.cloned() {
            // New tokens are on their way, so callers may wait for them.
            self.set_quarantine(slot, Some(Quarantine { until: None, ..quarantine }));
        }
        self.set_alarm(slot);
        Some(Job::new(identity, request, (priority, endpoint), failures, now))
    }

    /// Returns whether a job may begin now.
    pub(super) fn may_begin(&self) -> bool {
        self.next_exchange().is_some() || self.may_revoke()
    }

    fn next_exchange(&self) -> Option<(DueExchange, EndpointIndex)> {
        if !self.lifecycle.is_open() {
            return None;
        }
        self.endpoints.first(|priority| self.slots.is_free(priority))
    }

    fn may_revoke(&self) -> bool {
        self.lifecycle.may_revoke() && !self.pending_revocations.is_empty() && self.slots.is_free(Priority::Revocation)
    }

    /// Plans the revocation of the refresh token of an account that was removed.
    pub(super) fn revoke_later(
        &mut self,
        identity: &Arc<dyn NamedAuthenticator>,
        endpoint: EndpointIndex,
        credential: RefreshCredential,
    ) {
        if credential != RefreshCredential::None || identity.stored().is_some() {
            let (identity, request) = (Arc::clone(identity), Request::Revocation(credential));
            let kind = (Priority::Revocation, endpoint);
            self.lifecycle.count_revocation();
            self.pending_revocations.push_back(Job::new(identity, request, kind, 0, LONG_AGO));
        }
    }

    /// Takes the revocations that were not begun, for when the pool ends.
    pub(in crate::pool::local) fn take_pending_revocations(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.pending_revocations).into()
    }

    /// Ends a job. `outcome` is the outcome of an exchange, and `None` for a revocation. If the job
    /// was given up before, only the tokens that it has brought are left to do something about:
    /// nobody uses them.
    pub(in crate::pool::local) fn complete(
        &mut self,
        job: &Job,
        outcome: Option<Outcome>,
        policy: &PoolPolicy,
        now: i64,
    ) {
        if !job.complete() {
            let credential = outcome.and_then(|outcome| outcome.new_credential(job.credential()));
            return self.revoke_later(&job.identity, job.endpoint, credential.unwrap_or_default());
        }
        self.slots.end(job.priority);
        self.milestones += 1;
        let (&Request::Exchange(handle, ..), Some(outcome)) = (&job.request, outcome) else { return };
        let verdict = Verdict::of(&outcome);
        let was_left_alone = self.endpoints.left_alone(job.endpoint).is_some();
        self.endpoints.end(job.endpoint, (handle.slot, job.begun), verdict, policy, now);
        self.tell_endpoint(job.endpoint, was_left_alone, now);
        let is_of_endpoint = verdict.is_failure();
        let Some(entry) = self.table.by_handle(handle) else {
            return self.revoke_later(&job.identity, job.endpoint, outcome.into_credential());
        };
        entry.exchange = ExchangeState::Planned;
        match outcome {
            Outcome::Renewed(issued) | Outcome::Unsaved(issued) | Outcome::Found(issued) => {
                self.renewed(handle.slot, issued, now);
            }
            Outcome::Failed { error, credential, .. } => {
                let left_alone = self.endpoints.left_alone(job.endpoint).filter(|_| is_of_endpoint);
                let retry_at = left_alone.map(|(until, _)| until);
                self.failed(handle.slot, &error, credential, retry_at, policy, now);
            }
            Outcome::LoggedOut => self.logged_out(handle.slot, policy, now),
        }
    }

    /// Stores new tokens, and ends a quarantine that they can end.
    pub(super) fn renewed(&mut self, slot: Slot, issued: IssuedTokens, now: i64) {
        self.last_generation += 1;
        let Some(entry) = self.table.get_mut(slot) else { return };
        let IssuedTokens { token, life, credential, sequence, .. } = issued;
        // In a store the account's tokens have numbers by which all processes know them.
        let generation = if entry.identity.stored().is_some() { sequence } else { self.last_generation };
        let token = token.issued(life.expires.wall, generation);
        let old_expires = entry.token.replace(token).map(|_| entry.times.expires);
        let [ahead, due, expires] = [life.ahead, life.due, life.expires].map(|moment| moment.boot.as_nanos());
        entry.times = TokenTimes { due, expires };
        entry.set_credential(credential);
        if !std::mem::replace(&mut entry.has_joined, true) {
            self.slots.account_joined();
        }
        if entry.failures > 0 {
            self.endpoints.fails_no_more(entry.limits.endpoint, now);
        }
        (entry.failures, entry.used) = (0, 0);
        entry.rare.change(|rare| rare.last_error = None);
        let cause = entry.rare.get().cause();
        if cause == Some(QuarantineCause::Rejected) {
            entry.rare.change(|rare| rare.renewed_after_rejection = now);
        }
        if let Some(expires) = old_expires {
            self.counters.token_removed(expires);
        }
        self.counters.token_issued(expires);
        #[cfg(feature = "redis")]
        self.note_change(slot);
        self.plan_exchange(slot, (ahead != NEVER).then(|| jittered_refresh_time(ahead, expires, now)), now);
        // New tokens bring back neither rate nor quota, so a rest goes on.
        if cause.is_some_and(|cause| !cause.is_rest()) {
            self.set_quarantine(slot, None);
        }
        self.dispatch(slot, now);
    }

    /// Takes an account out of service that another process has logged out in the store. Its token
    /// is not served any more.
    fn logged_out(&mut self, slot: Slot, policy: &PoolPolicy, now: i64) {
        self.take_token(slot, now);
        if self.table.get(slot).is_some_and(|entry| entry.quarantine().is_none()) {
            self.renew_now(slot, QuarantineCause::Denied, now);
        }
        let error = Error::new(ErrorKind::LoggedOut, "another process has logged the account out in the store");
        self.failed(slot, &error, RefreshCredential::None, None, policy, now);
    }

    /// Plans the next exchange after a failure: for `retry_at`, when the endpoint may be tried
    /// again that is left alone for the failure, else after a pause of the account's own. An
    /// account that is in quarantine for new tokens stays there until then; other accounts go on as
    /// before.
    fn failed(
        &mut self,
        slot: Slot,
        error: &Error,
        credential: RefreshCredential,
        retry_at: Option<i64>,
        policy: &PoolPolicy,
        now: i64,
    ) {
        let Some(entry) = self.table.get_mut(slot) else { return };
        entry.set_credential(credential);
        if entry.failures == 0 {
            self.endpoints.begins_to_fail(entry.limits.endpoint, now);
        }
        entry.failures = entry.failures.saturating_add(1);
        entry.rare.change(|rare| rare.last_error = Some(error.clone()));
        let pause = || after(now, policy.failure_pause(error, entry.failures));
        // Without a login there is nothing to try again.
        let until = if error.lacks_login() { NEVER } else { retry_at.unwrap_or_else(pause) };
        let cause = entry.rare.get().cause().filter(|cause| !cause.is_rest());
        let lives = entry.token.is_some() && now < entry.times.expires;
        self.plan_exchange(slot, Some(until).filter(|&until| until != NEVER), now);
        if !error.is_transient() {
            self.tell_denied(slot, error);
        }
        match cause {
            // It was taken out in the leeway, to wait for new tokens. There are none, so the old
            // ones serve until they expire.
            Some(QuarantineCause::Expired) if lives => self.set_quarantine(slot, None),
            Some(cause) => {
                let cause = match cause {
                    _ if error.lacks_login() => QuarantineCause::NoLogin,
                    cause if error.is_transient() => cause,
                    _ => QuarantineCause::Denied,
                };
                self.set_quarantine(slot, Some(Quarantine { cause, until: Some(until), error: Some(error.clone()) }));
            }
            None => {}
        }
        self.dispatch(slot, now);
    }
}
