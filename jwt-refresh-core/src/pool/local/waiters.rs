//! The callers that wait for a lease, in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use super::rank::Slot;
use crate::error::Error;
use crate::pool::lease::Lease;
use crate::pool::limits::TagIndex;

/// Which accounts a caller takes a lease of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selector {
    pub(super) tag: TagIndex,
    /// The hash of the caller's key: the account that it belongs to serves, if it can.
    pub(super) key: Option<u32>,
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WaitFor {
    Tag(TagIndex),
    Account(Slot),
}

/// Numbers the callers in the order in which they came.
pub(super) type WaiterId = u64;

pub(super) type Reply = oneshot::Sender<Result<Lease, Error>>;

pub(super) struct Waiter {
    pub(super) selector: Selector,
    pub(super) wait_for: WaitFor,
    pub(super) reply: Reply,
}

#[derive(Default)]
pub(super) struct Waiters {
    by_id: BTreeMap<WaiterId, Waiter>,
    by_wait: BTreeSet<(WaitFor, WaiterId)>,
    last: WaiterId,
}

impl Waiters {
    /// Puts a caller at the end.
    pub(super) fn join(&mut self, waiter: Waiter) -> WaiterId {
        self.last += 1;
        self.rejoin(self.last, waiter);
        self.last
    }

    /// Puts a caller where it was, though it may wait for something else now.
    pub(super) fn rejoin(&mut self, id: WaiterId, waiter: Waiter) {
        self.by_wait.insert((waiter.wait_for, id));
        self.by_id.insert(id, waiter);
    }

    pub(super) fn remove(&mut self, id: WaiterId) -> Option<Waiter> {
        let waiter = self.by_id.remove(&id)?;
        self.by_wait.remove(&(waiter.wait_for, id));
        Some(waiter)
    }

    /// The caller that has waited for longest for something.
    pub(super) fn first(&self, wait_for: WaitFor) -> Option<WaiterId> {
        self.by_wait.range((wait_for, 0)..=(wait_for, WaiterId::MAX)).next().map(|&(_, id)| id)
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

    fn waiter(wait_for: WaitFor) -> Waiter {
        Waiter { selector: Selector { tag: ALL, key: None }, wait_for, reply: oneshot::channel().0 }
    }

    #[test]
    fn each_wait_has_a_first_caller_and_one_that_waits_for_something_else_keeps_its_turn() {
        let mut waiters = Waiters::default();
        let (tag, account) = (WaitFor::Tag(ALL), WaitFor::Account(7));
        let [first, second, third] = [tag, account, tag].map(|wait_for| waiters.join(waiter(wait_for)));
        assert_eq!((waiters.first(tag), waiters.first(account)), (Some(first), Some(second)));
        waiters.remove(first).unwrap();
        assert_eq!(waiters.first(tag), Some(third));
        waiters.remove(second).unwrap();
        waiters.rejoin(second, waiter(tag));
        assert_eq!((waiters.first(tag), waiters.first(account), waiters.len()), (Some(second), None, 2));
    }
}
