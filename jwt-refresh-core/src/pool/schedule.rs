//! Which accounts can serve, in the order in which they shall: one line for all of them, and one for each tag. And those that
//! can as soon as their rate lets them, by when that is. Every step costs O(log n).

use std::collections::BTreeSet;

/// Where a member of the pool stands: an index into its table.
pub(super) type Slot = u32;
/// An index into the lines: 0 is all accounts, and each tag has the next.
pub(super) type Line = u32;

pub(super) const ALL: Line = 0;

/// A place in a line: the lowest rank first, and of equals the one that was used least recently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) order: i64,
    /// Counts leases; that this wraps round costs one turn in four thousand million.
    pub(super) turn: u32,
}

/// Where an account stands at present.
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
    ready: Vec<BTreeSet<(Rank, Slot)>>,
    waiting: BTreeSet<(i64, Slot)>,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self { ready: vec![BTreeSet::new()], waiting: BTreeSet::new() }
    }

    /// Opens a line for another tag.
    pub(super) fn add_line(&mut self) -> Line {
        self.ready.push(BTreeSet::new());
        Line::try_from(self.ready.len() - 1).unwrap_or(Line::MAX)
    }

    /// Moves an account from one place to another. `tags` are its lines beside [`ALL`].
    pub(super) fn place(&mut self, slot: Slot, tags: &[Line], from: Place, to: Place) {
        match from {
            Place::Aside => {}
            Place::Ready(rank) => self.lines(tags, |line| line.remove(&(rank, slot))),
            Place::Waiting(until) => drop(self.waiting.remove(&(until, slot))),
        }
        match to {
            Place::Aside => {}
            Place::Ready(rank) => self.lines(tags, |line| line.insert((rank, slot))),
            Place::Waiting(until) => drop(self.waiting.insert((until, slot))),
        }
    }

    fn lines(&mut self, tags: &[Line], mut change: impl FnMut(&mut BTreeSet<(Rank, Slot)>) -> bool) {
        for line in std::iter::once(&ALL).chain(tags) {
            if let Some(line) = self.ready.get_mut(*line as usize) {
                change(line);
            }
        }
    }

    /// The first of a line.
    pub(super) fn first(&self, line: Line) -> Option<Slot> {
        self.ready.get(line as usize)?.first().map(|&(_, slot)| slot)
    }

    /// An account whose time has come.
    pub(super) fn ripe(&self, now: i64) -> Option<Slot> {
        self.waiting.first().filter(|(until, _)| *until <= now).map(|&(_, slot)| slot)
    }

    /// When the next account's time comes.
    pub(super) fn next(&self) -> Option<i64> {
        self.waiting.first().map(|&(until, _)| until)
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
            schedule.place(slot, &[], Place::Aside, place);
        }
        assert_eq!(schedule.first(ALL), Some(3));
        schedule.place(3, &[], ready(3, 2), Place::Aside);
        assert_eq!(schedule.first(ALL), Some(2));
    }

    #[test]
    fn an_account_stands_in_the_lines_of_its_tags_and_in_no_other() {
        let mut schedule = Schedule::new();
        let (eu, us) = (schedule.add_line(), schedule.add_line());
        schedule.place(7, &[eu], Place::Aside, ready(1, 1));
        assert_eq!((schedule.first(ALL), schedule.first(eu), schedule.first(us)), (Some(7), Some(7), None));
        schedule.place(7, &[eu], ready(1, 1), Place::Waiting(10));
        assert_eq!((schedule.first(ALL), schedule.first(eu)), (None, None));
    }

    #[test]
    fn those_who_wait_are_ripe_in_the_order_of_their_times() {
        let mut schedule = Schedule::new();
        schedule.place(1, &[], Place::Aside, Place::Waiting(20));
        schedule.place(2, &[], Place::Aside, Place::Waiting(10));
        assert_eq!((schedule.next(), schedule.ripe(9), schedule.ripe(10)), (Some(10), None, Some(2)));
        schedule.place(2, &[], Place::Waiting(10), Place::Aside);
        assert_eq!((schedule.ripe(10), schedule.ripe(20)), (None, Some(1)));
    }
}
