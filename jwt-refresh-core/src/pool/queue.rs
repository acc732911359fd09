//! The callers who wait for a lease, at desks, in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use super::lease::Lease;
use super::schedule::{Line, Slot};
use crate::Error;

/// What a caller wants a lease of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) line: Line,
    /// The account that this hash belongs to, if it can serve.
    pub(super) key: Option<u32>,
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Desk {
    Line(Line),
    Account(Slot),
}

pub(super) type Reply = oneshot::Sender<Result<Lease, Error>>;

pub(super) struct Waiter {
    pub(super) want: Want,
    pub(super) desk: Desk,
    pub(super) reply: Reply,
}

#[derive(Default)]
pub(super) struct Queue {
    waiters: BTreeMap<u64, Waiter>,
    desks: BTreeSet<(Desk, u64)>,
    ticket: u64,
}

impl Queue {
    /// Puts a caller at the end; his ticket.
    pub(super) fn join(&mut self, waiter: Waiter) -> u64 {
        self.ticket += 1;
        self.rejoin(self.ticket, waiter);
        self.ticket
    }

    /// Puts a caller where his ticket says.
    pub(super) fn rejoin(&mut self, ticket: u64, waiter: Waiter) {
        self.desks.insert((waiter.desk, ticket));
        self.waiters.insert(ticket, waiter);
    }

    /// Takes a caller out.
    pub(super) fn call_up(&mut self, ticket: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        self.desks.remove(&(waiter.desk, ticket));
        Some(waiter)
    }

    /// Who has waited for longest at a desk.
    pub(super) fn head(&self, desk: Desk) -> Option<u64> {
        self.desks.range((desk, 0)..=(desk, u64::MAX)).next().map(|&(_, ticket)| ticket)
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::schedule::ALL;

    fn waiter(desk: Desk) -> Waiter {
        Waiter { want: Want { line: ALL, key: None }, desk, reply: oneshot::channel().0 }
    }

    #[test]
    fn each_desk_has_a_head_and_who_goes_to_another_keeps_his_turn() {
        let mut queue = Queue::default();
        let (line, account) = (Desk::Line(ALL), Desk::Account(7));
        let [first, second, third] = [line, account, line].map(|desk| queue.join(waiter(desk)));
        assert_eq!((queue.head(line), queue.head(account)), (Some(first), Some(second)));
        queue.call_up(first).unwrap();
        assert_eq!(queue.head(line), Some(third));
        queue.call_up(second).unwrap();
        queue.rejoin(second, waiter(line));
        assert_eq!((queue.head(line), queue.head(account), queue.len()), (Some(second), None, 2));
    }
}
