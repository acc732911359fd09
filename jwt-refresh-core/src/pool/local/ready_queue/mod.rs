//! The accounts that serve, in the order in which they are to serve: one order for each group of
//! accounts (see `groups`). An account that waits for its rate serves, too, but is not ready before
//! that time. Every operation takes O(log n), however many accounts become ready at once.
//!
//! By [`Selection::Soonest`] accounts are sorted by when their rates allow a call, so the first is
//! the first to become ready, and an account does not have to be moved when it does. Otherwise
//! those that wait are in a `rate_queue` of their group.

use std::collections::BTreeSet;

use super::groups::{Groups, tags_of};
use super::heap::Heap;
use super::pages::Pages;
use super::rank::{Rank, Slot, Standing};
use super::rate_queue::RateQueue;
use super::time::LONG_AGO;
use super::virtual_time::VirtualTimes;
use crate::pool::limits::{ALL, Limits, TagIndex};
use crate::pool::policy::Selection;

/// Whether an account serves, and since when its rate allows a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// The account cannot serve, and will not be able to by the passing of time alone.
    Idle,
    /// The account can serve from `next_call` on, in nanoseconds since boot, and has to wait for
    /// that time if `waits`. `last_lease` is the number of its last lease.
    Serving { next_call: i64, waits: bool, last_lease: u32 },
}

/// The order of a group.
#[derive(Debug)]
struct Order {
    ready: Ranked,
    waiting: RateQueue,
    /// Virtual times, by which the ready accounts are sorted by [`Selection::Weighted`].
    shares: VirtualTimes,
}

/// Accounts sorted by their ranks.
#[derive(Debug)]
enum Ranked {
    /// For nearly all accounts of the pool. It knows each account's rank.
    Heap(Heap),
    /// For some accounts of the pool, since a heap has an index for every account.
    Set(BTreeSet<(Rank, Slot)>),
}

/// Where an account is in the orders of its groups. The ranks by [`Selection::Weighted`] differ
/// from group to group in their `order`, which is not used then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OrderPlace {
    Nowhere,
    Ready(Rank),
    Waiting { until: i64, rank: Rank },
}

#[derive(Debug)]
pub(super) struct ReadyQueue {
    selection: Selection,
    orders: Groups<Order>,
    /// Until when each account waits, or [`LONG_AGO`] if it is in no rate queue.
    waiting_until: Pages<i64>,
}

impl ReadyQueue {
    pub(super) fn new(selection: Selection) -> Self {
        Self { selection, orders: Groups::default(), waiting_until: Pages::default() }
    }

    /// Moves an account to another position. `limits` are those with which it was moved before.
    pub(super) fn set_position(&mut self, slot: Slot, limits: &Limits, to: Position) {
        let from = self.place(slot, limits);
        let to = self.place_for(to);
        let keeps_place = match (from, to) {
            // The account was not leased, so it keeps the virtual time by which it is sorted.
            (OrderPlace::Ready(old), OrderPlace::Ready(new)) if self.selection == Selection::Weighted => {
                old.last_lease == new.last_lease
            }
            _ => from == to,
        };
        if keeps_place {
            return;
        }
        for tag in tags_of(limits) {
            let Some(order) = self.orders.entry(tag, limits.tier, || Order::new(tag)) else { continue };
            order.set(slot, from, to, self.selection);
        }
        self.set_waiting_until(slot, if let OrderPlace::Waiting { until, .. } = to { until } else { LONG_AGO });
    }

    /// Counts a lease of an account as one for a tag. The account's position is to be set again
    /// afterwards.
    pub(super) fn charge(&mut self, slot: Slot, limits: &Limits, tag: TagIndex) {
        if self.selection != Selection::Weighted {
            return;
        }
        self.set_position(slot, limits, Position::Idle);
        if let Some(order) = self.orders.entry(tag, limits.tier, || Order::new(tag)) {
            order.shares.charge(slot, limits.weight);
        }
    }

    /// Forgets an account that is removed.
    pub(super) fn forget(&mut self, slot: Slot, limits: &Limits) {
        self.set_position(slot, limits, Position::Idle);
        if self.selection != Selection::Weighted {
            return;
        }
        for tag in tags_of(limits) {
            if let Some(order) = self.orders.entry(tag, limits.tier, || Order::new(tag)) {
                order.shares.forget(slot);
            }
        }
    }

    /// Returns the account with a tag that is to serve next: the first of the first tier that has a
    /// ready account.
    pub(super) fn first(&self, tag: TagIndex, now: i64) -> Option<(Standing, Slot)> {
        self.orders.tiers(tag).find_map(|(tier, order)| {
            let (rank, slot) = order.first_ready(self.selection, now)?;
            Some((Standing { tier, rank }, slot))
        })
    }

    /// Returns the ranks of an account that is not in this queue but in that of metered accounts:
    /// one for each of its tags, the one that stands for all accounts first.
    pub(super) fn ranks(&mut self, slot: Slot, limits: &Limits, next_call: i64, last_lease: u32) -> Vec<Rank> {
        let order = |queue: &mut Self, tag| match queue.selection {
            Selection::Soonest => next_call,
            Selection::RoundRobin => 0,
            Selection::Weighted => {
                let order = queue.orders.entry(tag, limits.tier, || Order::new(tag));
                order.map_or(0, |order| order.shares.enter(slot))
            }
        };
        tags_of(limits).map(|tag| Rank { order: order(self, tag), last_lease }).collect()
    }

    /// Returns when an account serves next, or `None` if it is idle.
    pub(super) fn next_call(&self, slot: Slot, limits: &Limits) -> Option<i64> {
        match self.place(slot, limits) {
            OrderPlace::Nowhere => None,
            OrderPlace::Ready(rank) if self.selection == Selection::Soonest => Some(rank.order),
            OrderPlace::Ready(_) => Some(LONG_AGO),
            OrderPlace::Waiting { until, .. } => Some(until),
        }
    }

    /// Returns when the next account with a tag serves, or `None` if all are idle.
    pub(super) fn next_call_of(&self, tag: TagIndex) -> Option<i64> {
        self.orders.tiers(tag).filter_map(|(_, order)| order.next_call(self.selection)).min()
    }

    /// Returns an account that has become ready and is still in the rate queue. It is found there,
    /// but faster if its position is set again.
    pub(super) fn due(&self, now: i64) -> Option<Slot> {
        self.orders.tiers(ALL).find_map(|(_, order)| order.waiting.due(now))
    }

    fn place(&self, slot: Slot, limits: &Limits) -> OrderPlace {
        let Some(Order { ready: Ranked::Heap(ready), .. }) = self.orders.get(ALL, limits.tier) else {
            return OrderPlace::Nowhere;
        };
        if let Some(rank) = ready.rank(slot) {
            return OrderPlace::Ready(rank);
        }
        match self.waiting_until.get(slot as usize) {
            Some(&until) if until != LONG_AGO => OrderPlace::Waiting { until, rank: Rank::at(0) },
            _ => OrderPlace::Nowhere,
        }
    }

    fn place_for(&self, position: Position) -> OrderPlace {
        match position {
            Position::Idle => OrderPlace::Nowhere,
            Position::Serving { next_call, last_lease, .. } if self.selection == Selection::Soonest => {
                OrderPlace::Ready(Rank { order: next_call, last_lease })
            }
            Position::Serving { next_call, waits: true, last_lease } => {
                OrderPlace::Waiting { until: next_call, rank: Rank { order: 0, last_lease } }
            }
            Position::Serving { last_lease, .. } => OrderPlace::Ready(Rank { order: 0, last_lease }),
        }
    }

    fn set_waiting_until(&mut self, slot: Slot, until: i64) {
        while until != LONG_AGO && self.waiting_until.len() <= slot as usize {
            self.waiting_until.push(LONG_AGO);
        }
        if let Some(stored) = self.waiting_until.get_mut(slot as usize) {
            *stored = until;
        }
    }
}

impl Order {
    fn new(tag: TagIndex) -> Self {
        let (ready, shares) = match tag {
            ALL => (Ranked::Heap(Heap::default()), VirtualTimes::dense()),
            _ => (Ranked::Set(BTreeSet::new()), VirtualTimes::sparse()),
        };
        Self { ready, waiting: RateQueue::default(), shares }
    }

    /// Moves an account from one place to another.
    fn set(&mut self, slot: Slot, from: OrderPlace, to: OrderPlace, selection: Selection) {
        let is_weighted = selection == Selection::Weighted;
        let old = match from {
            OrderPlace::Ready(rank) if is_weighted => {
                Some(Rank { order: self.shares.time(slot).unwrap_or_default(), ..rank })
            }
            OrderPlace::Ready(rank) => Some(rank),
            OrderPlace::Waiting { until, .. } => {
                self.waiting.remove(slot, until);
                None
            }
            OrderPlace::Nowhere => None,
        };
        let ranked = |shares: &mut VirtualTimes, rank: Rank| {
            if is_weighted { Rank { order: shares.enter(slot), ..rank } } else { rank }
        };
        let new = match to {
            OrderPlace::Ready(rank) => Some(ranked(&mut self.shares, rank)),
            OrderPlace::Waiting { until, rank } => {
                let rank = ranked(&mut self.shares, rank);
                self.waiting.insert(slot, until, rank);
                None
            }
            OrderPlace::Nowhere => None,
        };
        self.ready.set(slot, old, new);
    }

    /// Returns the first of the accounts that are ready.
    fn first_ready(&self, selection: Selection, now: i64) -> Option<(Rank, Slot)> {
        let first = self.ready.first();
        if selection == Selection::Soonest {
            return first.filter(|(rank, _)| rank.order <= now);
        }
        first.into_iter().chain(self.waiting.first_due(now)).min()
    }

    fn next_call(&self, selection: Selection) -> Option<i64> {
        match self.ready.first() {
            Some((rank, _)) if selection == Selection::Soonest => Some(rank.order),
            Some(_) => Some(LONG_AGO),
            None => self.waiting.next_due(),
        }
    }
}

impl Ranked {
    fn first(&self) -> Option<(Rank, Slot)> {
        match self {
            Self::Heap(heap) => heap.first(),
            Self::Set(set) => set.first().copied(),
        }
    }

    /// Moves an account from one rank to another. `None` is not to be in the order.
    fn set(&mut self, slot: Slot, from: Option<Rank>, to: Option<Rank>) {
        match self {
            Self::Heap(heap) => heap.set(slot, to),
            Self::Set(set) => {
                if let Some(rank) = from {
                    set.remove(&(rank, slot));
                }
                set.extend(to.map(|rank| (rank, slot)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
