//! Which accounts can serve, in the order in which they shall: one order for all of them, and one
//! for each tag. Beside them are the accounts that can serve as soon as their rate allows, by when
//! that is. Every step costs O(log n).

use std::collections::BTreeSet;

use super::heap::Heap;
use super::rank::{Rank, Slot};
use crate::pool::limits::TagIndex;

/// Where an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// It cannot serve, and no time alone changes that.
    Idle,
    /// It can serve, in this order.
    Ready(Rank),
    /// Its rate lets it serve from this time on, in nanoseconds since boot.
    Waiting(i64),
}

#[derive(Debug)]
pub(super) struct ReadyQueue {
    ready: Heap,
    /// The accounts of each tag. They are sets and not heaps, since few accounts may have a tag, and
    /// a heap has a place for every slot.
    tagged: Vec<BTreeSet<(Rank, Slot)>>,
    waiting: Heap,
}

impl ReadyQueue {
    pub(super) fn new() -> Self {
        Self { ready: Heap::default(), tagged: Vec::new(), waiting: Heap::default() }
    }

    /// Adds a tag.
    pub(super) fn add_tag(&mut self) -> TagIndex {
        self.tagged.push(BTreeSet::new());
        TagIndex::try_from(self.tagged.len()).unwrap_or(TagIndex::MAX)
    }

    /// Moves an account to another position. `tags` are its own, without the one that stands for all accounts.
    pub(super) fn set_position(&mut self, slot: Slot, tags: &[TagIndex], to: Position) {
        let (ready, waiting) = match to {
            Position::Idle => (None, None),
            Position::Ready(rank) => (Some(rank), None),
            Position::Waiting(until) => (None, Some(Rank::at(until))),
        };
        self.waiting.set(slot, waiting);
        let was_ready = self.ready.rank(slot);
        if was_ready == ready {
            return;
        }
        self.ready.set(slot, ready);
        for tag in tags {
            let Some(accounts) = tag.checked_sub(1).and_then(|tag| self.tagged.get_mut(tag as usize)) else { continue };
            if let Some(rank) = was_ready {
                accounts.remove(&(rank, slot));
            }
            accounts.extend(ready.map(|rank| (rank, slot)));
        }
    }

    /// The account of a tag that serves next.
    pub(super) fn first(&self, tag: TagIndex) -> Option<Slot> {
        let first = match tag.checked_sub(1) {
            None => self.ready.first(),
            Some(tag) => self.tagged.get(tag as usize)?.first().copied(),
        };
        first.map(|(_, slot)| slot)
    }

    pub(super) fn is_ready(&self, slot: Slot) -> bool {
        self.ready.rank(slot).is_some()
    }

    /// An account that waits and whose time has come.
    pub(super) fn due(&self, now: i64) -> Option<Slot> {
        self.waiting.due(now)
    }

    /// When the next account's time comes.
    pub(super) fn next(&self) -> Option<i64> {
        self.waiting.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::limits::ALL;

    fn ready(order: i64, turn: u32) -> Position {
        Position::Ready(Rank { order, turn })
    }

    #[test]
    fn the_lowest_rank_is_first_and_of_equals_the_least_recently_used() {
        let mut queue = ReadyQueue::new();
        for (slot, position) in [(1, ready(5, 1)), (2, ready(3, 9)), (3, ready(3, 2))] {
            queue.set_position(slot, &[], position);
        }
        assert_eq!(queue.first(ALL), Some(3));
        queue.set_position(3, &[], Position::Idle);
        assert_eq!(queue.first(ALL), Some(2));
    }

    #[test]
    fn an_account_is_found_by_its_tags_and_by_no_other() {
        let mut queue = ReadyQueue::new();
        let (eu, us) = (queue.add_tag(), queue.add_tag());
        queue.set_position(7, &[eu], ready(1, 1));
        assert_eq!((queue.first(ALL), queue.first(eu), queue.first(us)), (Some(7), Some(7), None));
        queue.set_position(7, &[eu], Position::Waiting(10));
        assert_eq!((queue.first(ALL), queue.first(eu)), (None, None));
    }

    #[test]
    fn accounts_that_wait_are_due_in_the_order_of_their_times() {
        let mut queue = ReadyQueue::new();
        queue.set_position(1, &[], Position::Waiting(20));
        queue.set_position(2, &[], Position::Waiting(10));
        assert_eq!((queue.next(), queue.due(9), queue.due(10)), (Some(10), None, Some(2)));
        queue.set_position(2, &[], Position::Idle);
        assert_eq!((queue.due(10), queue.due(20)), (None, Some(1)));
    }
}
