//! Which account serves a caller, at once or as soon as one can.

use std::sync::Arc;

use super::{Granted, PoolState};
use crate::error::Error;
use crate::pool::failure::{self, FirstToReturn};
use crate::pool::limits::{ALL, TagIndex};
use crate::pool::local::entry::AccountHandle;
use crate::pool::local::rank::{Rank, Slot};
use crate::pool::local::ready_queue::Position;
use crate::pool::local::table::ring_point;
use crate::pool::local::time::{NEVER, until};
use crate::pool::local::waiters::{ReplySender, Selector, WaitFor, Waiter, WaiterId};
use crate::pool::policy::Selection;
use crate::pool::quarantine::QuarantineCause;

/// How far each lease moves on the virtual time of an account with the weight 1.
const STRIDE: i64 = 1 << 32;

impl PoolState {
    /// Returns the accounts that a tag and a key select.
    pub(in crate::pool::local) fn selector(&self, tag: Option<&str>, key: Option<&str>) -> Result<Selector, Error> {
        let tag = match tag {
            None => ALL,
            Some(tag) => self.tags.index(tag).ok_or_else(|| failure::unknown_tag(tag))?,
        };
        Ok(Selector { tag, key: key.map(ring_point) })
    }

    /// Grants a lease at once, or returns what to wait for. Fails if no selected account is open.
    pub(in crate::pool::local) fn acquire(
        &mut self,
        selector: Selector,
        now: i64,
    ) -> Result<Result<Granted, WaitFor>, Error> {
        loop {
            if self.tags.count(selector.tag).open == 0 {
                return Err(self.no_open_account(selector.tag, now));
            }
            let slot = match selector.key {
                None => match self.ready_queue.first(selector.tag) {
                    Some(slot) => slot,
                    None => return Ok(Err(WaitFor::Tag(selector.tag))),
                },
                Some(key) => match self.account_for_key(key, selector.tag) {
                    Some(slot) => slot,
                    None => return Err(self.no_open_account(selector.tag, now)),
                },
            };
            if self.expire(slot, now) {
                continue;
            }
            let granted = if self.ready_queue.is_ready(slot) { self.grant(slot, now, now) } else { None };
            return Ok(granted.ok_or(WaitFor::Account(slot)));
        }
    }

    /// Returns the account that a key belongs to: the first open account on the ring from the key's
    /// point on.
    fn account_for_key(&self, key: u32, tag: TagIndex) -> Option<Slot> {
        let first = self.table.ring_from(key).find(|(_, entry)| entry.is_open() && entry.is_in(tag));
        first.map(|(slot, _)| slot)
    }

    /// Returns the error that says why no account of the tag is open.
    fn no_open_account(&self, tag: TagIndex, now: i64) -> Error {
        let name = self.tags.name(tag);
        if self.tags.count(tag).accounts == 0 {
            return failure::no_account(name);
        }
        let mut returning = self.quarantined.returning().filter_map(|(time, slot)| Some((time, self.table.get(slot)?)));
        let first = returning.find(|(_, entry)| entry.is_in(tag));
        let Some((time, entry, quarantine)) = first.and_then(|(time, entry)| Some((time, entry, entry.quarantine()?)))
        else {
            return failure::all_quarantined(name, None);
        };
        let wait = Some(time).filter(|&time| time != NEVER).map(|time| until(now, time));
        let first = FirstToReturn { account: entry.identity.name(), wait, cause: quarantine.cause };
        let error = failure::all_quarantined(name, Some(&first));
        match &quarantine.error {
            Some(cause) => error.caused_by(cause.clone()),
            None => error,
        }
    }

    /// Grants a lease of an account that is ready, and charges its rate from `charge_from` on.
    fn grant(&mut self, slot: Slot, charge_from: i64, now: i64) -> Option<Granted> {
        self.last_lease = self.last_lease.wrapping_add(1);
        let (last_lease, virtual_time) = (self.last_lease, self.virtual_time);
        let entry = self.table.get_mut(slot)?;
        let token = entry.token.clone()?;
        let stride = STRIDE / i64::from(entry.limits.weight).max(1);
        let start = entry.virtual_time.max(virtual_time);
        entry.virtual_time = start.saturating_add(stride.max(1));
        entry.arrival = entry.limits.limit.charge(entry.arrival, charge_from);
        entry.last_lease = last_lease;
        entry.held += 1;
        entry.used += 1;
        let is_used_up = entry.used >= entry.limits.usage_cap;
        let handle = AccountHandle { slot, serial: entry.serial };
        let (identity, pin) = (Arc::clone(&entry.identity), entry.limits.pinned.0.clone());
        self.virtual_time = start;
        self.counters.leased(now);
        if is_used_up {
            self.renew_now(slot, QuarantineCause::UsageCap, now);
        } else {
            self.place(slot, now);
        }
        Some(Granted { handle, identity, token, pin, leased: now })
    }

    /// Adds a caller to the queue.
    pub(in crate::pool::local) fn enqueue(
        &mut self,
        selector: Selector,
        wait_for: WaitFor,
        reply: ReplySender,
    ) -> WaiterId {
        self.waiters.join(Waiter { selector, wait_for, reply })
    }

    /// Returns how many callers wait.
    pub(in crate::pool::local) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Takes a caller that does not wait any more out of the queue.
    pub(in crate::pool::local) fn cancel(&mut self, id: WaiterId) {
        self.waiters.remove(id);
    }

    /// Puts an account where it belongs. For as long as it is ready, grants leases of it to the
    /// callers that wait for it, in the order in which they came.
    pub(super) fn dispatch(&mut self, slot: Slot, now: i64) {
        loop {
            self.place(slot, now);
            let Some(entry) = self.table.get(slot).filter(|_| self.ready_queue.is_ready(slot)) else { return };
            let waits = entry.tags().map(WaitFor::Tag).chain([WaitFor::Account(slot)]);
            let Some(first) = waits.filter_map(|wait_for| self.waiters.first(wait_for)).min() else { return };
            let charge_from = entry.limits.limit.charge_from(now);
            let Some(waiter) = self.waiters.remove(first) else { return };
            match self.grant(slot, charge_from, now) {
                Some(granted) => self.replies.push((waiter.reply, Ok(granted))),
                None => return,
            }
        }
    }

    /// Puts an account where it belongs: ready, waiting for its rate, or idle.
    pub(super) fn place(&mut self, slot: Slot, now: i64) {
        self.expire(slot, now);
        let (selection, virtual_time) = (self.selection, self.virtual_time);
        let Some(entry) = self.table.get(slot) else { return };
        let serves = entry.quarantine().is_none() && entry.token.is_some() && entry.held < entry.limits.concurrency;
        let next_call = entry.limits.limit.next_call(entry.arrival);
        let order = match selection {
            Selection::Soonest => next_call,
            Selection::RoundRobin => 0,
            Selection::Weighted => entry.virtual_time.max(virtual_time),
        };
        let position = match serves {
            false => Position::Idle,
            true if next_call > now => Position::Waiting(next_call),
            true => Position::Ready(Rank { order, last_lease: entry.last_lease }),
        };
        self.set_position(slot, position);
    }

    pub(super) fn set_position(&mut self, slot: Slot, to: Position) {
        if let Some(entry) = self.table.get(slot) {
            self.ready_queue.set_position(slot, &entry.limits.tags, to);
        }
    }
}
