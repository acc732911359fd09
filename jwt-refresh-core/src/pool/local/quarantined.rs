//! The accounts in quarantine, and when each of them returns.

use std::collections::BTreeSet;

use super::rank::Slot;

#[derive(Debug, Default)]
pub(super) struct QuarantineList {
    accounts: BTreeSet<Slot>,
    /// When accounts return from a rest, or a login is tried again, in nanoseconds since boot.
    returning: BTreeSet<(i64, Slot)>,
}

impl QuarantineList {
    /// Adds an account that returns at `to`, or changes the return of one from `from` to `to`.
    /// `None` is an account whose return has no time.
    pub(super) fn insert(&mut self, slot: Slot, from: Option<i64>, to: Option<i64>) {
        self.forget_return(slot, from);
        if let Some(until) = to {
            self.returning.insert((until, slot));
        }
        self.accounts.insert(slot);
    }

    /// Removes an account that would have returned at `until`.
    pub(super) fn remove(&mut self, slot: Slot, until: Option<i64>) {
        self.forget_return(slot, until);
        self.accounts.remove(&slot);
    }

    fn forget_return(&mut self, slot: Slot, until: Option<i64>) {
        if let Some(until) = until {
            self.returning.remove(&(until, slot));
        }
    }

    /// Returns an account whose time has come, and forgets the time. The account stays on the list.
    pub(super) fn pop_due(&mut self, now: i64) -> Option<Slot> {
        self.returning.first().filter(|(until, _)| *until <= now)?;
        self.returning.pop_first().map(|(_, slot)| slot)
    }

    /// Returns when the next account's time comes.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.returning.first().map(|&(until, _)| until)
    }

    /// Returns the accounts whose time is known, the earliest first.
    pub(super) fn returning(&self) -> impl Iterator<Item = (i64, Slot)> {
        self.returning.iter().copied()
    }

    /// Returns all accounts in quarantine.
    pub(super) fn accounts(&self) -> impl Iterator<Item = Slot> {
        self.accounts.iter().copied()
    }
}
