//! What a user does by hand: looks at one account, takes it out of service and puts it back, and
//! closes the pool.

use super::PoolState;
use crate::error::Error;
use crate::pool::account_stats::AccountStats;
use crate::pool::close_report::CloseReport;
use crate::pool::failure;
use crate::pool::limit::Unit;
use crate::pool::local::entry::{AccountEntry, AccountHandle};
use crate::pool::local::lifecycle::{Closed, Lifecycle};
use crate::pool::local::time::{LONG_AGO, NEVER, until};
use crate::pool::policy::PoolPolicy;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::strikes::Strikes;

/// How far an account is drained.
pub(in crate::pool::local) enum DrainProgress {
    /// How many leases are held.
    Held(u32),
    /// It was put back into service.
    Lifted,
    Removed,
}

impl PoolState {
    /// Returns the account of that name.
    pub(in crate::pool::local) fn account(&self, name: &str) -> Option<(AccountHandle, &AccountEntry)> {
        let slot = self.table.find(name)?;
        let entry = self.table.get(slot)?;
        Some((AccountHandle { slot, serial: entry.serial }, entry))
    }

    /// Returns the figures of an account, unless it was removed.
    pub(in crate::pool::local) fn stats(
        &mut self,
        handle: AccountHandle,
        policy: &PoolPolicy,
        now: i64,
    ) -> Option<AccountStats> {
        self.table.by_handle(handle)?;
        let [remaining_calls, remaining_cost] =
            [Unit::Requests, Unit::Cost].map(|unit| self.left(handle.slot, unit, now));
        let entry = self.table.get(handle.slot)?;
        let rare = entry.rare.get();
        let expires = entry.token.as_ref().map(|_| entry.times.expires).filter(|expires| *expires != NEVER);
        Some(AccountStats {
            calls: entry.calls,
            held: entry.held,
            failures: entry.failures,
            strikes: rare.strikes.counted(now, policy.cool_down.1),
            remaining_calls,
            remaining_cost,
            expires_in: expires.map(|expires| until(now, expires)),
            quarantine: entry.quarantine().map(|quarantine| self.listed(entry, quarantine, now).named()),
            last_error: rare.last_error.clone(),
        })
    }

    /// Returns whether the pool still has the account.
    pub(in crate::pool::local) fn has(&mut self, handle: AccountHandle) -> bool {
        self.table.by_handle(handle).is_some()
    }

    /// Takes an account out of service until the time `until`, unless it is out for longer already.
    pub(in crate::pool::local) fn quarantine_by_hand(&mut self, handle: AccountHandle, until: i64, reason: Error) {
        let Some(entry) = self.table.by_handle(handle) else { return };
        let stays = |old: &Quarantine| {
            let is_for_time = old.cause != QuarantineCause::ByHand && !old.cause.needs_tokens();
            is_for_time && old.until.is_some_and(|old| old >= until)
        };
        if !entry.quarantine().is_some_and(stays) {
            let quarantine = Quarantine { cause: QuarantineCause::ByHand, until: Some(until), error: Some(reason) };
            self.set_quarantine(handle.slot, Some(quarantine));
        }
    }

    /// Takes an account out of service until it is lifted.
    pub(in crate::pool::local) fn drain(&mut self, handle: AccountHandle) {
        let quarantine = Quarantine { cause: QuarantineCause::Drained, until: Some(NEVER), error: None };
        self.set_quarantine(handle.slot, Some(quarantine));
    }

    /// Returns how far an account is drained.
    pub(in crate::pool::local) fn drain_progress(&mut self, handle: AccountHandle) -> DrainProgress {
        match self.table.by_handle(handle) {
            None => DrainProgress::Removed,
            Some(entry) if entry.rare.get().cause() != Some(QuarantineCause::Drained) => DrainProgress::Lifted,
            Some(entry) => DrainProgress::Held(entry.held),
        }
    }

    /// Puts an account back into service, or if it has no token, lets it log in at once.
    pub(in crate::pool::local) fn lift(&mut self, handle: AccountHandle, now: i64) {
        let Some(entry) = self.table.by_handle(handle) else { return };
        let Some(cause) = entry.rare.get().cause() else { return };
        let allowed = entry.limits.rate.block_until(LONG_AGO, now);
        entry.arrival = entry.arrival.min(allowed);
        // A renewal from before does not speak against a token that is rejected from now on.
        entry.rare.change(|rare| (rare.strikes, rare.renewed_after_rejection) = (Strikes::NONE, LONG_AGO));
        if cause == QuarantineCause::KeyRejected {
            self.try_key_again(handle.slot);
        }
        if self.table.get(handle.slot).is_some_and(|entry| entry.has_usable_token(now)) {
            self.set_quarantine(handle.slot, None);
        } else {
            // A token that comes for a rejection would have to hold from its first call on.
            let is_over = cause.is_rest() || cause == QuarantineCause::Rejected;
            self.renew_now(handle.slot, if is_over { QuarantineCause::Expired } else { cause }, now);
        }
        self.dispatch(handle.slot, now);
    }

    /// Returns how many accounts serve.
    pub(in crate::pool::local) fn active(&self) -> usize {
        self.size() - self.counters.quarantined.total()
    }

    /// Closes the pool: no exchange begins any more, and no caller gets a lease.
    pub(in crate::pool::local) fn close_pool(&mut self, now: i64) {
        if !self.lifecycle.is_open() {
            return;
        }
        let waiting = self.waiters.ids();
        let jobs = self.slots.total() + self.pending_revocations.len();
        self.lifecycle = Lifecycle::Closing(Closed { waiters: waiting.len(), jobs, cut_off: 0 });
        for id in waiting {
            if let Some(waiter) = self.leave(id, now) {
                self.aftermath.replies.push((waiter.reply, Err(failure::closed())));
            }
        }
        self.milestones += 1;
        self.tell_closed();
    }

    /// Lets no further job begin. If jobs `can_be` cut off, all that are under way count as such.
    pub(in crate::pool::local) fn cut_off(&mut self, can_be: bool) {
        let running = if can_be { self.slots.total() } else { 0 };
        if self.lifecycle.cut_off(running) {
            self.milestones += 1;
        }
    }

    /// Returns whether all jobs have ended, and none is to begin.
    pub(in crate::pool::local) fn has_ended(&self) -> bool {
        self.slots.total() == 0 && (self.pending_revocations.is_empty() || !self.lifecycle.may_revoke())
    }

    /// Returns what came of closing the pool, apart from its store.
    pub(in crate::pool::local) fn close_report(&self) -> CloseReport {
        self.lifecycle.report(self.counters.held, self.slots.total(), self.pending_revocations.len())
    }

    /// Fails if the pool was closed.
    pub(in crate::pool::local) fn expect_open(&self) -> Result<(), Error> {
        if self.lifecycle.is_open() { Ok(()) } else { Err(failure::closed()) }
    }
}
