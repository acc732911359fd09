//! The accounts of a pool. Each is in a slot, and can be found by its name.

use std::collections::BTreeSet;

use super::entry::{AccountEntry, AccountHandle};
use super::key_ring::{Point, hash, point};
use super::pages::Pages;
use super::rank::Slot;

#[derive(Default)]
pub(super) struct Table {
    slots: Pages<Option<AccountEntry>>,
    /// Slots of accounts that were removed.
    free: Pages<Slot>,
    /// The serial number of the account that was added last.
    serial: u32,
    /// The accounts by the hash of their name. Half a hash is enough: among a million accounts,
    /// about a hundred have the same as another one.
    names: BTreeSet<(Point, Slot)>,
}

impl Table {
    /// Adds an account, with a new serial number. Returns its slot.
    pub(super) fn insert(&mut self, mut entry: AccountEntry) -> Slot {
        self.serial = self.serial.wrapping_add(1);
        entry.serial = self.serial;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Slot::try_from(self.slots.len() - 1).unwrap_or(Slot::MAX)
        });
        self.names.insert((point(hash(entry.identity.name())), slot));
        if let Some(stored) = self.slots.get_mut(slot as usize) {
            *stored = Some(entry);
        }
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<AccountEntry> {
        let entry = self.slots.get_mut(slot as usize).and_then(Option::take)?;
        self.names.remove(&(point(hash(entry.identity.name())), slot));
        self.free.push(slot);
        Some(entry)
    }

    pub(super) fn find(&self, name: &str) -> Option<Slot> {
        let point = point(hash(name));
        let mut range = self.names.range((point, Slot::MIN)..=(point, Slot::MAX)).map(|&(_, slot)| slot);
        range.find(|&slot| self.get(slot).is_some_and(|entry| entry.identity.name() == name))
    }

    /// Returns how many slots there are, with and without an account.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&AccountEntry> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut AccountEntry> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Returns the account, unless it was removed.
    pub(super) fn by_handle(&mut self, handle: AccountHandle) -> Option<&mut AccountEntry> {
        self.get_mut(handle.slot).filter(|entry| entry.serial == handle.serial)
    }
}
