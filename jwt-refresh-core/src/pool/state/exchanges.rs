//! The logins and refreshes of a pool: when each is due, and what comes of it.

use std::sync::Arc;

use super::{NEVER, State, after};
use crate::pool::identity::Identity;
use crate::pool::member::{Edges, Id};
use crate::pool::policy::PoolPolicy;
use crate::pool::quarantine::{Cause, Quarantine};
use crate::pool::schedule::{Rank, Slot};
use crate::session::{Grant, Holding, Landing};
use crate::{Error, ErrorKind};

/// An exchange to be made.
pub(in crate::pool) struct Job {
    pub(in crate::pool) id: Id,
    pub(in crate::pool) identity: Arc<dyn Identity>,
    pub(in crate::pool) grant: Grant,
}

impl State {
    pub(super) fn set_timer(&mut self, slot: Slot, time: Option<i64>) {
        self.timers.set(slot, time.map(Rank::at));
    }

    /// The next exchange that is due, if there may be one more.
    pub(in crate::pool) fn begin_exchange(&mut self, policy: &PoolPolicy, now: i64) -> Option<Job> {
        if self.exchanges >= policy.exchanges {
            return None;
        }
        let slot = self.timers.ripe(now)?;
        self.set_timer(slot, None);
        let member = self.table.at_mut(slot)?;
        member.in_exchange = true;
        let job = Job {
            id: Id { slot, serial: member.serial },
            identity: Arc::clone(&member.identity),
            grant: member.grant(),
        };
        self.exchanges += 1;
        Some(job)
    }

    /// Ends an exchange.
    pub(in crate::pool) fn land(&mut self, id: Id, landing: Landing, policy: &PoolPolicy, now: i64) {
        self.exchanges = self.exchanges.saturating_sub(1);
        if self.table.member(id).is_none() {
            return;
        }
        match landing {
            Landing::Renewed(holding) | Landing::Unsaved(holding) => self.renewed(id.slot, holding, now),
            Landing::Failed { error, grant, .. } => self.failed(id.slot, &error, grant, policy, now),
            // There is nobody else who could.
            Landing::LoggedOut => {
                let error = Error::new(ErrorKind::LoggedOut, "the account was logged out");
                self.failed(id.slot, &error, Grant::None, policy, now);
            }
        }
    }

    fn renewed(&mut self, slot: Slot, holding: Holding, now: i64) {
        self.issued += 1;
        let generation = self.issued;
        let Some(member) = self.table.at_mut(slot) else { return };
        let Holding { token, life, grant, .. } = holding;
        let token = token.issued(life.expires.wall, generation);
        let old = member.token.replace(token).map(|_| member.edges.expires);
        let [ahead, due, expires] = [life.ahead, life.due, life.expires].map(|edge| edge.boot.as_nanos());
        member.edges = Edges { due, expires };
        member.set_grant(grant);
        member.in_exchange = false;
        (member.failures, member.used) = (0, 0);
        let cause = member.quarantine.as_ref().map(|found| found.cause);
        if cause == Some(Cause::Rejected) {
            member.renewed_after_rejection = now;
        }
        if let Some(old) = old {
            self.tally.token_gone(old);
        }
        self.tally.token_come(expires);
        self.set_timer(slot, (ahead != NEVER).then(|| earlier(ahead, expires, now)));
        // New tokens bring back neither rate nor quota.
        if cause.is_some_and(|cause| !cause.is_rest()) {
            self.confine(slot, None);
        }
        self.seat(slot, now);
    }

    fn failed(&mut self, slot: Slot, error: &Error, grant: Grant, policy: &PoolPolicy, now: i64) {
        let Some(member) = self.table.at_mut(slot) else { return };
        member.set_grant(grant);
        member.in_exchange = false;
        member.failures = member.failures.saturating_add(1);
        let is_final = !error.is_transient();
        let pause = if is_final {
            policy.quarantine_pause(member.failures)
        } else {
            policy.tokens.pause(u32::from(member.failures), error.retry_after())
        };
        let until = after(now, pause);
        let confined = member.quarantine.as_ref().map(|found| found.cause).filter(|cause| !cause.is_rest());
        self.set_timer(slot, Some(until));
        if let Some(cause) = confined {
            let cause = if is_final { Cause::Denied } else { cause };
            self.confine(slot, Some(Quarantine { cause, until: Some(until), error: Some(error.clone()) }));
        }
        self.settle(slot, now);
    }
}

/// A time at random before `ahead`: at most by the window from there until the token expires, and not within the first half of its
/// life. Accounts that logged in together are not refreshed together then.
fn earlier(ahead: i64, expires: i64, now: i64) -> i64 {
    let window = expires.saturating_sub(ahead).min(ahead.saturating_sub(now.midpoint(expires))).max(0);
    ahead - fastrand::i64(0..=window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_are_spread_over_the_window_before_and_never_into_the_first_half_of_a_life() {
        for (ahead, expires, earliest) in [(900, 1000, 800), (600, 1000, 500), (500, 1000, 500), (400, 1000, 400)] {
            let times: Vec<_> = (0..10_000).map(|_| earlier(ahead, expires, 0)).collect();
            assert_eq!((times.iter().min(), times.iter().max()), (Some(&earliest), Some(&ahead)));
        }
    }
}
