//! Who is in quarantine, and who returns from it when.

use std::collections::BTreeSet;

use super::schedule::Slot;

#[derive(Debug, Default)]
pub(super) struct Ward {
    confined: BTreeSet<Slot>,
    /// Who returns from a rest when, or is tried again.
    returning: BTreeSet<(i64, Slot)>,
}

impl Ward {
    /// Takes an account in, or moves its return from one time to another.
    pub(super) fn keep(&mut self, slot: Slot, from: Option<i64>, to: Option<i64>) {
        self.forget_return(slot, from);
        if let Some(until) = to {
            self.returning.insert((until, slot));
        }
        self.confined.insert(slot);
    }

    /// Lets an account go.
    pub(super) fn release(&mut self, slot: Slot, until: Option<i64>) {
        self.forget_return(slot, until);
        self.confined.remove(&slot);
    }

    fn forget_return(&mut self, slot: Slot, until: Option<i64>) {
        if let Some(until) = until {
            self.returning.remove(&(until, slot));
        }
    }

    /// An account whose time has come, which is not told again.
    pub(super) fn ripe(&mut self, now: i64) -> Option<Slot> {
        self.returning.first().filter(|(until, _)| *until <= now)?;
        self.returning.pop_first().map(|(_, slot)| slot)
    }

    /// When the next account's time comes.
    pub(super) fn next(&self) -> Option<i64> {
        self.returning.first().map(|&(until, _)| until)
    }

    /// Those whose time is known, the first first.
    pub(super) fn returning(&self) -> impl Iterator<Item = (i64, Slot)> {
        self.returning.iter().copied()
    }

    pub(super) fn confined(&self) -> impl Iterator<Item = Slot> {
        self.confined.iter().copied()
    }
}
