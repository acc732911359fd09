//! The accounts in quarantine, and when each of them returns.

use std::collections::BTreeSet;

use super::groups::{Groups, tags_of};
use super::rank::Slot;
use crate::pool::limits::{ALL, Limits, TagIndex};

#[derive(Debug, Default)]
pub(super) struct QuarantineList {
    accounts: BTreeSet<Slot>,
    /// When the accounts of each group return from a rest, or a login is tried again, in
    /// nanoseconds since boot.
    returning: Groups<BTreeSet<(i64, Slot)>>,
}

impl QuarantineList {
    /// Adds an account that returns at `to`, or changes the return of one from `from` to `to`.
    /// `None` is an account whose return has no time.
    pub(super) fn insert(&mut self, slot: Slot, limits: &Limits, from: Option<i64>, to: Option<i64>) {
        self.set_return(slot, limits, from, to);
        self.accounts.insert(slot);
    }

    /// Removes an account that would have returned at `until`.
    pub(super) fn remove(&mut self, slot: Slot, limits: &Limits, until: Option<i64>) {
        self.set_return(slot, limits, until, None);
        self.accounts.remove(&slot);
    }

    fn set_return(&mut self, slot: Slot, limits: &Limits, from: Option<i64>, to: Option<i64>) {
        if from == to {
            return;
        }
        for tag in tags_of(limits) {
            let Some(group) = self.returning.entry(tag, limits.tier, BTreeSet::new) else { continue };
            if let Some(from) = from {
                group.remove(&(from, slot));
            }
            group.extend(to.map(|to| (to, slot)));
        }
    }

    /// Returns an account with the tag whose time has come, of the first tier that has one.
    pub(super) fn due(&self, tag: TagIndex, now: i64) -> Option<Slot> {
        let mut tiers = self.returning.tiers(tag).filter_map(|(_, group)| group.first());
        tiers.find(|(until, _)| *until <= now).map(|&(_, slot)| slot)
    }

    /// Returns when the next account's time comes.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.returning.tiers(ALL).filter_map(|(_, group)| group.first()).map(|&(until, _)| until).min()
    }

    /// Returns the first accounts with the tag to return, of those whose time is known: at most
    /// `most`.
    pub(super) fn first_to_return(&self, tag: TagIndex, most: usize) -> Vec<(i64, Slot)> {
        let tiers = self.returning.tiers(tag);
        let mut first: Vec<_> = tiers.flat_map(|(_, group)| group.iter().take(most).copied()).collect();
        first.sort_unstable();
        first.truncate(most);
        first
    }

    /// Returns the accounts in quarantine from this slot on.
    pub(super) fn accounts_from(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        self.accounts.range(slot..).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::local::groups::tests::limits;

    #[test]
    fn each_group_knows_which_of_its_accounts_returns_first() {
        let mut list = QuarantineList::default();
        let (plain, tagged, second_tier) = (limits(0, &[]), limits(0, &[1]), limits(1, &[1]));
        list.insert(1, &plain, None, Some(10));
        list.insert(2, &tagged, None, Some(30));
        list.insert(3, &second_tier, None, Some(20));
        list.insert(4, &tagged, None, None);
        assert_eq!(list.first_to_return(ALL, 2), [(10, 1), (20, 3)]);
        assert_eq!(list.first_to_return(1, 9), [(20, 3), (30, 2)]);
        assert_eq!((list.due(1, 19), list.due(1, 25), list.due(1, 30)), (None, Some(3), Some(2)));
        list.insert(2, &tagged, Some(30), Some(5));
        list.remove(1, &plain, Some(10));
        assert_eq!((list.next_due(), list.accounts_from(0).collect::<Vec<_>>()), (Some(5), vec![2, 3, 4]));
        list.insert(2, &tagged, Some(5), None);
        assert_eq!((list.due(ALL, 9), list.next_due()), (None, Some(20)));
    }
}
