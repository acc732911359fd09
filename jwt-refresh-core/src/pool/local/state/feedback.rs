//! What the holders of leases report about their accounts.

use std::time::Duration;

use super::PoolState;
use crate::error::{Error, ErrorKind};
use crate::pool::local::entry::AccountHandle;
use crate::pool::local::lease_timeouts::{LeaseCharge, LeaseId};
use crate::pool::local::rank::Slot;
use crate::pool::local::rare::RareState;
use crate::pool::local::time::{LONG_AGO, after};
use crate::pool::policy::PoolPolicy;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::renewal::RefreshCredential;
use crate::token::AccessToken;

impl PoolState {
    /// Takes a lease back, unless it has timed out: then its place may be another lease's by now.
    pub(in crate::pool::local) fn release(&mut self, id: LeaseId, lease: LeaseCharge, now: i64) {
        if self.lease_timeouts.given_back(id) {
            self.end_lease(lease, now);
        }
    }

    /// Returns whether a lease that was not given back has not timed out.
    pub(in crate::pool::local) fn is_held(&self, id: LeaseId) -> bool {
        self.lease_timeouts.is_held(id)
    }

    /// Takes the leases back that have timed out.
    pub(super) fn end_timed_out(&mut self, now: i64) {
        while self.lease_timeouts.next_due().is_some_and(|time| time <= now) && self.take_step() {
            let Some(lease) = self.lease_timeouts.pop_due(now) else { return };
            self.counters.leases_timed_out += 1;
            self.end_lease(lease, now);
        }
    }

    /// Ends a lease, and gives its account to the next waiter.
    fn end_lease(&mut self, lease: LeaseCharge, now: i64) {
        let LeaseCharge { handle, group, cost, .. } = lease;
        self.counters.held -= 1;
        #[cfg(feature = "redis")]
        self.use_ended(lease.tag);
        self.end_shared(group, cost, now);
        if let Some(entry) = self.table.by_handle(handle) {
            entry.held = entry.held.saturating_sub(1);
            self.end_own(handle.slot, cost, now);
            self.tell_drained(handle.slot);
            #[cfg(feature = "redis")]
            self.ended_elsewhere(handle.slot);
            self.dispatch(handle.slot, now);
        }
    }

    /// Notes that a call succeeded that was leased at the time `leased`, with the token of that
    /// generation.
    pub(in crate::pool::local) fn succeeded(&mut self, handle: AccountHandle, generation: u64, leased: i64) {
        if let Some(entry) = self.table.by_handle(handle) {
            let holds = entry.holds(generation);
            entry.rare.change(|rare| {
                rare.strikes.succeeded(leased);
                if holds {
                    (rare.rejected_renewals, rare.renewed_after_rejection) = (0, LONG_AGO);
                }
            });
        }
    }

    /// Notes that the token of that generation was answered 401. The account does not serve until
    /// its token is renewed. If the token was renewed for the same reason within
    /// `renewed_again_window`, the account goes into quarantine instead.
    pub(in crate::pool::local) fn rejected(
        &mut self,
        handle: AccountHandle,
        generation: u64,
        policy: &PoolPolicy,
        now: i64,
    ) {
        let Some(entry) = self.table.by_handle(handle) else { return };
        #[cfg(feature = "redis")]
        if entry.is_supplied() {
            return self.supplied_rejected(handle.slot, generation, now);
        }
        let cause = entry.rare.get().cause();
        // A newer token may have come since the call was sent, or may be on its way.
        if !entry.holds(generation) || cause.is_some_and(|cause| !cause.is_rest()) {
            return;
        }
        if entry.token.as_ref().is_some_and(AccessToken::is_api_key) {
            return self.key_rejected(handle.slot);
        }
        let renewed_at = entry.rare.get().renewed_after_rejection;
        self.take_token(handle.slot, now);
        if cause.is_some() {
            // The account rests anyway, and will have a new token when it returns.
            return self.plan_exchange(handle.slot, Some(now), now);
        }
        if after(renewed_at, policy.renewed_again_window) <= now {
            if let Some(entry) = self.table.by_handle(handle) {
                entry.rare.change(|rare| rare.rejected_renewals = 0);
            }
            return self.renew_now(handle.slot, QuarantineCause::Rejected, now);
        }
        let Some(entry) = self.table.by_handle(handle) else { return };
        // The renewal did not help. The refresh token that it brought is not used: the next
        // exchange is a login.
        let rejected_renewals = entry.rare.change(|rare| {
            rare.rejected_renewals = rare.rejected_renewals.saturating_add(1);
            rare.rejected_renewals
        });
        entry.set_credential(RefreshCredential::None);
        let until = after(now, policy.quarantine_pause(rejected_renewals));
        let error = Error::new(
            ErrorKind::RejectedAsIssued,
            "the access token was rejected with 401, renewed, and rejected again",
        );
        self.plan_exchange(handle.slot, Some(until), now);
        self.set_quarantine(
            handle.slot,
            Some(Quarantine { cause: QuarantineCause::Rejected, until: Some(until), error: Some(error) }),
        );
    }

    /// Notes that a call was answered 429 that was leased at the time `leased`. The account is
    /// blocked until its rest is over. If that is longer than `max_inline_wait`, the account also
    /// goes into quarantine.
    pub(in crate::pool::local) fn rate_limited(
        &mut self,
        handle: AccountHandle,
        leased: i64,
        retry_after: Option<Duration>,
        policy: &PoolPolicy,
        now: i64,
    ) {
        let Some(entry) = self.table.by_handle(handle) else { return };
        let asked = retry_after.map(|asked| asked.min(policy.tokens.longest_retry_after));
        let strike = |rare: &mut RareState| rare.strikes.strike(leased, now, asked, policy.cool_down);
        let Some(until) = entry.rare.change(strike) else { return };
        entry.arrival = entry.limits.rate.block_until(entry.arrival, until);
        #[cfg(feature = "redis")]
        self.rests_elsewhere(handle.slot, QuarantineCause::RateLimited, until);
        if until > after(now, policy.max_inline_wait) {
            self.start_rest(handle.slot, QuarantineCause::RateLimited, until);
        }
        self.place(handle.slot, now);
    }

    /// Notes that the account's quota is used up until the time `until`.
    pub(in crate::pool::local) fn quota_used_up(&mut self, handle: AccountHandle, until: i64) {
        if self.table.by_handle(handle).is_some() {
            self.start_rest(handle.slot, QuarantineCause::QuotaUsedUp, until);
        }
    }

    /// Lets an account rest until the time `until`, unless it is in quarantine for new tokens or
    /// rests for longer already.
    pub(super) fn start_rest(&mut self, slot: Slot, cause: QuarantineCause, until: i64) {
        #[cfg(feature = "redis")]
        if self.covers_rest(slot, cause, until) || self.rests_elsewhere(slot, cause, until) {
            return;
        }
        let Some(entry) = self.table.get(slot) else { return };
        let may_rest = entry
            .quarantine()
            .is_none_or(|quarantine| quarantine.cause.is_rest() && quarantine.until.is_none_or(|other| other < until));
        if may_rest {
            self.set_quarantine(slot, Some(Quarantine { cause, until: Some(until), error: None }));
        }
    }
}
