//! The accounts that can serve, in the order in which they are to serve: one order for all
//! accounts, and one for each tag. Beside them are the accounts that can serve once their rate
//! allows it, sorted by that time. Every operation takes O(log n).

use std::collections::BTreeSet;

use super::heap::Heap;
use super::rank::{Rank, Slot};
use crate::pool::limits::TagIndex;

/// Whether an account can serve, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// The account cannot serve, and will not be able to by the passing of time alone.
    Idle,
    /// The account can serve, and is sorted by this rank.
    Ready(Rank),
    /// The account can serve from this time on, when its rate allows it, in nanoseconds since boot.
    Waiting(i64),
}

#[derive(Debug)]
pub(super) struct ReadyQueue {
    ready: Heap,
    /// The ready accounts of each tag. These are sets and not heaps, since few accounts may have a
    /// tag, and a heap has an index for every slot.
    tagged: Vec<BTreeSet<(Rank, Slot)>>,
    waiting: Heap,
}

impl ReadyQueue {
    pub(super) fn new() -> Self {
        Self { ready: Heap::default(), tagged: Vec::new(), waiting: Heap::default() }
    }

    /// Adds a tag, and returns its number.
    pub(super) fn add_tag(&mut self) -> TagIndex {
        self.tagged.push(BTreeSet::new());
        TagIndex::try_from(self.tagged.len()).unwrap_or(TagIndex::MAX)
    }

    /// Moves an account to another position. `tags` are its tags without the one that stands for
    /// all accounts.
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

    /// Returns the account of a tag that serves next.
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

    /// Returns an account whose rate allows it to serve by now, but which is not ready yet.
    pub(super) fn due(&self, now: i64) -> Option<Slot> {
        self.waiting.due(now)
    }

    /// Returns when the rate of the next account allows it to serve.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.waiting.next_due()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::limits::ALL;

    fn ready(order: i64, last_lease: u32) -> Position {
        Position::Ready(Rank { order, last_lease })
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
        assert_eq!((queue.next_due(), queue.due(9), queue.due(10)), (Some(10), None, Some(2)));
        queue.set_position(2, &[], Position::Idle);
        assert_eq!((queue.due(10), queue.due(20)), (None, Some(1)));
    }
}
