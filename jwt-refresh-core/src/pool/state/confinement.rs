//! How accounts go into quarantine and come back.

use super::State;
use crate::pool::member::Member;
use crate::pool::quarantine::{Cause, Quarantine};
use crate::pool::queue::{Desk, Waiter};
use crate::pool::schedule::{Place, Slot};

impl State {
    /// Takes an account out whose token has expired. Whether it has.
    pub(super) fn expire(&mut self, slot: Slot, now: i64) -> bool {
        let Some(member) = self.table.at(slot) else { return false };
        if member.token.is_none() || member.quarantine.is_some() || now < member.usable_until() {
            return false;
        }
        match self.timers.rank(slot).map(|rank| rank.order) {
            // A pause after a failure.
            Some(until) if !member.in_exchange && until > now && member.failures > 0 => {
                self.confine(slot, Some(Quarantine { cause: Cause::Expired, until: Some(until), error: None }));
            }
            _ => self.renew_now(slot, Cause::Expired, now),
        }
        true
    }

    /// Takes an account out until it has new tokens, which callers may wait for.
    pub(super) fn renew_now(&mut self, slot: Slot, cause: Cause, now: i64) {
        if self.table.at(slot).is_some_and(|member| !member.in_exchange) {
            self.set_timer(slot, Some(now));
        }
        self.confine(slot, Some(Quarantine { cause, until: None, error: None }));
    }

    /// Puts an account into quarantine, or takes it out of it.
    pub(super) fn confine(&mut self, slot: Slot, quarantine: Option<Quarantine>) {
        let Some(member) = self.table.at_mut(slot) else { return };
        let was_open = member.is_open();
        let from = member.quarantine.as_ref().and_then(|found| found.until);
        match &quarantine {
            Some(found) => self.ward.keep(slot, from, found.until),
            None => self.ward.release(slot, from),
        }
        let cause = |found: &Quarantine| found.cause;
        self.tally.causes.change(member.quarantine.as_deref().map(cause), quarantine.as_ref().map(cause));
        member.quarantine = quarantine.map(Box::new);
        match (was_open, member.is_open()) {
            (false, true) => self.lines.open(member.lines()),
            (true, false) => self.close(slot),
            _ => {}
        }
        if self.table.at(slot).is_some_and(|member| member.quarantine.is_some()) {
            self.place(slot, Place::Aside);
        }
    }

    /// Callers may wait for an account no longer, and for its lines only if another one is left.
    fn close(&mut self, slot: Slot) {
        let Some(member) = self.table.at(slot) else { return };
        self.lines.close(member.lines());
        let emptied = member.lines().filter(|&line| self.lines.count(line).open == 0);
        self.closed.extend(emptied.map(Desk::Line).chain([Desk::Account(slot)]));
    }

    /// Sends those who wait at a closed desk to another, or away.
    pub(super) fn clear_closed(&mut self, now: i64) {
        while let Some(desk) = self.closed.pop() {
            let is_open = match desk {
                Desk::Line(line) => self.lines.count(line).open > 0,
                Desk::Account(slot) => self.table.at(slot).is_some_and(Member::is_open),
            };
            while let Some(ticket) = self.queue.head(desk).filter(|_| !is_open) {
                let Some(Waiter { want, reply, .. }) = self.queue.call_up(ticket) else { break };
                match self.take(want, now) {
                    Ok(Ok(granted)) => self.outbox.push((reply, Ok(granted))),
                    Err(error) => self.outbox.push((reply, Err(error))),
                    Ok(Err(desk)) => self.queue.rejoin(ticket, Waiter { want, desk, reply }),
                }
            }
        }
    }

    /// Ends the rests that are over.
    pub(super) fn end_rests(&mut self, now: i64) {
        while let Some(slot) = self.ward.ripe(now) {
            let Some(member) = self.table.at(slot) else { continue };
            match member.quarantine.as_deref().filter(|found| !found.cause.is_rest()).cloned() {
                // It is tried again: new tokens may be on their way.
                Some(quarantine) => self.confine(slot, Some(Quarantine { until: None, ..quarantine })),
                None if member.token.is_none() => self.renew_now(slot, Cause::Expired, now),
                None => self.confine(slot, None),
            }
            self.seat(slot, now);
        }
    }
}
