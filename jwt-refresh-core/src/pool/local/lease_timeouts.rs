//! The leases that are held, if the policy has a time-out after which they end by themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entry::AccountHandle;
use super::time::after;
use crate::pool::limits::{GroupIndex, TagIndex};

/// The number of a lease. Leases are numbered in the order in which they are granted.
pub(super) type LeaseId = u64;

/// What a lease holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeaseCharge {
    pub(super) handle: AccountHandle,
    /// The tag that the caller asked for.
    pub(super) tag: TagIndex,
    /// The group that the call was charged to.
    pub(super) group: Option<GroupIndex>,
    /// What the call is charged.
    pub(super) cost: u64,
}

#[derive(Debug)]
pub(super) struct LeaseTimeouts {
    timeout: Option<Duration>,
    /// When each lease ends. It is empty without a time-out.
    held: BTreeMap<LeaseId, (i64, LeaseCharge)>,
}

impl LeaseTimeouts {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, held: BTreeMap::new() }
    }

    /// Notes that a lease was granted. Its number must be higher than all before.
    pub(super) fn granted(&mut self, id: LeaseId, lease: LeaseCharge, now: i64) {
        if let Some(timeout) = self.timeout {
            self.held.insert(id, (after(now, timeout), lease));
        }
    }

    /// Returns whether a lease has not timed out. It must not have been given back.
    pub(super) fn is_held(&self, id: LeaseId) -> bool {
        self.timeout.is_none() || self.held.contains_key(&id)
    }

    /// Notes that the call of a lease is charged another cost.
    pub(super) fn set_cost(&mut self, id: LeaseId, cost: u64) {
        if let Some((_, lease)) = self.held.get_mut(&id) {
            lease.cost = cost;
        }
    }

    /// Notes that a lease was given back. Returns whether it had not timed out.
    pub(super) fn given_back(&mut self, id: LeaseId) -> bool {
        self.timeout.is_none() || self.held.remove(&id).is_some()
    }

    /// Takes a lease that has timed out. The oldest goes first.
    pub(super) fn pop_due(&mut self, now: i64) -> Option<LeaseCharge> {
        let oldest = self.held.first_entry().filter(|oldest| oldest.get().0 <= now)?;
        Some(oldest.remove().1)
    }

    /// Returns when the next lease times out.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.held.first_key_value().map(|(_, &(until, _))| until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::limits::ALL;

    fn lease(slot: u32) -> LeaseCharge {
        LeaseCharge { handle: AccountHandle { slot, serial: 0 }, tag: ALL, group: None, cost: 1 }
    }

    #[test]
    fn a_lease_ends_once_by_being_given_back_or_by_its_time() {
        let mut leases = LeaseTimeouts::new(Some(Duration::from_nanos(10)));
        for (id, slot, now) in [(1, 1, 101), (2, 2, 102), (3, 3, 103)] {
            leases.granted(id, lease(slot), now);
        }
        assert!(leases.given_back(2) && leases.is_held(1));
        leases.set_cost(1, 7);
        assert_eq!((leases.next_due(), leases.pop_due(110)), (Some(111), None));
        assert_eq!(leases.pop_due(111), Some(LeaseCharge { cost: 7, ..lease(1) }));
        assert!(!leases.is_held(1) && !leases.given_back(1), "it has timed out");
        assert_eq!((leases.pop_due(200), leases.pop_due(200)), (Some(lease(3)), None));
    }

    #[test]
    fn without_a_time_out_nothing_is_kept() {
        let mut leases = LeaseTimeouts::new(None);
        leases.granted(1, lease(1), 0);
        assert!(leases.held.is_empty() && leases.is_held(1) && leases.given_back(1));
        assert_eq!((leases.next_due(), leases.pop_due(i64::MAX)), (None, None));
    }
}
