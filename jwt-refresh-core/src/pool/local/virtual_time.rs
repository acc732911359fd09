//! The shares of weighted accounts within one group: start-time fair queueing.
//!
//! Each account has a virtual time, which a lease moves on by 1/weight, and the account with the
//! lowest one is next. Each group counts for itself: leases of other tags, or of other tiers,
//! change nothing about the shares in it.

use std::collections::BTreeMap;

use super::pages::Pages;
use super::rank::Slot;

/// How far each lease moves on the virtual time of an account with the weight 1. It is large enough
/// for the shares of weights up to a million to be right within half a percent, and small enough
/// for the number not to overflow in a year of a thousand leases a second.
const STRIDE: i64 = 1 << 28;

/// What an account has that is not in the group.
const ABSENT: i64 = i64::MIN;

#[derive(Debug)]
pub(super) struct VirtualTimes {
    /// The latest virtual time from which an account was leased. Accounts that were away go on from
    /// here, and do not catch up on the leases that they missed.
    clock: i64,
    accounts: Accounts,
}

/// The virtual time of each account.
#[derive(Debug)]
enum Accounts {
    /// For nearly all accounts of the pool.
    Dense(Pages<i64>),
    /// For some accounts of the pool.
    Sparse(BTreeMap<Slot, i64>),
}

impl VirtualTimes {
    /// Returns the times of a group with nearly all accounts of the pool.
    pub(super) fn dense() -> Self {
        Self { clock: 0, accounts: Accounts::Dense(Pages::default()) }
    }

    /// Returns the times of a group with some accounts of the pool.
    pub(super) fn sparse() -> Self {
        Self { clock: 0, accounts: Accounts::Sparse(BTreeMap::new()) }
    }

    /// Returns an account's virtual time, by which it is sorted from now until it is leased.
    ///
    /// An account that could not serve for a moment, while others did, is behind the clock by less
    /// than one stride, and catches up. More than that is forgotten: it was away.
    pub(super) fn enter(&mut self, slot: Slot) -> i64 {
        let time = self.time(slot).map_or(self.clock, |time| time.max(self.clock - STRIDE));
        self.set(slot, Some(time));
        time
    }

    /// Returns the virtual time with which the account [entered](Self::enter).
    pub(super) fn time(&self, slot: Slot) -> Option<i64> {
        match &self.accounts {
            Accounts::Dense(times) => times.get(slot as usize).copied().filter(|time| *time != ABSENT),
            Accounts::Sparse(times) => times.get(&slot).copied(),
        }
    }

    /// Counts a lease of an account. It must not be sorted by its virtual time meanwhile.
    pub(super) fn charge(&mut self, slot: Slot, weight: u32) {
        let start = self.enter(slot);
        self.clock = self.clock.max(start);
        let stride = (STRIDE / i64::from(weight.max(1))).max(1);
        self.set(slot, Some(start.saturating_add(stride)));
    }

    /// Forgets an account that was removed.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.set(slot, None);
    }

    fn set(&mut self, slot: Slot, time: Option<i64>) {
        match (&mut self.accounts, time) {
            (Accounts::Sparse(times), Some(time)) => {
                times.insert(slot, time);
            }
            (Accounts::Sparse(times), None) => {
                times.remove(&slot);
            }
            (Accounts::Dense(times), time) => {
                while times.len() <= slot as usize {
                    times.push(ABSENT);
                }
                if let Some(stored) = times.get_mut(slot as usize) {
                    *stored = time.unwrap_or(ABSENT);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leases `calls` times what is lowest among `slots`, and returns how often each was.
    fn leases(times: &mut VirtualTimes, weights: &[u32], slots: &[Slot], calls: usize) -> Vec<usize> {
        let mut uses = vec![0; weights.len()];
        for _ in 0..calls {
            let next = slots.iter().copied().min_by_key(|&slot| (times.enter(slot), slot)).unwrap();
            times.charge(next, weights[next as usize]);
            uses[next as usize] += 1;
        }
        uses
    }

    #[test]
    fn accounts_are_leased_in_proportion_and_one_that_was_away_does_not_catch_up() {
        for mut times in [VirtualTimes::dense(), VirtualTimes::sparse()] {
            let weights = [9, 1, 30];
            assert_eq!(leases(&mut times, &weights, &[0, 1], 1000), [900, 100, 0]);
            leases(&mut times, &weights, &[1], 5000);
            let uses = leases(&mut times, &weights, &[0, 1], 1000);
            assert!(uses[0].abs_diff(900) <= 9, "{uses:?}");
            let uses = leases(&mut times, &weights, &[0, 1, 2], 4000);
            assert!(uses[2].abs_diff(3000) <= 30 && uses[0].abs_diff(900) <= 9, "{uses:?}");
            times.forget(0);
            assert_eq!(times.time(0), None);
        }
    }

    #[test]
    fn an_account_that_misses_a_turn_now_and_then_keeps_its_share() {
        let mut times = VirtualTimes::dense();
        let mut uses = [0; 2];
        for call in 0..10_000 {
            // The first account waits for its rate in every seventh call.
            let slots: &[Slot] = if call % 7 == 0 { &[1] } else { &[0, 1] };
            for (sum, uses) in uses.iter_mut().zip(leases(&mut times, &[3, 1], slots, 1)) {
                *sum += uses;
            }
        }
        assert!(uses[0].abs_diff(7500) <= 3, "{uses:?}");
    }
}
