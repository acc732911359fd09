//! Which accounts can serve, in the order in which they shall: one line for all of them, and one for each tag. And those that
//! can as soon as their rate lets them, by when that is. Every step costs O(log n).

use std::collections::BTreeSet;

use super::heap::Heap;

/// Where a member of the pool stands: an index into its table.
pub(super) type Slot = u32;
/// An index into the lines: 0 is all accounts, and each tag has the next.
pub(super) type Line = u32;

pub(super) const ALL: Line = 0;

/// A place in a line: the lowest rank first, and of equals the one that was used least recently. Packed, so that a rank and a slot
/// take 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
pub(super) struct Rank {
    pub(super) order: i64,
    /// Counts leases; that this wraps round costs one turn in four thousand million.
    pub(super) turn: u32,
}

impl Rank {
    /// Among those that are sorted by time alone.
    pub(super) const fn at(time: i64) -> Self {
        Self { order: time, turn: 0 }
    }
}

/// Where an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In neither.
    Aside,
    /// In its lines.
    Ready(Rank),
    /// Will be ready then.
    Waiting(i64),
}

#[derive(Debug)]
pub(super) struct Schedule {
    ready: Heap,
    /// A line for each tag. They are sets, and not heaps, since few accounts may have a tag, and a heap has a place for every slot.
    tagged: Vec<BTreeSet<(Rank, Slot)>>,
    waiting: Heap,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self { ready: Heap::default(), tagged: Vec::new(), waiting: Heap::default() }
    }

    /// Opens a line for another tag.
    pub(super) fn add_line(&mut self) -> Line {
        self.tagged.push(BTreeSet::new());
        Line::try_from(self.tagged.len()).unwrap_or(Line::MAX)
    }

    /// Moves an account to another place. `tags` are its lines beside [`ALL`].
    pub(super) fn place(&mut self, slot: Slot, tags: &[Line], to: Place) {
        let (ready, waiting) = match to {
            Place::Aside => (None, None),
            Place::Ready(rank) => (Some(rank), None),
            Place::Waiting(until) => (None, Some(Rank::at(until))),
        };
        self.waiting.set(slot, waiting);
        let was_ready = self.ready.rank(slot);
        if was_ready == ready {
            return;
        }
        self.ready.set(slot, ready);
        for line in tags {
            let Some(line) = line.checked_sub(1).and_then(|line| self.tagged.get_mut(line as usize)) else { continue };
            if let Some(rank) = was_ready {
                line.remove(&(rank, slot));
            }
            line.extend(ready.map(|rank| (rank, slot)));
        }
    }

    /// The first of a line.
    pub(super) fn first(&self, line: Line) -> Option<Slot> {
        let first = match line.checked_sub(1) {
            None => self.ready.first(),
            Some(tag) => self.tagged.get(tag as usize)?.first().copied(),
        };
        first.map(|(_, slot)| slot)
    }

    pub(super) fn is_ready(&self, slot: Slot) -> bool {
        self.ready.rank(slot).is_some()
    }

    /// An account whose time has come.
    pub(super) fn ripe(&self, now: i64) -> Option<Slot> {
        self.waiting.ripe(now)
    }

    /// When the next account's time comes.
    pub(super) fn next(&self) -> Option<i64> {
        self.waiting.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(order: i64, turn: u32) -> Place {
        Place::Ready(Rank { order, turn })
    }

    #[test]
    fn the_lowest_rank_is_first_and_of_equals_the_least_recently_used() {
        let mut schedule = Schedule::new();
        for (slot, place) in [(1, ready(5, 1)), (2, ready(3, 9)), (3, ready(3, 2))] {
            schedule.place(slot, &[], place);
        }
        assert_eq!(schedule.first(ALL), Some(3));
        schedule.place(3, &[], Place::Aside);
        assert_eq!(schedule.first(ALL), Some(2));
    }

    #[test]
    fn an_account_stands_in_the_lines_of_its_tags_and_in_no_other() {
        let mut schedule = Schedule::new();
        let (eu, us) = (schedule.add_line(), schedule.add_line());
        schedule.place(7, &[eu], ready(1, 1));
        assert_eq!((schedule.first(ALL), schedule.first(eu), schedule.first(us)), (Some(7), Some(7), None));
        schedule.place(7, &[eu], Place::Waiting(10));
        assert_eq!((schedule.first(ALL), schedule.first(eu)), (None, None));
    }

    #[test]
    fn those_who_wait_are_ripe_in_the_order_of_their_times() {
        let mut schedule = Schedule::new();
        schedule.place(1, &[], Place::Waiting(20));
        schedule.place(2, &[], Place::Waiting(10));
        assert_eq!((schedule.next(), schedule.ripe(9), schedule.ripe(10)), (Some(10), None, Some(2)));
        schedule.place(2, &[], Place::Aside);
        assert_eq!((schedule.ripe(10), schedule.ripe(20)), (None, Some(1)));
    }
}
