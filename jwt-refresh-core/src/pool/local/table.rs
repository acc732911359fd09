//! The accounts of a pool. Each is in a slot, and can be found by its name or by a caller's key.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::entry::{AccountEntry, AccountHandle};
use super::pages::Pages;
use super::rank::Slot;

#[derive(Default)]
pub(super) struct Table {
    slots: Pages<Option<AccountEntry>>,
    /// Slots of accounts that were removed.
    free: Vec<Slot>,
    /// The serial number of the account that was added last.
    serial: u32,
    /// The accounts by the hash of their name. This serves to find an account by its name, and it
    /// is the ring of consistent hashing: a key belongs to the next account on the ring. Half a
    /// hash is enough: among a million accounts, about a hundred are at the same point as another
    /// one.
    ring: BTreeSet<(u32, Slot)>,
}

/// Returns the point on the ring of a name or a key.
pub(super) fn ring_point(text: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    (hasher.finish() >> 32) as u32
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
        self.ring.insert((ring_point(entry.identity.name()), slot));
        if let Some(stored) = self.slots.get_mut(slot as usize) {
            *stored = Some(entry);
        }
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<AccountEntry> {
        let entry = self.slots.get_mut(slot as usize).and_then(Option::take)?;
        self.ring.remove(&(ring_point(entry.identity.name()), slot));
        self.free.push(slot);
        Some(entry)
    }

    pub(super) fn find(&self, name: &str) -> Option<Slot> {
        let point = ring_point(name);
        let mut range = self.ring.range((point, Slot::MIN)..=(point, Slot::MAX)).map(|&(_, slot)| slot);
        range.find(|&slot| self.get(slot).is_some_and(|entry| entry.identity.name() == name))
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

    /// Returns all accounts in the order of the ring, beginning at the point of a key.
    pub(super) fn ring_from(&self, key: u32) -> impl Iterator<Item = (Slot, &AccountEntry)> {
        let start = (key, Slot::MIN);
        let round = self.ring.range(start..).chain(self.ring.range(..start));
        round.filter_map(|&(_, slot)| Some((slot, self.get(slot)?)))
    }
}
