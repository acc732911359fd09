//! The accounts of a pool: each in a slot, found by its name, and in the order of a ring for keys.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::entry::{AccountEntry, AccountHandle};
use super::pages::Pages;
use super::rank::Slot;

#[derive(Default)]
pub(super) struct Table {
    slots: Pages<Option<AccountEntry>>,
    free: Vec<Slot>,
    serial: u32,
    /// Accounts by the hash of their name: to find them by it, and for keys, the next of which is theirs. Half a hash is enough:
    /// of a million accounts, some hundred stand where another one does.
    ring: BTreeSet<(u32, Slot)>,
}

/// A name's or a key's place on the ring.
pub(super) fn hash(text: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    (hasher.finish() >> 32) as u32
}

impl Table {
    /// Gives an account a slot and a serial number.
    pub(super) fn insert(&mut self, mut entry: AccountEntry) -> Slot {
        self.serial = self.serial.wrapping_add(1);
        entry.serial = self.serial;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Slot::try_from(self.slots.len() - 1).unwrap_or(Slot::MAX)
        });
        self.ring.insert((hash(entry.identity.name()), slot));
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(entry);
        }
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<AccountEntry> {
        let entry = self.slots.get_mut(slot as usize).and_then(Option::take)?;
        self.ring.remove(&(hash(entry.identity.name()), slot));
        self.free.push(slot);
        Some(entry)
    }

    pub(super) fn find(&self, name: &str) -> Option<Slot> {
        let hash = hash(name);
        let mut range = self.ring.range((hash, Slot::MIN)..=(hash, Slot::MAX)).map(|&(_, slot)| slot);
        range.find(|&slot| self.at(slot).is_some_and(|entry| entry.identity.name() == name))
    }

    pub(super) fn at(&self, slot: Slot) -> Option<&AccountEntry> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn at_mut(&mut self, slot: Slot) -> Option<&mut AccountEntry> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The account, unless it was removed.
    pub(super) fn entry(&mut self, handle: AccountHandle) -> Option<&mut AccountEntry> {
        self.at_mut(handle.slot).filter(|entry| entry.serial == handle.serial)
    }

    /// All accounts, once round the ring from the key's place on.
    pub(super) fn round(&self, key: u32) -> impl Iterator<Item = (Slot, &AccountEntry)> {
        let start = (key, Slot::MIN);
        let round = self.ring.range(start..).chain(self.ring.range(..start));
        round.filter_map(|&(_, slot)| Some((slot, self.at(slot)?)))
    }
}
