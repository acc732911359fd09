//! The rings of a pool: one for each tag that a caller with a key has asked for, and each tier.
//!
//! A ring takes about 15 bytes for each of its accounts, so it is made when a caller asks for it
//! first. In a pool of a million accounts that takes longer than the lock may be held, so it is
//! made in portions. Meanwhile accounts may come and go.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::groups::tags_of;
use super::key_ring::{KeyRing, Point};
use super::rank::Slot;
use crate::pool::limits::{Limits, TagIndex, Tier};

/// How many accounts are looked at in one portion.
const PORTION: Slot = 1024;

#[derive(Debug, Default)]
pub(super) struct KeyRings {
    tags: BTreeMap<TagIndex, TagRings>,
    /// The tags whose rings are still to be completed, and the first account to be looked at.
    incomplete: BTreeMap<TagIndex, Slot>,
}

/// The rings of a tag: one for each tier.
type TagRings = BTreeMap<Tier, KeyRing>;

impl KeyRings {
    /// Returns whether the rings of a tag are there. If they were not asked for before, they are to
    /// be made from now on.
    pub(super) fn are_complete(&mut self, tag: TagIndex) -> bool {
        if let Entry::Vacant(new) = self.tags.entry(tag) {
            new.insert(TagRings::new());
            self.incomplete.insert(tag, 0);
        }
        !self.incomplete.contains_key(&tag)
    }

    /// Returns whether accounts are to be looked at for a ring.
    pub(super) fn is_to_complete(&self) -> bool {
        !self.incomplete.is_empty()
    }

    /// Returns the next portion of the accounts that are to be looked at for the rings of a tag.
    pub(super) fn next_portion(&mut self) -> Option<(TagIndex, std::ops::Range<Slot>)> {
        let (&tag, next) = self.incomplete.iter_mut().next()?;
        let portion = *next..next.saturating_add(PORTION);
        *next = portion.end;
        Some((tag, portion))
    }

    /// Notes that all accounts were looked at for the rings of a tag.
    pub(super) fn complete(&mut self, tag: TagIndex) {
        self.incomplete.remove(&tag);
    }

    /// Notes that an account has a live token.
    pub(super) fn insert(&mut self, tag: TagIndex, tier: Tier, at: Point, slot: Slot) {
        if let Some(rings) = self.tags.get_mut(&tag) {
            rings.entry(tier).or_default().insert(at, slot);
        }
    }

    /// Notes that an account has a live token from now on, or has none any more. Its point is asked
    /// for if there is a ring to change.
    pub(super) fn set_live(&mut self, slot: Slot, limits: &Limits, is_live: bool, at: impl Fn() -> Point) {
        if self.tags.is_empty() {
            return;
        }
        for tag in tags_of(limits) {
            let Some(rings) = self.tags.get_mut(&tag) else { continue };
            if is_live {
                rings.entry(limits.tier).or_default().insert(at(), slot);
            } else if let Some(ring) = rings.get_mut(&limits.tier) {
                ring.remove(at(), slot);
            }
        }
    }

    /// Returns the account that a key belongs to: one of the first tier that has a live account.
    pub(super) fn account<'a>(&self, tag: TagIndex, key: u64, name: impl Fn(Slot) -> Option<&'a str>) -> Option<Slot> {
        self.tags.get(&tag)?.values().find_map(|ring| ring.account(key, &name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::limits::ALL;
    use crate::pool::local::groups::tests::limits;

    /// Looks at a portion of accounts, of which those whose number `is_live` are.
    fn look(rings: &mut KeyRings, slots: Slot, is_live: impl Fn(Slot) -> bool) {
        let Some((tag, portion)) = rings.next_portion() else { return };
        let ends = portion.end >= slots;
        for slot in portion.filter(|&slot| slot < slots && is_live(slot)) {
            rings.insert(tag, 0, point_of(slot), slot);
        }
        if ends {
            rings.complete(tag);
        }
    }

    fn point_of(slot: Slot) -> Point {
        slot.wrapping_mul(0x9e37_79b9)
    }

    #[test]
    fn a_ring_that_is_made_while_accounts_come_and_go_is_that_of_the_live_ones() {
        let (slots, plain) = (10 * PORTION + 7, limits(0, &[]));
        // Those that change become live, or live no more, while the ring is half made.
        let (before, after) = (|slot: Slot| slot.is_multiple_of(3), |slot: Slot| slot % 3 == 1);
        let mut rings = KeyRings::default();
        assert!(!rings.are_complete(ALL));
        for _ in 0..5 {
            look(&mut rings, slots, before);
        }
        for slot in (0..slots).filter(|&slot| before(slot) != after(slot)) {
            rings.set_live(slot, &plain, after(slot), || point_of(slot));
        }
        while rings.is_to_complete() {
            look(&mut rings, slots, after);
        }
        assert!(rings.are_complete(ALL));
        let mut whole = KeyRing::default();
        (0..slots).filter(|&slot| after(slot)).for_each(|slot| whole.insert(point_of(slot), slot));
        for key in 0..200 {
            let key = crate::pool::local::key_ring::hash(&key.to_string());
            assert_eq!(rings.account(ALL, key, |_| None), whole.account(key, |_| None));
        }
    }

    #[test]
    fn a_key_belongs_to_the_first_tier_with_a_live_account() {
        let (first, second) = (limits(0, &[1]), limits(1, &[1]));
        let mut rings = KeyRings::default();
        assert!(!rings.are_complete(1));
        rings.complete(1);
        assert_eq!(rings.account(1, 7, |_| None), None);
        rings.set_live(2, &second, true, || 20);
        assert_eq!(rings.account(1, 7, |_| None), Some(2));
        rings.set_live(1, &first, true, || 10);
        assert_eq!(rings.account(1, 7, |_| None), Some(1));
        rings.set_live(1, &first, false, || 10);
        assert_eq!(rings.account(1, 7, |_| None), Some(2));
    }
}
