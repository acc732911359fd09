//! Accounts in order of rank: the first is at hand, and any of them can be moved or taken out in O(log n).
//!
//! A heap with four children a parent, and beside it each account's place in it. It costs 20 bytes an account, where a sorted set
//! costs up to 32.

use super::pages::Pages;
use super::rank::{Rank, Slot};

const CHILDREN: usize = 4;
/// The place of an account that is not in the heap.
const NOWHERE: u32 = u32::MAX;

type HeapEntry = (Rank, Slot);

#[derive(Debug, Default)]
pub(super) struct Heap {
    entries: Pages<HeapEntry>,
    /// By slot.
    places: Pages<u32>,
}

impl Heap {
    pub(super) fn first(&self) -> Option<HeapEntry> {
        self.entries.get(0).copied()
    }

    /// The first, if it is due.
    pub(super) fn due(&self, now: i64) -> Option<Slot> {
        self.first().filter(|(rank, _)| rank.order <= now).map(|(_, slot)| slot)
    }

    /// The time of the first.
    pub(super) fn next(&self) -> Option<i64> {
        self.first().map(|(rank, _)| rank.order)
    }

    /// The rank of an account, if it is in the heap.
    pub(super) fn rank(&self, slot: Slot) -> Option<Rank> {
        let place = *self.places.get(slot as usize)?;
        self.entries.get(place as usize).map(|&(rank, _)| rank)
    }

    /// Puts an account in, moves it, or takes it out.
    pub(super) fn set(&mut self, slot: Slot, rank: Option<Rank>) {
        let at = self.places.get(slot as usize).copied().filter(|&place| place != NOWHERE);
        match (at, rank) {
            (None, None) => {}
            (None, Some(rank)) => {
                let at = self.entries.len();
                self.entries.push((rank, slot));
                self.sift_up(at, (rank, slot));
            }
            (Some(at), Some(rank)) => self.reposition(at as usize, (rank, slot)),
            (Some(at), None) => self.take_out(at as usize, slot),
        }
    }

    fn take_out(&mut self, at: usize, slot: Slot) {
        self.set_place(slot, NOWHERE);
        let Some(last) = self.entries.pop() else { return };
        if at < self.entries.len() {
            self.reposition(at, last);
        }
    }

    /// Puts an entry where it belongs, from a place that is free for it.
    fn reposition(&mut self, at: usize, entry: HeapEntry) {
        let is_early = at > 0 && self.entries.get((at - 1) / CHILDREN).is_some_and(|above| entry < *above);
        if is_early { self.sift_up(at, entry) } else { self.sift_down(at, entry) }
    }

    fn sift_up(&mut self, mut at: usize, entry: HeapEntry) {
        while let Some(parent) = at.checked_sub(1).map(|before| before / CHILDREN) {
            let Some(&above) = self.entries.get(parent).filter(|above| entry < **above) else { break };
            self.put(at, above);
            at = parent;
        }
        self.put(at, entry);
    }

    fn sift_down(&mut self, mut at: usize, entry: HeapEntry) {
        loop {
            let children = CHILDREN * at + 1..=CHILDREN * (at + 1);
            let first = children.filter_map(|child| Some((*self.entries.get(child)?, child))).min();
            let Some((below, child)) = first.filter(|(below, _)| *below < entry) else { break };
            self.put(at, below);
            at = child;
        }
        self.put(at, entry);
    }

    fn put(&mut self, at: usize, entry: HeapEntry) {
        if let Some(place) = self.entries.get_mut(at) {
            *place = entry;
        }
        // There are no more slots than a `u32` can tell.
        self.set_place(entry.1, u32::try_from(at).unwrap_or(NOWHERE));
    }

    fn set_place(&mut self, slot: Slot, to: u32) {
        while self.places.len() <= slot as usize {
            self.places.push(NOWHERE);
        }
        if let Some(place) = self.places.get_mut(slot as usize) {
            *place = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_as_a_sorted_set_does(steps in prop::collection::vec((0..60_u32, prop::option::of((0..9_i64, 0..3_u32))), 1..400)) {
            let (mut heap, mut set) = (Heap::default(), BTreeSet::new());
            for (slot, rank) in steps {
                let rank = rank.map(|(order, turn)| Rank { order, turn });
                set.retain(|&(_, other)| other != slot);
                set.extend(rank.map(|rank| (rank, slot)));
                heap.set(slot, rank);
                prop_assert_eq!(heap.first(), set.first().copied());
                prop_assert_eq!(heap.rank(slot), rank);
            }
            while let Some((rank, slot)) = set.pop_first() {
                prop_assert_eq!(heap.first(), Some((rank, slot)));
                heap.set(slot, None);
            }
            prop_assert_eq!(heap.first(), None);
        }
    }
}
