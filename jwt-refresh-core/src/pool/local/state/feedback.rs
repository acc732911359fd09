//! What the holders of leases say of their accounts.

use std::time::Duration;

use super::PoolState;
use crate::error::{Error, ErrorKind};
use crate::pool::local::entry::AccountHandle;
use crate::pool::local::rank::Slot;
use crate::pool::local::time::{LONG_AGO, after};
use crate::pool::policy::PoolPolicy;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::renewal::RefreshCredential;

impl PoolState {
    pub(in crate::pool::local) fn release(&mut self, handle: AccountHandle, now: i64) {
        if let Some(entry) = self.table.entry(handle) {
            entry.held = entry.held.saturating_sub(1);
            self.dispatch(handle.slot, now);
        }
    }

    pub(in crate::pool::local) fn fine(&mut self, handle: AccountHandle, generation: u64) {
        if let Some(entry) = self.table.entry(handle) {
            entry.strikes = 0;
            if entry.holds(generation) {
                entry.relapses = 0;
                entry.renewed_after_rejection = LONG_AGO;
            }
        }
    }

    pub(in crate::pool::local) fn rejected(
        &mut self,
        handle: AccountHandle,
        generation: u64,
        policy: &PoolPolicy,
        now: i64,
    ) {
        let Some(entry) = self.table.entry(handle) else { return };
        let cause = entry.quarantine.as_ref().map(|found| found.cause);
        // A newer token may have come since the call was sent, or be on its way.
        if !entry.holds(generation) || cause.is_some_and(|cause| !cause.is_rest()) {
            return;
        }
        entry.token = None;
        let (renewed, in_exchange, expires) = (entry.renewed_after_rejection, entry.in_exchange, entry.edges.expires);
        self.counters.token_gone(expires);
        if cause.is_some() {
            // It rests anyway, and has a new token when it returns.
            return self.set_timer(handle.slot, Some(now).filter(|_| !in_exchange));
        }
        if after(renewed, policy.renewed_again_window) <= now {
            if let Some(entry) = self.table.entry(handle) {
                entry.relapses = 0;
            }
            return self.renew_now(handle.slot, QuarantineCause::Rejected, now);
        }
        let Some(entry) = self.table.entry(handle) else { return };
        // The renewal did not help. What it brought is not used again: a login starts afresh.
        entry.relapses = entry.relapses.saturating_add(1);
        entry.set_credential(RefreshCredential::None);
        let until = after(now, policy.quarantine_pause(entry.relapses));
        let error = Error::new(
            ErrorKind::RejectedAsIssued,
            "the access token was rejected with 401, renewed, and rejected again",
        );
        self.set_timer(handle.slot, Some(until));
        self.set_quarantine(
            handle.slot,
            Some(Quarantine { cause: QuarantineCause::Rejected, until: Some(until), error: Some(error) }),
        );
    }

    pub(in crate::pool::local) fn rate_limited(
        &mut self,
        handle: AccountHandle,
        retry_after: Option<Duration>,
        policy: &PoolPolicy,
        now: i64,
    ) {
        let Some(entry) = self.table.entry(handle) else { return };
        let rest = if let Some(asked) = retry_after {
            asked.min(policy.tokens.longest_retry_after)
        } else {
            entry.strikes = entry.strikes.saturating_add(1);
            policy.rest(entry.strikes)
        };
        let until = after(now, rest);
        entry.arrival = entry.limits.limit.closed_until(entry.arrival, until);
        if rest > policy.max_inline_wait {
            self.rest(handle.slot, QuarantineCause::RateLimited, until);
        }
        self.place(handle.slot, now);
    }

    pub(in crate::pool::local) fn quota_used_up(&mut self, handle: AccountHandle, until: i64) {
        if self.table.entry(handle).is_some() {
            self.rest(handle.slot, QuarantineCause::QuotaUsedUp, until);
        }
    }

    /// Lets an account rest, unless it cannot serve anyway, or rests for longer.
    fn rest(&mut self, slot: Slot, cause: QuarantineCause, until: i64) {
        let Some(entry) = self.table.at(slot) else { return };
        let may = entry
            .quarantine
            .as_ref()
            .is_none_or(|found| found.cause.is_rest() && found.until.is_none_or(|other| other < until));
        if may {
            self.set_quarantine(slot, Some(Quarantine { cause, until: Some(until), error: None }));
        }
    }
}
