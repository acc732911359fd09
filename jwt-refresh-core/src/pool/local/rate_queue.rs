//! Accounts that wait for their rate, sorted by when it allows them to serve.
//!
//! After a pause the rates of a million accounts may allow a call at once. To move them all to
//! where ready accounts are would hold the pool's lock for a third of a second. So they stay here,
//! in blocks that know the first rank in them: the account that is to serve next is found by a look
//! at each block whose time has come.

use std::collections::BTreeMap;

use super::rank::{Rank, Slot};

/// How many accounts a block holds at most.
const BLOCK: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WaitingAccount {
    until: i64,
    slot: Slot,
    rank: Rank,
}

impl WaitingAccount {
    fn key(&self) -> (i64, Slot) {
        (self.until, self.slot)
    }
}

/// Accounts that follow each other in time. It is not empty.
#[derive(Debug)]
struct Block {
    /// Sorted by their keys.
    accounts: Vec<WaitingAccount>,
    /// The first in rank.
    first: (Rank, Slot),
}

#[derive(Debug, Default)]
pub(super) struct RateQueue {
    /// Each block, by a key that is not after its accounts' and after those of all blocks before.
    blocks: BTreeMap<(i64, Slot), Block>,
}

impl RateQueue {
    /// Adds an account that is not in the queue.
    pub(super) fn insert(&mut self, slot: Slot, until: i64, rank: Rank) {
        let account = WaitingAccount { until, slot, rank };
        if let Some((_, block)) = self.blocks.range_mut(..=account.key()).next_back() {
            if let Some(rest) = block.insert(account) {
                self.blocks.insert(rest.key(), rest);
            }
            return;
        }
        // The account is before all others.
        let Some((_, mut block)) = self.blocks.pop_first() else {
            self.blocks.insert(account.key(), Block::of(vec![account]));
            return;
        };
        if let Some(rest) = block.insert(account) {
            self.blocks.insert(rest.key(), rest);
        }
        self.blocks.insert(block.key(), block);
    }

    /// Removes an account that waits until `until`.
    pub(super) fn remove(&mut self, slot: Slot, until: i64) {
        let Some((&key, block)) = self.blocks.range_mut(..=(until, slot)).next_back() else { return };
        match block.remove((until, slot)) {
            0 => {
                self.blocks.remove(&key);
            }
            len if len < BLOCK / 4 => self.merge_around(key),
            _ => {}
        }
    }

    /// Merges a block that has become small with its neighbours, so that there are never many more
    /// blocks than the accounts need.
    fn merge_around(&mut self, key: (i64, Slot)) {
        let before = self.blocks.range(..key).next_back().map(|(&before, _)| before);
        let after = self.blocks.range(key..).nth(1).map(|(&after, _)| after);
        if let Some(after) = after {
            self.merge(key, after);
        }
        if let Some(before) = before {
            self.merge(before, key);
        }
    }

    /// Merges a block with the one after it, if that leaves room for more accounts.
    fn merge(&mut self, key: (i64, Slot), after: (i64, Slot)) {
        let len = |key| self.blocks.get(key).map_or(0, |block| block.accounts.len());
        if len(&key) + len(&after) > BLOCK / 2 {
            return;
        }
        let Some(after) = self.blocks.remove(&after) else { return };
        if let Some(block) = self.blocks.get_mut(&key) {
            block.first = block.first.min(after.first);
            block.accounts.extend(after.accounts);
        }
    }

    /// Returns the first in rank of the accounts that may serve by `now`.
    pub(super) fn first_due(&self, now: i64) -> Option<(Rank, Slot)> {
        self.blocks.range(..=(now, Slot::MAX)).filter_map(|(_, block)| block.first_due(now)).min()
    }

    /// Returns the account that has waited for longest of those that may serve by `now`.
    pub(super) fn due(&self, now: i64) -> Option<Slot> {
        self.front().filter(|account| account.until <= now).map(|account| account.slot)
    }

    /// Returns when the first account may serve.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.front().map(|account| account.until)
    }

    fn front(&self) -> Option<&WaitingAccount> {
        self.blocks.first_key_value()?.1.accounts.first()
    }
}

impl Block {
    fn of(accounts: Vec<WaitingAccount>) -> Self {
        let first = first_in_rank(&accounts);
        Self { accounts, first }
    }

    fn key(&self) -> (i64, Slot) {
        self.accounts.first().map(WaitingAccount::key).unwrap_or_default()
    }

    /// Adds an account. Returns what is now too much, as a block to follow this one.
    fn insert(&mut self, account: WaitingAccount) -> Option<Self> {
        let at = self.accounts.partition_point(|other| other.key() < account.key());
        if self.accounts.len() < BLOCK {
            self.accounts.insert(at, account);
            self.first = self.first.min((account.rank, account.slot));
            return None;
        }
        // Most accounts come last. So full blocks stay full.
        if at == BLOCK {
            return Some(Self::of(vec![account]));
        }
        let mut rest = self.accounts.split_off(BLOCK / 2);
        if at <= BLOCK / 2 {
            self.accounts.insert(at, account);
        } else {
            rest.insert(at - BLOCK / 2, account);
        }
        self.first = first_in_rank(&self.accounts);
        Some(Self::of(rest))
    }

    /// Removes an account. Returns how many are left.
    fn remove(&mut self, key: (i64, Slot)) -> usize {
        if let Ok(at) = self.accounts.binary_search_by_key(&key, WaitingAccount::key) {
            let account = self.accounts.remove(at);
            if self.first == (account.rank, account.slot) {
                self.first = first_in_rank(&self.accounts);
            }
        }
        self.accounts.len()
    }

    fn first_due(&self, now: i64) -> Option<(Rank, Slot)> {
        if self.accounts.last().is_some_and(|last| last.until <= now) {
            return Some(self.first);
        }
        let due = self.accounts.partition_point(|account| account.until <= now);
        self.accounts.iter().take(due).map(|account| (account.rank, account.slot)).min()
    }
}

/// Returns the first in rank. Of no accounts, which no block has, that is the last rank there is.
fn first_in_rank(accounts: &[WaitingAccount]) -> (Rank, Slot) {
    let first = accounts.iter().map(|account| (account.rank, account.slot)).min();
    first.unwrap_or((Rank::at(i64::MAX), Slot::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_queue_behaves_like_a_list_that_is_searched(
            steps in prop::collection::vec((0..2_000_u32, prop::option::of((0..900_i64, 0..50_i64))), 1..4_000),
            looks in prop::collection::vec(0..1_000_i64, 8),
        ) {
            let (mut queue, mut model) = (RateQueue::default(), BTreeMap::new());
            for (step, (slot, to)) in steps.into_iter().enumerate() {
                if let Some((until, _)) = model.remove(&slot) {
                    queue.remove(slot, until);
                }
                if let Some((until, order)) = to {
                    let rank = Rank { order, last_lease: slot % 7 };
                    model.insert(slot, (until, rank));
                    queue.insert(slot, until, rank);
                }
                if step % 100 == 0 {
                    compare(&queue, &model, &looks)?;
                }
            }
            compare(&queue, &model, &looks)?;
            while let Some((slot, (until, _))) = model.pop_first() {
                queue.remove(slot, until);
            }
            prop_assert!(queue.blocks.is_empty());
        }
    }

    fn compare(queue: &RateQueue, model: &BTreeMap<Slot, (i64, Rank)>, looks: &[i64]) -> Result<(), TestCaseError> {
        let mut by_time: Vec<_> = model.iter().map(|(&slot, &(until, rank))| (until, slot, rank)).collect();
        by_time.sort_unstable();
        prop_assert_eq!(queue.next_due(), by_time.first().map(|&(until, ..)| until));
        for &now in looks {
            let due = by_time.iter().filter(|(until, ..)| *until <= now);
            prop_assert_eq!(queue.first_due(now), due.clone().map(|&(_, slot, rank)| (rank, slot)).min());
            prop_assert_eq!(queue.due(now), due.map(|&(_, slot, _)| slot).next());
        }
        let (blocks, most) = (queue.blocks.len(), model.len() / (BLOCK / 4) + 2);
        prop_assert!(blocks <= most, "{} blocks for {} accounts", blocks, model.len());
        Ok(())
    }

    #[test]
    fn blocks_of_which_few_accounts_are_left_are_merged() {
        let (mut queue, rank) = (RateQueue::default(), Rank::at(1));
        for slot in 0..100_000 {
            queue.insert(slot, i64::from(slot), rank);
        }
        assert!(queue.blocks.len() <= 100_000 / BLOCK + 1, "{} blocks", queue.blocks.len());
        for slot in (0..100_000).filter(|slot| slot % 200 != 0) {
            queue.remove(slot, i64::from(slot));
        }
        assert!(queue.blocks.len() <= 500 / (BLOCK / 4) + 1, "{} blocks for 500 accounts", queue.blocks.len());
    }
}
