//! The callers that wait, and how they get their leases.
//!
//! An account that becomes ready goes to the caller that has waited longest of those that would
//! take it, before a newcomer can have it. There may be ten thousand callers, and a change of the
//! state answers some of them at most; those that are left are looked after in the next.

use super::PoolState;
use crate::pool::limits::TagIndex;
use crate::pool::local::entry::AccountEntry;
use crate::pool::local::metered_queue::Due;
use crate::pool::local::rank::Slot;
use crate::pool::local::waiters::{ReplySender, Selector, WaitFor, Waiter, WaiterId, Waiters};

impl PoolState {
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

    /// Takes a caller that does not wait any more out of the queue, and returns it, to be dropped
    /// after the lock is released: that wakes a task.
    pub(in crate::pool::local) fn cancel(&mut self, id: WaiterId, now: i64) -> Option<Waiter> {
        self.leave(id, now)
    }

    /// Puts an account where it belongs. For as long as it is ready, grants leases of it to the
    /// callers that wait for it, in the order in which they came.
    pub(super) fn dispatch(&mut self, slot: Slot, now: i64) {
        loop {
            self.place(slot, now);
            let Some(first) = self.next_waiter(slot, now) else { return };
            if !self.take_step() {
                return self.later.push_back(Due::Account(slot));
            }
            let Some(waiter) = self.leave(first, now) else { return };
            match self.grant(slot, waiter.selector, true, now) {
                Some(granted) => self.aftermath.replies.push((waiter.reply, Ok(granted))),
                None => return,
            }
        }
    }

    /// Returns the caller that an account serves next, if it can serve one.
    fn next_waiter(&mut self, slot: Slot, now: i64) -> Option<WaiterId> {
        let may_serve = !self.waiters.is_empty() && !self.have_shares_ended();
        let entry = self.table.get(slot).filter(|_| may_serve)?;
        if entry.is_metered() {
            return self.next_for_metered(slot, now);
        }
        let next_call = self.ready_queue.next_call(slot, &entry.limits)?;
        if next_call > now {
            for wait_for in waits(slot, entry) {
                self.waiters.wake_by(wait_for, next_call);
            }
            return None;
        }
        waits(slot, entry).filter_map(|wait_for| self.waiters.first(wait_for)).min()
    }

    /// Returns whether a caller that waits would take a lease of the account, which is ready. The
    /// next changes of the state look after it.
    pub(super) fn is_awaited(&mut self, slot: Slot, now: i64) -> bool {
        if self.waiters.is_empty() {
            return false;
        }
        let headroom = if self.is_metered(slot) { self.headroom(slot, now) } else { u64::MAX };
        let Some(entry) = self.table.get(slot) else { return false };
        waits(slot, entry).any(|wait_for| self.waiters.first_within(wait_for, headroom).is_some())
    }

    fn is_metered(&self, slot: Slot) -> bool {
        self.table.get(slot).is_some_and(AccountEntry::is_metered)
    }

    /// Plans to look after those that wait for something when it may come true by the passing of
    /// time. Of metered accounts, their own queue knows when that is.
    pub(super) fn plan_wake(&mut self, wait_for: WaitFor) {
        let next_call = match wait_for {
            WaitFor::Tag(tag) => self.ready_queue.next_call_of(tag),
            WaitFor::Account(slot) => {
                let entry = self.table.get(slot);
                entry.and_then(|entry| self.ready_queue.next_call(slot, &entry.limits))
            }
            WaitFor::LiveAccount(_) => None,
        };
        if let Some(next_call) = next_call {
            self.waiters.wake_by(wait_for, next_call);
        }
    }

    /// Grants leases to callers of accounts whose rates allow it by now.
    pub(super) fn serve_waiters(&mut self, now: i64) {
        if self.have_shares_ended() {
            return;
        }
        while self.waiters.next_wake().is_some_and(|time| time <= now) && self.take_step() {
            let Some(wait_for) = self.waiters.pop_wake(now) else { return };
            let account = match wait_for {
                WaitFor::Tag(tag) => self.ready_queue.first(tag, now).map(|(_, slot)| slot),
                WaitFor::Account(slot) => Some(slot),
                WaitFor::LiveAccount(_) => None,
            };
            if let Some(slot) = account {
                self.dispatch(slot, now);
            }
            self.plan_wake(wait_for);
        }
    }

    /// Redirects callers for whom what they wait for has changed: each gets a lease, waits for
    /// something else, or is told why it cannot wait.
    pub(super) fn redirect_waiters(&mut self, now: i64) {
        while let Some(wait_for) = self.redirects.pop_front() {
            while let Some(id) = self.waiters.first(wait_for).filter(|_| self.is_to_redirect(wait_for)) {
                if !self.take_step() {
                    return self.redirects.push_front(wait_for);
                }
                let Some(Waiter { selector, reply, .. }) = self.leave(id, now) else { break };
                match self.acquire(selector, now) {
                    Ok(Ok(granted)) => self.aftermath.replies.push((reply, Ok(granted))),
                    Err(error) => self.aftermath.replies.push((reply, Err(error))),
                    Ok(Err(to)) => {
                        self.join(Some(id), Waiter { selector, wait_for: to, reply, saver: None });
                        self.unsaved.push_back(id);
                        if to == wait_for {
                            break;
                        }
                    }
                }
            }
        }
        while let Some(tag) = self.newly_limited.pop_front() {
            if !self.refuse_costs(tag, now) {
                return self.newly_limited.push_front(tag);
            }
        }
    }

    fn is_to_redirect(&self, wait_for: WaitFor) -> bool {
        match wait_for {
            WaitFor::Tag(tag) => self.tags.count(tag).open == 0,
            WaitFor::Account(slot) => self.table.get(slot).is_none_or(|entry| !entry.is_live),
            WaitFor::LiveAccount(_) => true,
        }
    }

    /// Tells the callers whose calls cost more than any open account of a tag allows that they
    /// cannot wait. Returns whether all of them were told.
    fn refuse_costs(&mut self, tag: TagIndex, now: i64) -> bool {
        let (_, highest) = self.tags.highest_costs(tag);
        let wait_for = WaitFor::Tag(tag);
        let first = |waiters: &Waiters| {
            let found =
                [waiters.first_unsaved(wait_for, highest, u64::MAX), waiters.first_saved(wait_for, highest, u64::MAX)];
            found.into_iter().flatten().min().filter(|_| highest < u64::MAX)
        };
        while let Some(id) = first(&self.waiters) {
            if !self.take_step() {
                return false;
            }
            let Some(Waiter { selector, reply, .. }) = self.leave(id, now) else { break };
            let Err(error) = self.check_open(selector, now) else { break };
            self.aftermath.replies.push((reply, Err(error)));
        }
        true
    }
}

/// Returns what the callers wait for that would take a lease of an account.
pub(super) fn waits(slot: Slot, entry: &AccountEntry) -> impl Iterator<Item = WaitFor> {
    entry.tags().map(WaitFor::Tag).chain([WaitFor::Account(slot)])
}
