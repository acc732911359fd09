//! The accounts that are ready and whose limits depend on what a call costs, are shared, strict, or
//! learnt, by their tags and by how much a call may cost. Every operation takes O(log n) for each
//! of an account's tags.
//!
//! Accounts that share limits form a group: all accounts with the same set of shared limits. Of a
//! group only the first account of each tag and class stands in the queue. So when a shared limit
//! is used up, these few are taken out, however many accounts there are behind them.

use std::collections::{BTreeMap, BTreeSet};

use super::cost_class::{CostClass, MOST_LOOKED_AT, cost_class};
use super::groups::tags_of;
use super::rank::{Rank, Slot, Standing};
use super::shared_limits::GroupIndex;
use super::waiters::WaiterId;
use crate::pool::limits::{Limits, TagIndex};

type Ready = BTreeMap<(TagIndex, CostClass), BTreeSet<(Standing, Slot)>>;

/// What becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Account(Slot),
    Group(GroupIndex),
}

#[derive(Debug, Default)]
pub(super) struct MeteredQueue {
    ready: Ready,
    places: BTreeMap<Slot, Place>,
    groups: BTreeMap<GroupIndex, Group>,
    /// When accounts and groups may serve calls that cost more than now.
    due: BTreeSet<(i64, Due)>,
    /// The accounts that are to be looked at again: those of a group, or all, from this slot on.
    rechecks: BTreeMap<Option<GroupIndex>, Slot>,
}

/// Where an account stands.
#[derive(Debug, Default)]
struct Place {
    /// Its rank for each of its tags.
    ready: Option<(Vec<Rank>, CostClass)>,
    due: Option<i64>,
}

#[derive(Debug, Default)]
struct Group {
    /// The class of the most that a call may cost by the shared limits, if any call may be made.
    class: Option<CostClass>,
    due: Option<i64>,
    /// Whether its accounts rest until a quota is full again.
    is_used_up: bool,
    members: Ready,
    /// Those of its accounts that stand in the queue.
    shown: Vec<(TagIndex, CostClass, Standing, Slot)>,
    /// Callers that wait for one of its accounts alone.
    keyed: BTreeSet<(WaiterId, Slot)>,
}

impl MeteredQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Says whether an account is ready, with its rank for each of its tags and the class of what a
    /// call may cost by its own limits, and when that is to be looked at again.
    pub(super) fn set(&mut self, slot: Slot, limits: &Limits, ready: Option<(Vec<Rank>, CostClass)>, due: Option<i64>) {
        let place = self.places.entry(slot).or_default();
        let old_due = std::mem::replace(&mut place.due, due);
        let is_moved = place.ready != ready;
        let old_ready = if is_moved { std::mem::replace(&mut place.ready, ready.clone()) } else { None };
        self.move_due(Due::Account(slot), old_due, due);
        if !is_moved {
            return;
        }
        let accounts = match limits.group {
            Some(group) => &mut self.groups.entry(group).or_default().members,
            None => &mut self.ready,
        };
        let places = |ready: Option<(Vec<Rank>, CostClass)>| {
            let (ranks, class) = ready.unwrap_or_default();
            let standings = ranks.into_iter().map(|rank| Standing { tier: limits.tier, rank });
            tags_of(limits).zip(standings).map(move |(tag, standing)| ((tag, class), (standing, slot)))
        };
        for (place, account) in places(old_ready) {
            remove(accounts, place, account);
        }
        for (place, account) in places(ready) {
            accounts.entry(place).or_default().insert(account);
        }
        if let Some(group) = limits.group {
            self.show(group);
        }
    }

    /// Forgets an account.
    pub(super) fn remove(&mut self, slot: Slot, limits: &Limits) {
        if self.places.contains_key(&slot) {
            self.set(slot, limits, None, None);
            self.places.remove(&slot);
        }
    }

    /// Says what a call may cost by the shared limits of a group, and when that is to be looked at
    /// again.
    pub(super) fn set_group(&mut self, group: GroupIndex, class: Option<CostClass>, due: Option<i64>) {
        let state = self.groups.entry(group).or_default();
        let old_class = std::mem::replace(&mut state.class, class);
        let old_due = std::mem::replace(&mut state.due, due);
        self.move_due(Due::Group(group), old_due, due);
        if old_class != class {
            self.show(group);
        }
    }

    fn move_due(&mut self, who: Due, from: Option<i64>, to: Option<i64>) {
        if from != to {
            if let Some(from) = from {
                self.due.remove(&(from, who));
            }
            self.due.extend(to.map(|to| (to, who)));
        }
    }

    /// Puts the first accounts of a group into the queue, in place of those that were the first.
    fn show(&mut self, group: GroupIndex) {
        let Some(state) = self.groups.get_mut(&group) else { return };
        let first = |((tag, class), accounts): (&(TagIndex, CostClass), &BTreeSet<(Standing, Slot)>)| {
            let &(standing, slot) = accounts.first()?;
            Some((*tag, (*class).min(state.class?), standing, slot))
        };
        let shown: Vec<_> = state.members.iter().filter_map(first).collect();
        if shown == state.shown {
            return;
        }
        for (tag, class, standing, slot) in std::mem::replace(&mut state.shown, shown.clone()) {
            remove(&mut self.ready, (tag, class), (standing, slot));
        }
        for (tag, class, standing, slot) in shown {
            self.ready.entry((tag, class)).or_default().insert((standing, slot));
        }
    }

    /// Returns the first account of a tag of those whose class says that they can serve a call of
    /// that cost.
    pub(super) fn first_above(&self, tag: TagIndex, cost: u64) -> Option<(Standing, Slot)> {
        let class = cost_class(cost.saturating_sub(1)) + u8::from(cost > 1);
        let above = self.ready.range((tag, class)..=(tag, CostClass::MAX));
        above.filter_map(|(_, accounts)| accounts.first().copied()).min()
    }

    /// Returns the first accounts of a tag that are of the class of that cost, if that does not
    /// tell whether they can serve it.
    pub(super) fn same_class(&self, tag: TagIndex, cost: u64) -> Vec<(Standing, Slot)> {
        if cost.is_power_of_two() {
            return Vec::new();
        }
        self.ready.get(&(tag, cost_class(cost))).into_iter().flatten().take(MOST_LOOKED_AT).copied().collect()
    }

    /// Returns accounts of a tag that are ready for cheaper calls than one of that cost, those
    /// first that lack the least.
    pub(super) fn nearly(&self, tag: TagIndex, cost: u64) -> Vec<Slot> {
        let classes = self.ready.range((tag, 0)..=(tag, cost_class(cost))).rev();
        classes.flat_map(|(_, accounts)| accounts).map(|&(_, slot)| slot).take(MOST_LOOKED_AT).collect()
    }

    /// Returns the accounts of a group that may serve a caller: the first of each tag and class,
    /// and the one for which its first keyed caller waits.
    pub(super) fn of_group(&self, group: GroupIndex) -> BTreeSet<Slot> {
        let Some(group) = self.groups.get(&group) else { return BTreeSet::new() };
        let keyed = group.keyed.first().map(|&(_, slot)| slot);
        group.shown.iter().map(|&(_, _, _, slot)| slot).chain(keyed).collect()
    }

    /// Notes that a caller waits for one account of a group.
    pub(super) fn keyed_joined(&mut self, group: GroupIndex, id: WaiterId, slot: Slot) {
        self.groups.entry(group).or_default().keyed.insert((id, slot));
    }

    /// Notes that the caller waits no more.
    pub(super) fn keyed_left(&mut self, group: GroupIndex, id: WaiterId, slot: Slot) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.keyed.remove(&(id, slot));
        }
    }

    /// Returns what is due, and forgets its time.
    pub(super) fn pop_due(&mut self, now: i64) -> Option<Due> {
        self.due.first().filter(|(time, _)| *time <= now)?;
        let (_, due) = self.due.pop_first()?;
        match due {
            Due::Account(slot) => self.places.entry(slot).or_default().due = None,
            Due::Group(group) => self.groups.entry(group).or_default().due = None,
        }
        Some(due)
    }

    /// Returns when something is due next.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.due.first().map(|&(time, _)| time)
    }

    /// Notes whether a quota of a group is used up. If it was not before, all accounts of the group
    /// are to be looked at again.
    pub(super) fn set_used_up(&mut self, group: GroupIndex, is_used_up: bool) {
        let state = self.groups.entry(group).or_default();
        let was_used_up = std::mem::replace(&mut state.is_used_up, is_used_up);
        if is_used_up && !was_used_up {
            self.rechecks.insert(Some(group), 0);
        }
    }

    /// Notes that all accounts are to be looked at again, ready or not.
    pub(super) fn recheck_all(&mut self) {
        self.rechecks.insert(None, 0);
    }

    /// Returns whether accounts are to be looked at again.
    pub(super) fn has_to_recheck(&self) -> bool {
        !self.rechecks.is_empty()
    }

    /// Takes the next account that is to be looked at again if it is of the group, or in any case
    /// if there is none.
    pub(super) fn next_to_recheck(&mut self) -> Option<(Slot, Option<GroupIndex>)> {
        while let Some(mut first) = self.rechecks.first_entry() {
            if let Some((&slot, _)) = self.places.range(*first.get()..).next() {
                first.insert(slot.saturating_add(1));
                return Some((slot, *first.key()));
            }
            first.remove();
        }
        None
    }
}

fn remove(ready: &mut Ready, place: (TagIndex, CostClass), account: (Standing, Slot)) {
    if let Some(accounts) = ready.get_mut(&place) {
        accounts.remove(&account);
        if accounts.is_empty() {
            ready.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::limits::ALL;
    use crate::pool::local::groups::tests::limits;

    /// The rank of an account, for each of its tags.
    fn ready(limits: &Limits, order: i64, class: CostClass) -> (Vec<Rank>, CostClass) {
        (tags_of(limits).map(|_| Rank::at(order)).collect(), class)
    }

    fn first(queue: &MeteredQueue, tag: TagIndex, cost: u64) -> Option<Slot> {
        let (likely, sure) = (queue.same_class(tag, cost), queue.first_above(tag, cost));
        likely.into_iter().chain(sure).min().map(|(_, slot)| slot)
    }

    #[test]
    fn an_account_is_found_by_tag_and_by_what_a_call_may_cost() {
        let mut queue = MeteredQueue::default();
        let (plain, tagged) = (limits(0, &[]), limits(0, &[5]));
        queue.set(1, &plain, Some(ready(&plain, 1, cost_class(10))), None);
        queue.set(2, &tagged, Some(ready(&tagged, 2, cost_class(1000))), None);
        assert_eq!([1, 9, 100, 2000].map(|cost| first(&queue, ALL, cost)), [Some(1), Some(1), Some(2), None]);
        assert_eq!(first(&queue, 5, 1), Some(2));
        assert_eq!(queue.first_above(ALL, 10).map(|(_, slot)| slot), Some(2), "1 may not have as much");
        assert_eq!(queue.first_above(ALL, 8).map(|(_, slot)| slot), Some(1));
        assert_eq!(queue.nearly(ALL, 5000), [2, 1]);
        queue.remove(2, &tagged);
        assert_eq!((first(&queue, ALL, 100), first(&queue, 5, 1)), (None, None));
    }

    #[test]
    fn a_group_stands_in_the_queue_by_its_first_accounts_and_closes_as_one() {
        let mut queue = MeteredQueue::default();
        for slot in 0..1000 {
            let limits = Limits { group: Some(0), ..limits(0, &[1 + slot % 2]) };
            queue.set(slot, &limits, Some(ready(&limits, slot.into(), 63)), None);
        }
        assert_eq!(first(&queue, ALL, 1), None, "nothing is known of its limits yet");
        queue.set_group(0, Some(cost_class(100)), None);
        assert_eq!((first(&queue, ALL, 60), first(&queue, 2, 60), first(&queue, ALL, 200)), (Some(0), Some(1), None));
        assert!(queue.ready.values().map(BTreeSet::len).sum::<usize>() <= 3);
        queue.set(0, &Limits { group: Some(0), ..limits(0, &[1]) }, None, None);
        assert_eq!(first(&queue, ALL, 1), Some(1));
        queue.set_group(0, None, None);
        assert!(first(&queue, ALL, 1).is_none() && queue.ready.is_empty());
    }

    #[test]
    fn accounts_and_groups_are_due_in_the_order_of_their_times() {
        let mut queue = MeteredQueue::default();
        let plain = limits(0, &[]);
        queue.set(1, &plain, None, Some(20));
        queue.set_group(3, None, Some(10));
        assert_eq!((queue.next_due(), queue.pop_due(9)), (Some(10), None));
        assert_eq!((queue.pop_due(30), queue.pop_due(30)), (Some(Due::Group(3)), Some(Due::Account(1))));
        queue.set(1, &plain, None, Some(40));
        queue.set(1, &plain, None, None);
        assert_eq!(queue.next_due(), None);
    }

    #[test]
    fn the_accounts_that_are_to_be_looked_at_again_are_taken_one_by_one() {
        let (mut queue, plain) = (MeteredQueue::default(), limits(0, &[]));
        (1..=3).for_each(|slot| queue.set(slot, &plain, None, None));
        for is_used_up in [true, true, false, false, true] {
            queue.set_used_up(7, is_used_up);
        }
        let all = |queue: &mut MeteredQueue| std::iter::from_fn(|| queue.next_to_recheck()).collect::<Vec<_>>();
        assert_eq!(all(&mut queue), [1, 2, 3].map(|slot| (slot, Some(7))));
        queue.set_used_up(7, true);
        assert!(!queue.has_to_recheck(), "they rest already");
        queue.recheck_all();
        assert_eq!(queue.next_to_recheck(), Some((1, None)));
        queue.remove(2, &plain);
        queue.set(4, &plain, None, None);
        assert_eq!(all(&mut queue), [(3, None), (4, None)]);
        assert!(!queue.has_to_recheck());
    }

    #[test]
    fn an_account_of_a_tier_that_serves_first_goes_before_one_with_a_better_rank() {
        let mut queue = MeteredQueue::default();
        let tiers = [2, 0, 1].map(|tier| limits(tier, &[]));
        for (slot, limits) in (1..).zip(&tiers) {
            queue.set(slot, limits, Some(ready(limits, slot.into(), 63)), None);
        }
        assert_eq!(first(&queue, ALL, 1), Some(2));
        queue.remove(2, &tiers[1]);
        assert_eq!(first(&queue, ALL, 1), Some(3));
    }
}
