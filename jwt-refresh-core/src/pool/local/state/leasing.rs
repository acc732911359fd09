//! The leases of a pool: which account serves a caller, at once or as soon as there is one.

use std::sync::Arc;

use super::{Granted, PoolState};
use crate::error::Error;
use crate::pool::failure::{self, FirstToReturn};
use crate::pool::limits::{ALL, TagIndex};
use crate::pool::local::entry::{AccountEntry, AccountHandle};
use crate::pool::local::rank::{Rank, Slot};
use crate::pool::local::ready_queue::Position;
use crate::pool::local::table::hash;
use crate::pool::local::time::until;
use crate::pool::local::waiters::{Reply, Selector, WaitFor, Waiter, WaiterId};
use crate::pool::policy::Selection;
use crate::pool::quarantine::QuarantineCause;

/// What a weight of 1 adds to an account's order with each lease.
const STRIDE: i64 = 1 << 32;

impl PoolState {
    pub(in crate::pool::local) fn selector(&self, tag: Option<&str>, key: Option<&str>) -> Result<Selector, Error> {
        let tag = match tag {
            None => ALL,
            Some(tag) => self.tags.index(tag).ok_or_else(|| failure::unknown_tag(tag))?,
        };
        Ok(Selector { tag, key: key.map(hash) })
    }

    /// A lease at once, or where to wait for one.
    pub(in crate::pool::local) fn take(
        &mut self,
        selector: Selector,
        now: i64,
    ) -> Result<Result<Granted, WaitFor>, Error> {
        loop {
            if self.tags.count(selector.tag).open == 0 {
                return Err(self.none_open(selector.tag, now));
            }
            let slot = match selector.key {
                None => match self.ready_queue.first(selector.tag) {
                    Some(slot) => slot,
                    None => return Ok(Err(WaitFor::Tag(selector.tag))),
                },
                Some(key) => match self.of_key(key, selector.tag) {
                    Some(slot) => slot,
                    None => return Err(self.none_open(selector.tag, now)),
                },
            };
            if self.expire(slot, now) {
                continue;
            }
            let granted = if self.ready_queue.is_ready(slot) { self.lease(slot, now, now) } else { None };
            return Ok(granted.ok_or(WaitFor::Account(slot)));
        }
    }

    /// The first account from the key's place on the ring on that callers may wait for.
    fn of_key(&self, key: u32, tag: TagIndex) -> Option<Slot> {
        let first = self.table.round(key).find(|(_, entry)| entry.is_open() && entry.is_in(tag));
        first.map(|(slot, _)| slot)
    }

    /// Why no caller can wait for an account of the tag.
    fn none_open(&self, tag: TagIndex, now: i64) -> Error {
        let name = self.tags.name(tag);
        if self.tags.count(tag).accounts == 0 {
            return failure::no_account(name);
        }
        let mut returning = self.quarantined.returning().filter_map(|(time, slot)| Some((time, self.table.at(slot)?)));
        let first = returning.find(|(_, entry)| entry.is_in(tag));
        let Some((time, AccountEntry { identity, quarantine: Some(quarantine), .. })) = first else {
            return failure::all_quarantined(name, None);
        };
        let first = FirstToReturn { account: identity.name(), wait: until(now, time), cause: quarantine.cause };
        let error = failure::all_quarantined(name, Some(&first));
        match &quarantine.error {
            Some(cause) => error.caused_by(cause.clone()),
            None => error,
        }
    }

    /// Gives a lease of an account that is ready, and charges its rate from `since` on.
    fn lease(&mut self, slot: Slot, since: i64, now: i64) -> Option<Granted> {
        self.turn = self.turn.wrapping_add(1);
        let (turn, level) = (self.turn, self.level);
        let entry = self.table.at_mut(slot)?;
        let token = entry.token.clone()?;
        let stride = STRIDE / i64::from(entry.limits.weight).max(1);
        let order = entry.order.max(level);
        entry.order = order.saturating_add(stride.max(1));
        entry.arrival = entry.limits.limit.charge(entry.arrival, since);
        entry.turn = turn;
        entry.held += 1;
        entry.used += 1;
        let capped = entry.used >= entry.limits.usage_cap;
        let handle = AccountHandle { slot, serial: entry.serial };
        let (identity, pin) = (Arc::clone(&entry.identity), entry.limits.pinned.0.clone());
        self.level = order;
        self.counters.leased(now);
        if capped {
            self.renew_now(slot, QuarantineCause::UsageCap, now);
        } else {
            self.place(slot, now);
        }
        Some(Granted { handle, identity, token, pin })
    }

    pub(in crate::pool::local) fn enqueue(&mut self, selector: Selector, wait_for: WaitFor, reply: Reply) -> WaiterId {
        self.waiters.join(Waiter { selector, wait_for, reply })
    }

    pub(in crate::pool::local) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// A caller waits no longer.
    pub(in crate::pool::local) fn cancel(&mut self, id: WaiterId) {
        self.waiters.remove(id);
    }

    /// Puts an account where it belongs, and gives it to those who wait for it, the first first.
    pub(super) fn dispatch(&mut self, slot: Slot, now: i64) {
        loop {
            self.place(slot, now);
            let Some(entry) = self.table.at(slot).filter(|_| self.ready_queue.is_ready(slot)) else { return };
            let waits = entry.tags().map(WaitFor::Tag).chain([WaitFor::Account(slot)]);
            let Some(first) = waits.filter_map(|wait_for| self.waiters.first(wait_for)).min() else { return };
            let since = entry.limits.limit.since(now);
            let Some(waiter) = self.waiters.remove(first) else { return };
            match self.lease(slot, since, now) {
                Some(granted) => self.outbox.push((waiter.reply, Ok(granted))),
                None => return,
            }
        }
    }

    /// Puts an account where it belongs: ready, waiting for its time, or neither.
    pub(super) fn place(&mut self, slot: Slot, now: i64) {
        self.expire(slot, now);
        let (selection, level) = (self.selection, self.level);
        let Some(entry) = self.table.at(slot) else { return };
        let serves = entry.quarantine.is_none() && entry.token.is_some() && entry.held < entry.limits.concurrency;
        let opens = entry.limits.limit.opens(entry.arrival);
        let order = match selection {
            Selection::Soonest => opens,
            Selection::RoundRobin => 0,
            Selection::Weighted => entry.order.max(level),
        };
        let position = match serves {
            false => Position::Idle,
            true if opens > now => Position::Waiting(opens),
            true => Position::Ready(Rank { order, turn: entry.turn }),
        };
        self.set_position(slot, position);
    }

    pub(super) fn set_position(&mut self, slot: Slot, to: Position) {
        if let Some(entry) = self.table.at(slot) {
            self.ready_queue.set_position(slot, &entry.limits.tags, to);
        }
    }
}
