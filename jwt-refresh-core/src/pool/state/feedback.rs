//! What the holders of leases say of their accounts.

use std::time::Duration;

use super::{LONG_AGO, State, after};
use crate::pool::member::Id;
use crate::pool::policy::PoolPolicy;
use crate::pool::quarantine::{Cause, Quarantine};
use crate::pool::schedule::Slot;
use crate::session::Grant;
use crate::{Error, ErrorKind};

impl State {
    pub(in crate::pool) fn release(&mut self, id: Id, now: i64) {
        if let Some(member) = self.table.member(id) {
            member.held = member.held.saturating_sub(1);
            self.seat(id.slot, now);
        }
    }

    pub(in crate::pool) fn fine(&mut self, id: Id, generation: u64) {
        if let Some(member) = self.table.member(id) {
            member.strikes = 0;
            if member.holds(generation) {
                member.relapses = 0;
                member.renewed_after_rejection = LONG_AGO;
            }
        }
    }

    pub(in crate::pool) fn rejected(&mut self, id: Id, generation: u64, policy: &PoolPolicy, now: i64) {
        let Some(member) = self.table.member(id) else { return };
        let cause = member.quarantine.as_ref().map(|found| found.cause);
        // A newer token may have come since the call was sent, or be on its way.
        if !member.holds(generation) || cause.is_some_and(|cause| !cause.is_rest()) {
            return;
        }
        member.token = None;
        let (renewed, in_exchange, expires) =
            (member.renewed_after_rejection, member.in_exchange, member.edges.expires);
        self.tally.token_gone(expires);
        if cause.is_some() {
            // It rests anyway, and has a new token when it returns.
            return self.set_timer(id.slot, Some(now).filter(|_| !in_exchange));
        }
        if after(renewed, policy.probation) <= now {
            if let Some(member) = self.table.member(id) {
                member.relapses = 0;
            }
            return self.renew_now(id.slot, Cause::Rejected, now);
        }
        let Some(member) = self.table.member(id) else { return };
        // The renewal did not help. What it brought is not used again: a login starts afresh.
        member.relapses = member.relapses.saturating_add(1);
        member.set_grant(Grant::None);
        let until = after(now, policy.quarantine_pause(member.relapses));
        let error = Error::new(
            ErrorKind::RejectedAsIssued,
            "the access token was rejected with 401, renewed, and rejected again",
        );
        self.set_timer(id.slot, Some(until));
        self.confine(id.slot, Some(Quarantine { cause: Cause::Rejected, until: Some(until), error: Some(error) }));
    }

    pub(in crate::pool) fn rate_limited(
        &mut self,
        id: Id,
        retry_after: Option<Duration>,
        policy: &PoolPolicy,
        now: i64,
    ) {
        let Some(member) = self.table.member(id) else { return };
        let rest = if let Some(asked) = retry_after {
            asked.min(policy.tokens.longest_retry_after)
        } else {
            member.strikes = member.strikes.saturating_add(1);
            policy.rest(member.strikes)
        };
        let until = after(now, rest);
        member.arrival = member.terms.limit.closed_until(member.arrival, until);
        if rest > policy.patience {
            self.rest(id.slot, Cause::RateLimited, until);
        }
        self.settle(id.slot, now);
    }

    pub(in crate::pool) fn quota_used_up(&mut self, id: Id, until: i64) {
        if self.table.member(id).is_some() {
            self.rest(id.slot, Cause::QuotaUsedUp, until);
        }
    }

    /// Lets an account rest, unless it cannot serve anyway, or rests for longer.
    fn rest(&mut self, slot: Slot, cause: Cause, until: i64) {
        let Some(member) = self.table.at(slot) else { return };
        let may = member
            .quarantine
            .as_ref()
            .is_none_or(|found| found.cause.is_rest() && found.until.is_none_or(|other| other < until));
        if may {
            self.confine(slot, Some(Quarantine { cause, until: Some(until), error: None }));
        }
    }
}
