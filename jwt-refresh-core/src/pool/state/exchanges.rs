//! What a pool says to servers: logins and refreshes, when each is due and what comes of it, and revocations for accounts that were
//! removed.

use std::sync::Arc;

use super::super::spread::earlier;
use super::{LONG_AGO, NEVER, State, after};
use crate::pool::identity::Identity;
use crate::pool::member::{Edges, Id};
use crate::pool::policy::PoolPolicy;
use crate::pool::quarantine::{Cause, Quarantine};
use crate::pool::schedule::{Rank, Slot};
use crate::session::{Grant, Holding, Landing};
use crate::{Error, ErrorKind, RefreshToken};

/// Something to be said to a server.
pub(in crate::pool) struct Job {
    pub(in crate::pool) identity: Arc<dyn Identity>,
    pub(in crate::pool) errand: Errand,
}

pub(in crate::pool) enum Errand {
    /// New tokens for an account.
    Exchange(Id, Grant),
    /// The refresh token of one that was removed is no longer wanted.
    Revocation(RefreshToken),
}

impl State {
    pub(super) fn set_timer(&mut self, slot: Slot, time: Option<i64>) {
        self.timers.set(slot, time.map(Rank::at));
    }

    /// What is to be said next, if there may be one more exchange. Those who stay go before those who left.
    pub(in crate::pool) fn begin(&mut self, policy: &PoolPolicy, now: i64) -> Option<Job> {
        if self.exchanges >= policy.exchanges {
            return None;
        }
        let job = self.due(now).or_else(|| self.partings.pop_front())?;
        self.exchanges += 1;
        Some(job)
    }

    /// The next login or refresh that is due.
    fn due(&mut self, now: i64) -> Option<Job> {
        let slot = self.timers.ripe(now)?;
        self.set_timer(slot, None);
        let member = self.table.at_mut(slot)?;
        member.in_exchange = true;
        let id = Id { slot, serial: member.serial };
        Some(Job { identity: Arc::clone(&member.identity), errand: Errand::Exchange(id, member.grant()) })
    }

    /// When there may be something to say next.
    pub(super) fn next_exchange(&self, policy: &PoolPolicy) -> Option<i64> {
        if self.exchanges >= policy.exchanges {
            return None;
        }
        if self.partings.is_empty() { self.timers.next() } else { Some(LONG_AGO) }
    }

    /// Has the refresh token of an account revoked that was removed.
    pub(super) fn part(&mut self, identity: &Arc<dyn Identity>, grant: Grant) {
        let (Grant::Sound(token) | Grant::Doubtful(token)) = grant else { return };
        self.partings.push_back(Job { identity: Arc::clone(identity), errand: Errand::Revocation(token) });
    }

    /// What is still to be said for accounts that were removed, when the pool ends.
    pub(in crate::pool) fn last_words(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.partings).into()
    }

    /// Ends a job: with what came of it, if it was an exchange.
    pub(in crate::pool) fn land(&mut self, job: &Job, landing: Option<Landing>, policy: &PoolPolicy, now: i64) {
        self.exchanges = self.exchanges.saturating_sub(1);
        let (&Errand::Exchange(id, _), Some(landing)) = (&job.errand, landing) else { return };
        if self.table.member(id).is_none() {
            return self.part(&job.identity, left(landing));
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

/// What an account is left with that was removed in the middle of an exchange.
fn left(landing: Landing) -> Grant {
    match landing {
        Landing::Renewed(holding) | Landing::Unsaved(holding) => holding.grant,
        Landing::Failed { grant, .. } => grant,
        Landing::LoggedOut => Grant::None,
    }
}
