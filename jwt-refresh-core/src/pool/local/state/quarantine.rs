//! How accounts go into quarantine, and how they return.

use super::PoolState;
use crate::pool::limits::TagIndex;
use crate::pool::local::entry::{AccountEntry, ExchangeState};
use crate::pool::local::metered_queue::Due;
use crate::pool::local::rank::Slot;
use crate::pool::local::ready_queue::Position;
use crate::pool::local::time::NEVER;
use crate::pool::local::waiters::{WaitFor, Waiter, Waiters};
use crate::pool::quarantine::{Quarantine, QuarantineCause};

impl PoolState {
    /// Takes an account out of service if its token cannot be used any more. Returns whether that
    /// is so.
    pub(super) fn expire(&mut self, slot: Slot, now: i64) -> bool {
        let Some(entry) = self.table.get(slot) else { return false };
        if entry.token.is_none() || entry.quarantine().is_some() || now < entry.usable_until() {
            return false;
        }
        self.await_tokens(slot, now);
        true
    }

    /// Takes an account out of service until it has new tokens: those that are on their way, or if
    /// it pauses after a failed exchange, those that the next may bring.
    fn await_tokens(&mut self, slot: Slot, now: i64) {
        let Some(entry) = self.table.get(slot) else { return };
        let cause = QuarantineCause::Expired;
        let rare = entry.rare.get();
        match rare.retry_at {
            Some(until) if entry.exchange == ExchangeState::Planned && until > now => {
                let error = rare.last_error.clone();
                self.set_quarantine(slot, Some(Quarantine { cause, until: Some(until), error }));
            }
            _ => self.renew_now(slot, cause, now),
        }
    }

    /// Takes an account out of service until it has new tokens, which callers may wait for.
    pub(super) fn renew_now(&mut self, slot: Slot, cause: QuarantineCause, now: i64) {
        self.plan_exchange(slot, Some(now), now);
        self.set_quarantine(slot, Some(Quarantine { cause, until: None, error: None }));
        self.wait_for_endpoint(slot, now);
    }

    /// Returns when an account is to return, or is tried again. `None` if new tokens are on their
    /// way, or if it does not return by itself.
    pub(in crate::pool::local) fn return_time(&self, entry: &AccountEntry, quarantine: &Quarantine) -> Option<i64> {
        let left_alone = || self.endpoints.left_alone(entry.limits.endpoint).map(|(until, _)| until);
        match (quarantine.until, entry.exchange) {
            (Some(NEVER), ExchangeState::Due(_)) if quarantine.cause.needs_tokens() => left_alone(),
            (Some(NEVER), _) => None,
            (until, _) => until,
        }
    }

    /// Puts an account into quarantine, or ends its quarantine if `quarantine` is `None`.
    pub(super) fn set_quarantine(&mut self, slot: Slot, quarantine: Option<Quarantine>) {
        let Some(entry) = self.table.get_mut(slot) else { return };
        let was_open = entry.is_open();
        let old_until = entry.quarantine().and_then(|old| old.until);
        match &quarantine {
            Some(new) => self.quarantined.insert(slot, old_until, new.until),
            None => self.quarantined.remove(slot, old_until),
        }
        let (old_cause, new_cause) = (entry.rare.get().cause(), quarantine.as_ref().map(|new| new.cause));
        self.counters.quarantined.change(old_cause, new_cause);
        entry.rare.change(|rare| rare.quarantine = quarantine);
        match (was_open, entry.is_open()) {
            (false, true) => {
                if let Some(entry) = self.table.get(slot) {
                    self.tags.account_opened(entry.tags(), self.most(entry));
                }
            }
            (true, false) => self.close(slot),
            _ => {}
        }
        if self.table.get(slot).is_some_and(|entry| entry.quarantine().is_some()) {
            self.set_position(slot, Position::Idle);
            if self.waiters.saved_for_by(slot).is_some() {
                self.later.push(Due::Account(slot));
            }
        }
        if old_cause.is_none() != new_cause.is_none() {
            self.milestones += 1;
        }
        self.tell_quarantine(slot, old_cause);
    }

    /// Closes an account, and those of its tags that have no other open account.
    fn close(&mut self, slot: Slot) {
        let Some(entry) = self.table.get(slot) else { return };
        let most = self.most(entry);
        self.tags.account_closed(entry.tags(), most);
        self.newly_limited.extend(entry.tags());
        let tags_without_open = entry.tags().filter(|&tag| self.tags.count(tag).open == 0);
        self.newly_closed.extend(tags_without_open.map(WaitFor::Tag).chain([WaitFor::Account(slot)]));
    }

    /// Redirects the callers that wait for a closed tag or account: each gets a lease, waits for
    /// something else, or is told why it cannot wait.
    pub(super) fn redirect_waiters(&mut self, now: i64) {
        while let Some(wait_for) = self.newly_closed.pop() {
            let is_open = match wait_for {
                WaitFor::Tag(tag) => self.tags.count(tag).open > 0,
                WaitFor::Account(slot) => self.table.get(slot).is_some_and(AccountEntry::is_open),
            };
            while let Some(id) = self.waiters.first(wait_for).filter(|_| !is_open) {
                let Some(Waiter { selector, reply, .. }) = self.leave(id, now) else { break };
                match self.acquire(selector, now) {
                    Ok(Ok(granted)) => self.replies.push((reply, Ok(granted))),
                    Err(error) => self.replies.push((reply, Err(error))),
                    Ok(Err(wait_for)) => {
                        self.join(Some(id), Waiter { selector, wait_for, reply, saver: None });
                        self.unsaved.push(id);
                    }
                }
            }
        }
        while let Some(tag) = self.newly_limited.pop() {
            self.refuse_costs(tag, now);
        }
    }

    /// Tells the callers whose calls cost more than any open account of a tag allows that they
    /// cannot wait.
    fn refuse_costs(&mut self, tag: TagIndex, now: i64) {
        let (_, highest) = self.tags.highest_costs(tag);
        let wait_for = WaitFor::Tag(tag);
        let first = |waiters: &Waiters| {
            let found =
                [waiters.first_unsaved(wait_for, highest, u64::MAX), waiters.first_saved(wait_for, highest, u64::MAX)];
            found.into_iter().flatten().min().filter(|_| highest < u64::MAX)
        };
        while let Some(id) = first(&self.waiters) {
            let Some(Waiter { selector, reply, .. }) = self.leave(id, now) else { return };
            let Err(error) = self.check_open(selector, now) else { return };
            self.replies.push((reply, Err(error)));
        }
    }

    /// Ends the rests that are over, and has logins tried again whose pause is over.
    pub(super) fn end_rests(&mut self, now: i64) {
        while let Some(slot) = self.quarantined.pop_due(now) {
            let Some(entry) = self.table.get(slot) else { continue };
            match entry.quarantine().filter(|quarantine| !quarantine.cause.is_rest()).cloned() {
                // The exchange is tried again, so new tokens may be on their way.
                Some(quarantine) => {
                    self.set_quarantine(slot, Some(Quarantine { until: None, ..quarantine }));
                    self.wait_for_endpoint(slot, now);
                }
                None if !entry.has_usable_token(now) => self.await_tokens(slot, now),
                None => self.set_quarantine(slot, None),
            }
            self.dispatch(slot, now);
        }
    }
}
