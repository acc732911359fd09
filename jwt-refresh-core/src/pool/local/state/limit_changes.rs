//! Changes of an account's limits while it serves.

use std::sync::Arc;

use super::PoolState;
use crate::error::Error;
use crate::pool::limit::{Gcra, Limit, LimitRule, own_rules, shared_limits};
use crate::pool::limits::Limits;
use crate::pool::local::entry::AccountHandle;
use crate::pool::local::limit_states::{LimitStates, Reading};
use crate::pool::local::metered_queue::Due;
use crate::pool::local::rank::Slot;
use crate::pool::local::waiters::{WaitFor, Waiter, WaiterId};

impl PoolState {
    /// Gives an account other limits, in place of all of its rates and quotas. Nothing is changed
    /// if one of them cannot be.
    pub(in crate::pool::local) fn set_limits(
        &mut self,
        AccountHandle { slot, .. }: AccountHandle,
        limits: &[Limit],
        now: i64,
    ) -> Result<(), Error> {
        let (rate, further) = own_rules(limits.iter())?;
        let old_group = self.group(slot);
        // If no other account has a shared limit, it may be another one now.
        if let Some(group) = old_group {
            self.shared_limits.leave(group);
        }
        if let Err(error) = self.shared_limits.check(shared_limits(limits)) {
            if let Some(group) = old_group {
                self.shared_limits.rejoin(group);
            }
            return Err(error);
        }
        let at = self.at(now);
        let group = self.shared_limits.join(shared_limits(limits), at);
        let keyed = self.take_out(slot, now);
        self.change_rules(slot, rate, further, group, now);
        for (id, waiter) in keyed {
            self.join(Some(id), waiter);
        }
        self.later.extend(old_group.into_iter().chain(group).map(Due::Group));
        self.dispatch(slot, now);
        Ok(())
    }

    /// Sets how many leases of an account may be held at once.
    pub(in crate::pool::local) fn set_concurrency(&mut self, handle: AccountHandle, leases: u32, now: i64) {
        if let Some(entry) = self.table.get_mut(handle.slot) {
            entry.limits = Arc::new(Limits { concurrency: leases.max(1), ..Limits::clone(&entry.limits) });
        }
        self.dispatch(handle.slot, now);
    }

    /// Takes an account out of the order of ready accounts. Returns the callers that wait for it
    /// alone.
    pub(super) fn take_out(&mut self, slot: Slot, now: i64) -> Vec<(WaiterId, Waiter)> {
        let saved_for = self.end_saving(slot, now);
        self.unsaved.extend(saved_for);
        self.set_idle(slot);
        let mut keyed = Vec::new();
        while let Some(id) = self.waiters.first(WaitFor::Account(slot)) {
            let Some(waiter) = self.leave(id, now) else { break };
            keyed.push((id, Waiter { saver: None, ..waiter }));
        }
        if let Some(entry) = self.table.get(slot) {
            self.metered.remove(slot, &entry.limits);
        }
        keyed
    }

    /// Replaces the limits of an account that is in no order. What was spent by a limit counts for
    /// the one of the same kind that takes its place.
    pub(super) fn change_rules(
        &mut self,
        slot: Slot,
        rate: Gcra,
        further: Box<[LimitRule]>,
        group: Option<usize>,
        now: i64,
    ) {
        let (at, patience) = (self.at(now), self.patience);
        let Some(entry) = self.table.get(slot) else { return };
        let (tags, is_open, highest) = (entry.tags().collect::<Vec<_>>(), entry.is_open(), self.most(entry));
        let Some(entry) = self.table.get_mut(slot) else { return };
        let old = Arc::clone(&entry.limits);
        entry.limits = Arc::new(Limits { rate, further, group, ..Limits::clone(&old) });
        entry.arrival = rate.carry_calls(old.rate, entry.arrival, now);
        let by = Reading { rules: &entry.limits.further, held: entry.held, patience, now: at };
        let (has_rules, held) = (!entry.limits.further.is_empty(), entry.held.into());
        entry.rare.change(|rare| {
            rare.limits = match &rare.limits {
                Some(states) => Some(Box::new(states.changed(&old.further, &by))),
                None => has_rules.then(|| Box::new(LimitStates::new(&[], held, at).changed(&[], &by))),
            };
        });
        let Some(entry) = self.table.get(slot) else { return };
        self.tags.highest_changed(&tags, is_open, highest, self.most(entry));
        self.newly_limited.extend(tags);
    }
}
