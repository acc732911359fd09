//! Which account serves a caller, at once or as soon as one can.

use std::sync::Arc;

use super::{Granted, PoolState};
use crate::error::Error;
use crate::pool::failure::{self, FirstToReturn};
use crate::pool::limit::Call;
use crate::pool::limits::{ALL, TagIndex};
use crate::pool::local::entry::AccountHandle;
use crate::pool::local::rank::{Rank, Slot};
use crate::pool::local::ready_queue::Position;
use crate::pool::local::table::ring_point;
use crate::pool::local::time::until;
use crate::pool::local::waiters::{ReplySender, Selector, WaitFor, Waiter, WaiterId};
use crate::pool::policy::Selection;
use crate::pool::quarantine::QuarantineCause;

/// How far each lease moves on the virtual time of an account with the weight 1.
const STRIDE: i64 = 1 << 32;

impl PoolState {
    /// Returns the accounts that a tag and a key select, for a call of that cost.
    pub(in crate::pool::local) fn selector(
        &self,
        tag: Option<&str>,
        key: Option<&str>,
        cost: u64,
    ) -> Result<Selector, Error> {
        let tag = match tag {
            None => ALL,
            Some(tag) => self.tags.index(tag).ok_or_else(|| failure::unknown_tag(tag))?,
        };
        Ok(Selector { tag, key: key.map(ring_point), cost })
    }

    /// Grants a lease at once, or returns what to wait for. Fails if no selected account is open.
    pub(in crate::pool::local) fn acquire(
        &mut self,
        selector: Selector,
        now: i64,
    ) -> Result<Result<Granted, WaitFor>, Error> {
        self.expect_open()?;
        loop {
            self.check_open(selector, now)?;
            let slot = match selector.key {
                None => match self.first_ready(selector, now) {
                    Some(slot) => slot,
                    None => return Ok(Err(WaitFor::Tag(selector.tag))),
                },
                Some(key) => match self.account_for_key(key, selector.tag) {
                    Some(slot) => slot,
                    None => return Err(self.no_open_account(selector, now)),
                },
            };
            if self.expire(slot, now) {
                continue;
            }
            if self.can_serve(slot, selector.cost, now) {
                let granted = self.grant(slot, selector.cost, false, now);
                return Ok(granted.ok_or(WaitFor::Account(slot)));
            }
            match selector.key {
                Some(_) => return self.check_key(slot, selector.cost).map(|()| Err(WaitFor::Account(slot))),
                // Its place was not up to date.
                None => self.place(slot, now),
            }
        }
    }

    /// Returns the account that a key belongs to: the first open account on the ring from the key's
    /// point on.
    fn account_for_key(&self, key: u32, tag: TagIndex) -> Option<Slot> {
        let first = self.table.ring_from(key).find(|(_, entry)| entry.is_open() && entry.is_in(tag));
        first.map(|(slot, _)| slot)
    }

    /// Fails if no open account allows the call.
    pub(super) fn check_open(&self, selector: Selector, now: i64) -> Result<(), Error> {
        let Selector { tag, cost, .. } = selector;
        let (highest, highest_open) = self.tags.highest_costs(tag);
        if cost > highest {
            return Err(failure::cost_too_high(cost, highest, self.tags.name(tag)));
        }
        if self.tags.count(tag).open == 0 || cost > highest_open {
            return Err(self.no_open_account(selector, now));
        }
        Ok(())
    }

    /// Fails if the account that a key belongs to never allows a call of that cost.
    fn check_key(&self, slot: Slot, cost: u64) -> Result<(), Error> {
        let Some(entry) = self.table.get(slot) else { return Ok(()) };
        let most = self.most(entry);
        if cost > most { Err(failure::cost_too_high_for_key(cost, most, entry.identity.name())) } else { Ok(()) }
    }

    /// Returns the error that says why no account of the tag that allows the call is open.
    fn no_open_account(&self, selector: Selector, now: i64) -> Error {
        let Selector { tag, cost, .. } = selector;
        let name = self.tags.name(tag);
        if self.tags.count(tag).accounts == 0 {
            return failure::no_account(name);
        }
        let mut returning = self.quarantined.returning().filter_map(|(time, slot)| Some((time, self.table.get(slot)?)));
        let first = returning.find(|(_, entry)| entry.is_in(tag) && self.most(entry) >= cost);
        let Some((entry, quarantine)) = first.and_then(|(_, entry)| Some((entry, entry.quarantine()?))) else {
            return failure::all_quarantined(name, None);
        };
        // If it waits for an endpoint that is back, its exchange begins soon.
        let returns =
            self.return_time(entry, quarantine).or_else(|| Some(now).filter(|_| quarantine.cause.needs_tokens()));
        let wait = returns.map(|time| until(now, time));
        let first = FirstToReturn { account: entry.identity.name(), wait, cause: quarantine.cause };
        let error = failure::all_quarantined(name, Some(&first));
        match &quarantine.error {
            Some(cause) => error.caused_by(cause.clone()),
            None => error,
        }
    }

    /// Grants a lease of an account that is ready. If the caller `waited`, rates let the next call
    /// make up for the time that it took to wake the caller.
    fn grant(&mut self, slot: Slot, cost: u64, waited: bool, now: i64) -> Option<Granted> {
        self.last_lease = self.last_lease.wrapping_add(1);
        let (last_lease, virtual_time) = (self.last_lease, self.virtual_time);
        let entry = self.table.get_mut(slot)?;
        let token = entry.token.clone()?;
        let stride = STRIDE / i64::from(entry.limits.weight).max(1);
        let start = entry.virtual_time.max(virtual_time);
        entry.virtual_time = start.saturating_add(stride.max(1));
        let charge_from = if waited { entry.limits.rate.charge_from(1, now) } else { now };
        entry.arrival = entry.limits.rate.charge(entry.arrival, 1, charge_from);
        entry.last_lease = last_lease;
        entry.used += 1;
        entry.calls = entry.calls.saturating_add(1);
        let is_used_up = entry.used >= entry.limits.usage_cap;
        let handle = AccountHandle { slot, serial: entry.serial };
        let (identity, pin) = (Arc::clone(&entry.identity), entry.limits.pinned.0.clone());
        let (is_metered, group) = (entry.is_metered(), entry.limits.group);
        self.virtual_time = start;
        self.counters.leased(now);
        if is_metered {
            self.charge_metered(slot, cost, waited, now);
        }
        if let Some(entry) = self.table.get_mut(slot) {
            entry.held += 1;
            self.counters.held += 1;
        }
        if is_used_up {
            self.renew_now(slot, QuarantineCause::UsageCap, now);
        } else {
            self.place(slot, now);
        }
        let call = Call { cost, leased: now };
        Some(Granted { handle, identity, token, pin, call, group })
    }

    /// Adds a caller to the queue.
    pub(in crate::pool::local) fn enqueue(
        &mut self,
        selector: Selector,
        wait_for: WaitFor,
        reply: ReplySender,
        now: i64,
    ) -> WaiterId {
        let id = self.join(None, Waiter { selector, wait_for, reply, saver: None });
        if selector.cost > 1 {
            self.find_saver(id, now);
        }
        id
    }

    /// Returns how many callers wait.
    pub(in crate::pool::local) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Takes a caller that does not wait any more out of the queue.
    pub(in crate::pool::local) fn cancel(&mut self, id: WaiterId, now: i64) {
        self.leave(id, now);
    }

    /// Puts an account where it belongs. For as long as it is ready, grants leases of it to the
    /// callers that wait for it, in the order in which they came.
    pub(super) fn dispatch(&mut self, slot: Slot, now: i64) {
        loop {
            self.place(slot, now);
            let Some(first) = self.next_waiter(slot, now) else { return };
            let Some(waiter) = self.leave(first, now) else { return };
            match self.grant(slot, waiter.selector.cost, true, now) {
                Some(granted) => self.replies.push((waiter.reply, Ok(granted))),
                None => return,
            }
        }
    }

    /// Returns the caller that an account serves next, if it can serve one.
    fn next_waiter(&mut self, slot: Slot, now: i64) -> Option<WaiterId> {
        let entry = self.table.get(slot).filter(|_| !self.waiters.is_empty())?;
        if entry.is_metered() {
            return self.next_for_metered(slot, now);
        }
        let waits = entry.tags().map(WaitFor::Tag).chain([WaitFor::Account(slot)]);
        waits.filter(|_| self.ready_queue.is_ready(slot)).filter_map(|wait_for| self.waiters.first(wait_for)).min()
    }

    /// Puts an account where it belongs: ready, waiting for its rate, or idle.
    pub(super) fn place(&mut self, slot: Slot, now: i64) {
        self.expire(slot, now);
        let Some(entry) = self.table.get(slot) else { return };
        if entry.is_metered() {
            return self.place_metered(slot, now);
        }
        let next_call = entry.limits.rate.next_call(entry.arrival);
        let position = match self.rank(slot) {
            Some(_) if next_call > now => Position::Waiting(next_call),
            Some(rank) => Position::Ready(rank),
            None => Position::Idle,
        };
        self.set_position(slot, position);
    }

    /// Returns what an account is sorted by among those that are ready, or `None` if it does not
    /// serve.
    pub(super) fn rank(&self, slot: Slot) -> Option<Rank> {
        let entry = self.table.get(slot).filter(|entry| entry.serves())?;
        let order = match self.selection {
            Selection::Soonest => entry.limits.rate.next_call(entry.arrival),
            Selection::RoundRobin => 0,
            Selection::Weighted => entry.virtual_time.max(self.virtual_time),
        };
        Some(Rank { order, last_lease: entry.last_lease })
    }

    pub(super) fn set_position(&mut self, slot: Slot, to: Position) {
        let Some(entry) = self.table.get(slot) else { return };
        if entry.is_metered() {
            // Only `place_metered` says that a metered account is ready.
            self.metered.set(slot, &entry.limits.tags, entry.limits.group, None, None);
        } else {
            self.ready_queue.set_position(slot, &entry.limits.tags, to);
        }
    }
}
