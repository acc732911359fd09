//! How accounts go into quarantine and come back.

use super::PoolState;
use crate::pool::local::entry::AccountEntry;
use crate::pool::local::rank::Slot;
use crate::pool::local::ready_queue::Position;
use crate::pool::local::waiters::{WaitFor, Waiter};
use crate::pool::quarantine::{Quarantine, QuarantineCause};

impl PoolState {
    /// Takes an account out whose token has expired. Whether it has.
    pub(super) fn expire(&mut self, slot: Slot, now: i64) -> bool {
        let Some(entry) = self.table.at(slot) else { return false };
        if entry.token.is_none() || entry.quarantine.is_some() || now < entry.usable_until() {
            return false;
        }
        match self.timers.rank(slot).map(|rank| rank.order) {
            // A pause after a failure.
            Some(until) if !entry.in_exchange && until > now && entry.failures > 0 => {
                self.set_quarantine(
                    slot,
                    Some(Quarantine { cause: QuarantineCause::Expired, until: Some(until), error: None }),
                );
            }
            _ => self.renew_now(slot, QuarantineCause::Expired, now),
        }
        true
    }

    /// Takes an account out until it has new tokens, which callers may wait for.
    pub(super) fn renew_now(&mut self, slot: Slot, cause: QuarantineCause, now: i64) {
        if self.table.at(slot).is_some_and(|entry| !entry.in_exchange) {
            self.set_timer(slot, Some(now));
        }
        self.set_quarantine(slot, Some(Quarantine { cause, until: None, error: None }));
    }

    /// Puts an account into quarantine, or takes it out of it.
    pub(super) fn set_quarantine(&mut self, slot: Slot, quarantine: Option<Quarantine>) {
        let Some(entry) = self.table.at_mut(slot) else { return };
        let was_open = entry.is_open();
        let from = entry.quarantine.as_ref().and_then(|found| found.until);
        match &quarantine {
            Some(found) => self.quarantined.insert(slot, from, found.until),
            None => self.quarantined.remove(slot, from),
        }
        let cause = |found: &Quarantine| found.cause;
        self.counters.causes.change(entry.quarantine.as_deref().map(cause), quarantine.as_ref().map(cause));
        entry.quarantine = quarantine.map(Box::new);
        match (was_open, entry.is_open()) {
            (false, true) => self.tags.account_opened(entry.tags()),
            (true, false) => self.close(slot),
            _ => {}
        }
        if self.table.at(slot).is_some_and(|entry| entry.quarantine.is_some()) {
            self.set_position(slot, Position::Idle);
        }
    }

    /// Callers may wait for an account no longer, and for its tags only if another account is open.
    fn close(&mut self, slot: Slot) {
        let Some(entry) = self.table.at(slot) else { return };
        self.tags.account_closed(entry.tags());
        let emptied = entry.tags().filter(|&tag| self.tags.count(tag).open == 0);
        self.closed.extend(emptied.map(WaitFor::Tag).chain([WaitFor::Account(slot)]));
    }

    /// Has callers that wait for what is closed wait for something else, or tells them why they cannot.
    pub(super) fn clear_closed(&mut self, now: i64) {
        while let Some(wait_for) = self.closed.pop() {
            let is_open = match wait_for {
                WaitFor::Tag(tag) => self.tags.count(tag).open > 0,
                WaitFor::Account(slot) => self.table.at(slot).is_some_and(AccountEntry::is_open),
            };
            while let Some(id) = self.waiters.first(wait_for).filter(|_| !is_open) {
                let Some(Waiter { selector, reply, .. }) = self.waiters.remove(id) else { break };
                match self.take(selector, now) {
                    Ok(Ok(granted)) => self.outbox.push((reply, Ok(granted))),
                    Err(error) => self.outbox.push((reply, Err(error))),
                    Ok(Err(wait_for)) => self.waiters.rejoin(id, Waiter { selector, wait_for, reply }),
                }
            }
        }
    }

    /// Ends the rests that are over.
    pub(super) fn end_rests(&mut self, now: i64) {
        while let Some(slot) = self.quarantined.pop_due(now) {
            let Some(entry) = self.table.at(slot) else { continue };
            match entry.quarantine.as_deref().filter(|found| !found.cause.is_rest()).cloned() {
                // It is tried again: new tokens may be on their way.
                Some(quarantine) => self.set_quarantine(slot, Some(Quarantine { until: None, ..quarantine })),
                None if entry.token.is_none() => self.renew_now(slot, QuarantineCause::Expired, now),
                None => self.set_quarantine(slot, None),
            }
            self.dispatch(slot, now);
        }
    }
}
