//! Accounts in the order of their ranks. The first account is found in O(1), and any account can be
//! moved or removed in O(log n).
//!
//! This is a heap in which each parent has four children, with a second vector that holds each
//! account's index in the heap. It takes 20 bytes an account, and a sorted set up to 32.

use super::pages::Pages;
use super::rank::{Rank, Slot};

const CHILDREN: usize = 4;
/// The index of an account that is not in the heap.
const ABSENT: u32 = u32::MAX;

type HeapEntry = (Rank, Slot);

#[derive(Debug, Default)]
pub(super) struct Heap {
    entries: Pages<HeapEntry>,
    /// The index in `entries` of each slot, or [`ABSENT`].
    indices: Pages<u32>,
}

impl Heap {
    /// Returns the first account and its rank.
    pub(super) fn first(&self) -> Option<HeapEntry> {
        self.entries.get(0).copied()
    }

    /// Returns the first account if it is due. The ranks are times.
    pub(super) fn due(&self, now: i64) -> Option<Slot> {
        self.first().filter(|(rank, _)| rank.order <= now).map(|(_, slot)| slot)
    }

    /// Returns when the first account is due. The ranks are times.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.first().map(|(rank, _)| rank.order)
    }

    /// Returns the rank of an account, or `None` if it is not in the heap.
    pub(super) fn rank(&self, slot: Slot) -> Option<Rank> {
        let index = *self.indices.get(slot as usize)?;
        self.entries.get(index as usize).map(|&(rank, _)| rank)
    }

    /// Inserts an account, moves it to another rank, or removes it if `rank` is `None`.
    pub(super) fn set(&mut self, slot: Slot, rank: Option<Rank>) {
        let at = self.indices.get(slot as usize).copied().filter(|&index| index != ABSENT);
        match (at, rank) {
            (None, None) => {}
            (None, Some(rank)) => {
                let at = self.entries.len();
                self.entries.push((rank, slot));
                self.sift_up(at, (rank, slot));
            }
            (Some(at), Some(rank)) => self.reposition(at as usize, (rank, slot)),
            (Some(at), None) => self.remove_at(at as usize, slot),
        }
    }

    fn remove_at(&mut self, at: usize, slot: Slot) {
        self.set_index(slot, ABSENT);
        let Some(last) = self.entries.pop() else { return };
        if at < self.entries.len() {
            self.reposition(at, last);
        }
    }

    /// Puts an entry where it belongs, starting from the free index `at`.
    fn reposition(&mut self, at: usize, entry: HeapEntry) {
        let belongs_above = at > 0 && self.entries.get((at - 1) / CHILDREN).is_some_and(|above| entry < *above);
        if belongs_above { self.sift_up(at, entry) } else { self.sift_down(at, entry) }
    }

    /// Moves the free index `at` up to where the entry belongs, and puts the entry there.
    fn sift_up(&mut self, mut at: usize, entry: HeapEntry) {
        while let Some(parent) = at.checked_sub(1).map(|before| before / CHILDREN) {
            let Some(&above) = self.entries.get(parent).filter(|above| entry < **above) else { break };
            self.put(at, above);
            at = parent;
        }
        self.put(at, entry);
    }

    /// Moves the free index `at` down to where the entry belongs, and puts the entry there.
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
        if let Some(stored) = self.entries.get_mut(at) {
            *stored = entry;
        }
        // Slots are `u32`, so the heap has no more entries than fit.
        self.set_index(entry.1, u32::try_from(at).unwrap_or(ABSENT));
    }

    fn set_index(&mut self, slot: Slot, at: u32) {
        while self.indices.len() <= slot as usize {
            self.indices.push(ABSENT);
        }
        if let Some(index) = self.indices.get_mut(slot as usize) {
            *index = at;
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
        fn the_heap_behaves_like_a_sorted_set(steps in prop::collection::vec((0..60_u32, prop::option::of((0..9_i64, 0..3_u32))), 1..400)) {
            let (mut heap, mut set) = (Heap::default(), BTreeSet::new());
            for (slot, rank) in steps {
                let rank = rank.map(|(order, last_lease)| Rank { order, last_lease });
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
