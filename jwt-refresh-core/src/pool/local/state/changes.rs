//! What changes, for a fleet that watches the pool of one of its processes.

use super::PoolState;
use crate::clock::{Moment, Timestamp};
use crate::pool::local::entry::{AccountEntry, AccountHandle};
use crate::pool::local::rank::Slot;
use crate::pool::local::time::NEVER;
use crate::pool::policy::PoolPolicy;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::share::{AccountChange, SuppliedToken};

impl PoolState {
    /// Keeps track of which accounts change from now on. All that there are count as changed, each
    /// time that this is called.
    pub(in crate::pool::local) fn watch(&mut self) {
        let slots = Slot::try_from(self.table.slots()).unwrap_or(Slot::MAX);
        self.changes.get_or_insert_default().all_changed(slots);
        self.milestones += 1;
    }

    /// Notes that an account changed.
    pub(super) fn note_change(&mut self, slot: Slot) {
        if self.changes.as_mut().is_some_and(|changes| changes.insert(slot)) {
            self.milestones += 1;
        }
    }

    /// Notes that an account was removed, whose share is gone then, too.
    pub(super) fn note_removal(&mut self, slot: Slot) {
        self.stop_serving(slot);
        self.shares.held.remove(&slot);
        self.shares.late.remove(&slot);
        if let (Some(changes), Some(entry)) = (&mut self.changes, self.table.get(slot)) {
            changes.removed(slot, entry.identity.name().to_owned());
            self.milestones += 1;
        }
    }

    /// Returns whether an account changed that is not taken yet.
    pub(in crate::pool::local) fn has_changed(&self) -> bool {
        self.changes.as_ref().is_some_and(|changes| !changes.is_empty())
    }

    /// Takes at most `most` accounts that have changed, with what is true of them now.
    pub(in crate::pool::local) fn take_changed(&mut self, most: usize, now: i64) -> Vec<AccountChange> {
        let mut told = Vec::new();
        while told.len() < most {
            let Some(changes) = &mut self.changes else { break };
            if let Some(name) = changes.take_removed() {
                let (token, quarantine, wants) = (None, None, None);
                let (held, late_cost, is_short) = (0, 0, false);
                told.push(AccountChange {
                    name,
                    token,
                    quarantine,
                    wants,
                    held,
                    late_cost,
                    is_short,
                    is_removed: true,
                });
                continue;
            }
            let Some(slot) = changes.take() else { break };
            let is_short = self.is_short(slot, now);
            let late_cost = self.shares.late.get_mut(&slot).map_or(0, |late| std::mem::take(&mut late.cost));
            told.extend(self.change_of(slot, now).map(|change| AccountChange { late_cost, is_short, ..change }));
        }
        told
    }

    fn change_of(&self, slot: Slot, now: i64) -> Option<AccountChange> {
        let entry = self.table.get(slot)?;
        let wall = self.at(now).wall;
        let moment = Moment { wall: Timestamp::from_nanos(wall), boot: Timestamp::from_nanos(now) };
        let token = entry.token.as_ref().map(|token| {
            let wall = token.expires_at().map_or(moment.wall, Timestamp::from);
            let boot = Timestamp::from_nanos(entry.times.expires);
            let is_endless = boot == Timestamp::NEVER;
            let expires = if is_endless { Moment::NEVER } else { Moment { wall, boot } };
            SuppliedToken { token: token.clone(), sequence: token.generation(), expires }
        });
        let late = self.shares.late.get(&slot);
        let wants = self.shares.held.get(&slot).map_or(late.and_then(|late| late.spent), |held| held.spent);
        let wants = wants.filter(|(spent, _)| token.as_ref().is_none_or(|token| token.sequence <= *spent));
        Some(AccountChange {
            name: entry.identity.name().to_owned(),
            token,
            quarantine: self.own_part(slot, entry, now),
            wants,
            held: entry.held,
            late_cost: 0,
            is_short: false,
            is_removed: false,
        })
    }

    /// Returns the quarantine of an account as far as it is not what others have said of it.
    fn own_part(&self, slot: Slot, entry: &AccountEntry, now: i64) -> Option<Quarantine> {
        let quarantine = entry.quarantine();
        let own = match self.shares.held.get(&slot) {
            _ if !entry.is_supplied() => {
                let until = |quarantine| self.return_time(entry, quarantine).unwrap_or(NEVER);
                return quarantine.map(|this| Quarantine { until: this.until.map(|_| until(this)), ..this.clone() });
            }
            Some(held) if held.is_covered() => held.rest.as_ref(),
            Some(_) => quarantine.filter(|quarantine| quarantine.cause != QuarantineCause::Elsewhere),
            None => {
                let late = self.shares.late.get(&slot).and_then(|late| late.rest.as_ref());
                late.filter(|rest| rest.until.is_some_and(|until| until > now))
            }
        };
        own.cloned()
    }

    /// Has the token of that sequence replaced, as if the holder of a lease had reported it. If the
    /// account has another, it counts as changed.
    pub(in crate::pool::local) fn renew_rejected(
        &mut self,
        name: &str,
        sequence: u64,
        cause: QuarantineCause,
        policy: &PoolPolicy,
        now: i64,
    ) {
        let Some(slot) = self.table.find(name) else { return };
        let Some(entry) = self.table.get(slot) else { return };
        let handle = AccountHandle { slot, serial: entry.serial };
        if entry.token.is_some() && !entry.holds(sequence) {
            return self.note_change(slot);
        }
        match cause {
            QuarantineCause::Rejected => self.rejected(handle, sequence, policy, now),
            QuarantineCause::UsageCap if entry.holds(sequence) && entry.quarantine().is_none() => {
                self.renew_now(slot, cause, now);
            }
            // The token is renewed as it is, when it is due, and is told then.
            _ => {}
        }
    }

    /// Has the token replaced if its sequence is below `sequence`; else it counts as changed. If
    /// there is no token, the exchange that is to bring one has its time.
    pub(in crate::pool::local) fn catch_up(&mut self, name: &str, sequence: u64, now: i64) {
        let Some(slot) = self.table.find(name) else { return };
        let Some(entry) = self.table.get(slot) else { return };
        if entry.token.as_ref().is_some_and(|token| token.generation() >= sequence) {
            return self.note_change(slot);
        }
        if let Some(account) = entry.identity.stored() {
            account.note_sequence(sequence);
        }
        // After a failure the next exchange has its time.
        if entry.failures == 0 && entry.token.is_some() {
            self.plan_exchange(slot, Some(now), now);
        }
    }
}
