//! Which accounts have changed since the watcher of a pool asked last.

use std::collections::BTreeSet;

use super::rank::Slot;

#[derive(Debug, Default)]
pub(super) struct ChangedAccounts {
    changed: BTreeSet<Slot>,
    /// The names of accounts that were removed.
    removed: Vec<String>,
}

impl ChangedAccounts {
    /// Notes that every account has changed; `slots` is how many places the table has.
    pub(super) fn all_changed(&mut self, slots: Slot) {
        self.changed = (0..slots).collect();
    }

    /// Adds an account. Returns whether it was not there.
    pub(super) fn insert(&mut self, slot: Slot) -> bool {
        self.changed.insert(slot)
    }

    /// Notes that an account was removed.
    pub(super) fn removed(&mut self, slot: Slot, name: String) {
        self.changed.remove(&slot);
        self.removed.push(name);
    }

    /// Takes an account that was removed. These come first, since another account may have been
    /// added by the same name.
    pub(super) fn take_removed(&mut self) -> Option<String> {
        self.removed.pop()
    }

    pub(super) fn take(&mut self) -> Option<Slot> {
        self.changed.pop_first()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}
