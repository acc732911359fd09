//! The callers that wait for a lease, in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use super::rank::Slot;
use crate::error::Error;
use crate::pool::lease::Lease;
use crate::pool::limits::TagIndex;

/// Which accounts can serve a caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selector {
    pub(super) tag: TagIndex,
    /// The point on the ring of the caller's key, which selects one account.
    pub(super) key: Option<u32>,
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WaitFor {
    /// Any account with the tag.
    Tag(TagIndex),
    /// The account that the caller's key belongs to.
    Account(Slot),
}

/// The number of a waiter. Waiters are numbered in the order in which they came.
pub(super) type WaiterId = u64;

/// Sends a waiter its lease, or the reason why there is none.
pub(super) type ReplySender = oneshot::Sender<Result<Lease, Error>>;

pub(super) struct Waiter {
    pub(super) selector: Selector,
    pub(super) wait_for: WaitFor,
    pub(super) reply: ReplySender,
}

#[derive(Default)]
pub(super) struct Waiters {
    by_id: BTreeMap<WaiterId, Waiter>,
    /// The waiters for each tag and account, in the order in which they came.
    by_wait: BTreeSet<(WaitFor, WaiterId)>,
    last: WaiterId,
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
        self.by_wait.insert((waiter.wait_for, id));
        self.by_id.insert(id, waiter);
    }

    pub(super) fn remove(&mut self, id: WaiterId) -> Option<Waiter> {
        let waiter = self.by_id.remove(&id)?;
        self.by_wait.remove(&(waiter.wait_for, id));
        Some(waiter)
    }

    /// Returns the caller that has waited longest for a tag or an account.
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
    fn each_wait_has_a_first_caller_and_one_that_waits_for_something_else_keeps_its_place() {
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
