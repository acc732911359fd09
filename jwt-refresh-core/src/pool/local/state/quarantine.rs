//! How accounts go into quarantine, and how they return.

use super::PoolState;
use crate::pool::limits::TagIndex;
use crate::pool::local::entry::{AccountEntry, ExchangeState};
use crate::pool::local::metered_queue::Due;
use crate::pool::local::rank::Slot;
use crate::pool::local::time::NEVER;
use crate::pool::local::waiters::WaitFor;
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
        #[cfg(feature = "redis")]
        self.note_spent(slot, cause);
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
        let (was_open, old_cause) = (entry.is_open(), entry.rare.get().cause());
        let old_until = entry.quarantine().and_then(|old| old.until);
        match &quarantine {
            // What another process has is no trouble, and there may be a great many.
            Some(new) if new.cause != QuarantineCause::Elsewhere => {
                self.quarantined.insert(slot, &entry.limits, old_until, new.until);
            }
            _ => self.quarantined.remove(slot, &entry.limits, old_until),
        }
        let new_cause = quarantine.as_ref().map(|new| new.cause);
        self.counters.quarantined.change(old_cause, new_cause);
        let is_away = quarantine.is_some();
        let old = entry.rare.change(|rare| std::mem::replace(&mut rare.quarantine, quarantine));
        // An error may hold values of the user's, whose drop must not run under the lock.
        self.aftermath.errors.extend(old.and_then(|old| old.error));
        match (was_open, entry.is_open()) {
            (false, true) => {
                if let Some(entry) = self.table.get(slot) {
                    self.tags.account_opened(entry.tags(), self.most(entry));
                }
            }
            (true, false) => self.close(slot),
            _ => {}
        }
        if is_away {
            self.set_idle(slot);
            if self.waiters.saved_for_by(slot).is_some() {
                self.later.push_back(Due::Account(slot));
            }
        }
        self.update_live(slot);
        #[cfg(feature = "redis")]
        {
            self.count_serving(slot);
            self.note_change(slot);
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
        for tag in entry.tags().filter(|_| !self.waiters.is_empty()) {
            self.newly_limited.push_back(tag);
            if self.tags.count(tag).open == 0 {
                self.redirects.extend([WaitFor::Tag(tag), WaitFor::LiveAccount(tag)]);
            }
        }
    }

    /// Ends rests that are over, and has logins tried again whose pause is over: those of accounts
    /// with the tag, of the first tier first.
    ///
    /// A million rests may be over at once. Each change of the state ends some of them, and a lease
    /// ends some with its tag before it is refused, or goes to another tier.
    pub(super) fn end_rests(&mut self, tag: TagIndex, now: i64) {
        while let Some(slot) = self.quarantined.due(tag, now) {
            if !self.take_step() {
                return;
            }
            let Some(entry) = self.table.get(slot) else { return };
            match entry.quarantine().filter(|quarantine| !quarantine.cause.is_rest()).cloned() {
                // The exchange is tried again, so new tokens may be on their way.
                Some(quarantine) => {
                    self.set_quarantine(slot, Some(Quarantine { until: None, ..quarantine }));
                    self.wait_for_endpoint(slot, now);
                }
                #[cfg(feature = "redis")]
                None if entry.is_supplied() => self.supplied_rest_over(slot, now),
                None if !entry.has_usable_token(now) => self.await_tokens(slot, now),
                None => self.set_quarantine(slot, None),
            }
            self.dispatch(slot, now);
        }
    }
}
