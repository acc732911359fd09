//! The callers that wait for a lease, in the order in which they came.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::sync::oneshot;

use super::cost_class::{CostClass, MOST_LOOKED_AT, cost_class};
use super::rank::Slot;
use crate::error::Error;
use crate::pool::lease::Lease;
use crate::pool::limits::TagIndex;

/// Which accounts can serve a caller, and what its call costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selector {
    pub(super) tag: TagIndex,
    /// The hash of the caller's key, which selects one account.
    pub(super) key: Option<u64>,
    pub(super) cost: u64,
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WaitFor {
    /// Any account with the tag.
    Tag(TagIndex),
    /// The account that the caller's key belongs to.
    Account(Slot),
    /// Until an account with the tag has a live token, so that the caller's key belongs to one.
    LiveAccount(TagIndex),
}

/// The number of a waiter. Waiters are numbered in the order in which they came.
pub(super) type WaiterId = u64;

/// Sends a waiter its lease, or the reason why there is none.
pub(super) type ReplySender = oneshot::Sender<Result<Lease, Error>>;

pub(super) struct Waiter {
    pub(super) selector: Selector,
    pub(super) wait_for: WaitFor,
    pub(super) reply: ReplySender,
    /// The account that saves up for it, since it cannot serve it yet.
    pub(super) saver: Option<Slot>,
}

/// Callers by what they wait for and the class of their cost, in the order in which they came.
#[derive(Default)]
struct Line(BTreeSet<(WaitFor, CostClass, WaiterId)>);

#[derive(Default)]
pub(super) struct Waiters {
    by_id: BTreeMap<WaiterId, Waiter>,
    /// Those for which no account saves up.
    unsaved: Line,
    /// Those for which an account saves up.
    saved: Line,
    /// For which caller an account saves up.
    saving: HashMap<Slot, WaiterId>,
    /// How many wait for each tag or account.
    counts: BTreeMap<WaitFor, u32>,
    last: WaiterId,
    wakes: Wakes,
}

/// When what callers wait for may come true by the passing of time.
#[derive(Debug, Default)]
struct Wakes {
    times: BTreeMap<WaitFor, i64>,
    by_time: BTreeSet<(i64, WaitFor)>,
}

impl Line {
    /// Returns the oldest caller of each class that waits for a tag or an account and has a cost
    /// from `lowest` to `highest`, as far as it is among the first of its class.
    fn oldest(
        &self,
        by_id: &BTreeMap<WaiterId, Waiter>,
        wait_for: WaitFor,
        lowest: u64,
        highest: u64,
    ) -> Option<WaiterId> {
        let (mut class, last) = (cost_class(lowest), cost_class(highest));
        let mut oldest: Option<WaiterId> = None;
        let fits =
            |id: &WaiterId| by_id.get(id).is_some_and(|waiter| (lowest..=highest).contains(&waiter.selector.cost));
        while class <= last {
            let mut waiting = self.0.range((wait_for, class, 0)..=(wait_for, last, WaiterId::MAX));
            let Some(&(_, present, first)) = waiting.next() else { break };
            let others = waiting.take_while(|(_, other, _)| *other == present).map(|&(_, _, id)| id);
            let found = std::iter::once(first).chain(others).take(MOST_LOOKED_AT).find(fits);
            oldest = [oldest, found].into_iter().flatten().min();
            class = present + 1;
        }
        oldest
    }
}

impl Wakes {
    fn set_earlier(&mut self, wait_for: WaitFor, time: i64) {
        if self.times.get(&wait_for).is_some_and(|planned| *planned <= time) {
            return;
        }
        self.remove(wait_for);
        self.times.insert(wait_for, time);
        self.by_time.insert((time, wait_for));
    }

    fn remove(&mut self, wait_for: WaitFor) {
        if let Some(time) = self.times.remove(&wait_for) {
            self.by_time.remove(&(time, wait_for));
        }
    }
}

impl Waiters {
    /// Adds a caller at the end of the queue.
    pub(super) fn join(&mut self, waiter: Waiter) -> WaiterId {
        self.last += 1;
        self.rejoin(self.last, waiter);
        self.last
    }

    /// Puts a caller back to its old place in the queue, where it may wait for something else now.
    pub(super) fn rejoin(&mut self, id: WaiterId, waiter: Waiter) {
        self.unsaved.0.insert((waiter.wait_for, cost_class(waiter.selector.cost), id));
        *self.counts.entry(waiter.wait_for).or_default() += 1;
        self.by_id.insert(id, waiter);
    }

    /// Removes a caller. No account must save up for it.
    pub(super) fn remove(&mut self, id: WaiterId) -> Option<Waiter> {
        let waiter = self.by_id.remove(&id)?;
        self.unsaved.0.remove(&(waiter.wait_for, cost_class(waiter.selector.cost), id));
        if let Some(count) = self.counts.get_mut(&waiter.wait_for).filter(|count| **count > 1) {
            *count -= 1;
        } else {
            self.counts.remove(&waiter.wait_for);
            self.wakes.remove(waiter.wait_for);
        }
        Some(waiter)
    }

    /// Returns all callers, in the order in which they came.
    pub(super) fn ids(&self) -> Vec<WaiterId> {
        self.by_id.keys().copied().collect()
    }

    /// Returns whether a caller waits for a tag or an account.
    pub(super) fn is_awaited(&self, wait_for: WaitFor) -> bool {
        self.counts.contains_key(&wait_for)
    }

    /// Returns how many callers wait for each tag or account.
    #[cfg(feature = "redis")]
    pub(super) fn counts(&self) -> impl Iterator<Item = (WaitFor, u32)> {
        self.counts.iter().map(|(wait_for, count)| (*wait_for, *count))
    }

    /// Returns the caller that has waited longest of all.
    #[cfg(feature = "redis")]
    pub(super) fn first_of_all(&self) -> Option<WaiterId> {
        self.by_id.first_key_value().map(|(id, _)| *id)
    }

    /// Plans to look after those that wait for something at `time`, if that is earlier than
    /// planned.
    pub(super) fn wake_by(&mut self, wait_for: WaitFor, time: i64) {
        if self.is_awaited(wait_for) {
            self.wakes.set_earlier(wait_for, time);
        }
    }

    /// Returns what is to be looked after by now. It is then not planned any more.
    pub(super) fn pop_wake(&mut self, now: i64) -> Option<WaitFor> {
        let (_, wait_for) = self.wakes.by_time.first().filter(|(time, _)| *time <= now).copied()?;
        self.wakes.remove(wait_for);
        Some(wait_for)
    }

    /// Returns when something is to be looked after next.
    pub(super) fn next_wake(&self) -> Option<i64> {
        self.wakes.by_time.first().map(|&(time, _)| time)
    }

    pub(super) fn get(&self, id: WaiterId) -> Option<&Waiter> {
        self.by_id.get(&id)
    }

    /// Returns the caller that has waited longest for a tag or an account.
    pub(super) fn first(&self, wait_for: WaitFor) -> Option<WaiterId> {
        self.first_within(wait_for, u64::MAX)
    }

    /// Returns the caller that has waited longest of those whose calls cost at most `highest`.
    pub(super) fn first_within(&self, wait_for: WaitFor, highest: u64) -> Option<WaiterId> {
        let lines = [&self.unsaved, &self.saved];
        lines.into_iter().filter_map(|line| line.oldest(&self.by_id, wait_for, 0, highest)).min()
    }

    /// Returns the caller that has waited longest of those whose calls cost more than `above` and
    /// at most `highest`, and for which no account saves up.
    pub(super) fn first_unsaved(&self, wait_for: WaitFor, above: u64, highest: u64) -> Option<WaiterId> {
        self.unsaved.oldest(&self.by_id, wait_for, above.saturating_add(1), highest)
    }

    /// Returns the same of those for which an account saves up.
    pub(super) fn first_saved(&self, wait_for: WaitFor, above: u64, highest: u64) -> Option<WaiterId> {
        self.saved.oldest(&self.by_id, wait_for, above.saturating_add(1), highest)
    }

    /// Notes that an account saves up for a caller.
    pub(super) fn save(&mut self, slot: Slot, id: WaiterId) {
        let Some(waiter) = self.by_id.get_mut(&id) else { return };
        waiter.saver = Some(slot);
        let place = (waiter.wait_for, cost_class(waiter.selector.cost), id);
        self.unsaved.0.remove(&place);
        self.saved.0.insert(place);
        self.saving.insert(slot, id);
    }

    /// Notes that an account saves up no more. Returns the caller for which it did.
    pub(super) fn end_saving(&mut self, slot: Slot) -> Option<WaiterId> {
        let id = self.saving.remove(&slot)?;
        if let Some(waiter) = self.by_id.get_mut(&id) {
            waiter.saver = None;
            let place = (waiter.wait_for, cost_class(waiter.selector.cost), id);
            self.saved.0.remove(&place);
            self.unsaved.0.insert(place);
        }
        Some(id)
    }

    /// Returns the caller for which an account saves up.
    pub(super) fn saved_for_by(&self, slot: Slot) -> Option<WaiterId> {
        self.saving.get(&slot).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::limits::ALL;

    fn waiter(wait_for: WaitFor, cost: u64) -> Waiter {
        let selector = Selector { tag: ALL, key: None, cost };
        Waiter { selector, wait_for, reply: oneshot::channel().0, saver: None }
    }

    #[test]
    fn each_wait_has_a_first_caller_and_one_that_waits_for_something_else_keeps_its_place() {
        let mut waiters = Waiters::default();
        let (tag, account) = (WaitFor::Tag(ALL), WaitFor::Account(7));
        let [first, second, third] = [tag, account, tag].map(|wait_for| waiters.join(waiter(wait_for, 1)));
        assert_eq!((waiters.first(tag), waiters.first(account)), (Some(first), Some(second)));
        waiters.remove(first).unwrap();
        assert_eq!(waiters.first(tag), Some(third));
        waiters.remove(second).unwrap();
        waiters.rejoin(second, waiter(tag, 1));
        assert_eq!((waiters.first(tag), waiters.first(account), waiters.len()), (Some(second), None, 2));
    }

    #[test]
    fn callers_are_found_by_what_their_calls_cost() {
        let mut waiters = Waiters::default();
        let tag = WaitFor::Tag(ALL);
        let [thousand, seven, one, five] = [1000, 7, 1, 5].map(|cost| waiters.join(waiter(tag, cost)));
        assert_eq!(waiters.first(tag), Some(thousand));
        let within = [999, 6, 4, 0].map(|cost| waiters.first_within(tag, cost));
        assert_eq!(within, [Some(seven), Some(one), Some(one), None]);
        assert_eq!(waiters.first_unsaved(tag, 5, 999), Some(seven));
        waiters.save(3, seven);
        assert_eq!((waiters.first_unsaved(tag, 4, 999), waiters.first_saved(tag, 4, 999)), (Some(five), Some(seven)));
        assert_eq!(waiters.first_within(tag, 7), Some(seven), "another account may serve it");
        assert_eq!(waiters.end_saving(3), Some(seven));
        assert_eq!(waiters.first_unsaved(tag, 4, 999), Some(seven));
    }

    #[test]
    fn a_wake_is_at_the_earliest_time_that_was_planned_and_ends_with_the_last_waiter() {
        let mut waiters = Waiters::default();
        let (tag, account) = (WaitFor::Tag(ALL), WaitFor::Account(7));
        waiters.wake_by(tag, 5);
        assert_eq!(waiters.next_wake(), None, "nobody waits");
        let id = waiters.join(waiter(tag, 1));
        waiters.join(waiter(account, 9));
        for (wait_for, time) in [(tag, 30), (tag, 10), (tag, 20), (account, 40)] {
            waiters.wake_by(wait_for, time);
        }
        assert_eq!((waiters.next_wake(), waiters.pop_wake(9), waiters.pop_wake(10)), (Some(10), None, Some(tag)));
        waiters.wake_by(tag, 15);
        waiters.remove(id).unwrap();
        assert_eq!((waiters.pop_wake(50), waiters.pop_wake(50)), (Some(account), None));
    }
}
