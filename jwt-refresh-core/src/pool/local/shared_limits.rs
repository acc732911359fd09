//! Limits that several accounts of a pool have together. Accounts with the same set of them form a
//! group.

use std::collections::{BTreeSet, HashMap};

use super::rank::Slot;
use super::waiters::WaiterId;
use crate::error::{Error, ErrorKind};
use crate::pool::limit::{Call, Limit, LimitRule, Now, RuleState, Unit};
pub(super) use crate::pool::limits::GroupIndex;

/// The number of a shared limit in a pool.
type SharedIndex = usize;

#[derive(Default)]
pub(super) struct SharedLimits {
    indices: HashMap<Box<str>, SharedIndex>,
    limits: Vec<SharedLimit>,
    /// The limits of each group, sorted.
    groups: Vec<Box<[SharedIndex]>>,
    by_limits: HashMap<Box<[SharedIndex]>, GroupIndex>,
}

struct SharedLimit {
    definition: Limit,
    rule: LimitRule,
    state: RuleState,
    /// How many accounts have it.
    accounts: usize,
    groups: Vec<GroupIndex>,
    /// The accounts that save up for callers whose calls the limit does not allow yet, by the order
    /// in which the callers came. While there are any, only the first may spend.
    savers: BTreeSet<(WaiterId, Slot)>,
}

impl SharedLimits {
    /// Checks that each limit is the same as the one of its name, if there is one.
    ///
    /// # Errors
    ///
    /// [`Configuration`](ErrorKind::Configuration) if one differs, or lets nothing through.
    pub(super) fn check<'a>(&self, limits: impl Iterator<Item = (&'a str, &'a Limit)>) -> Result<(), Error> {
        let mut given: HashMap<&str, &Limit> = HashMap::new();
        for (name, limit) in limits {
            limit.rule()?;
            let known = self.indices.get(name).and_then(|&index| self.limits.get(index));
            let known = known.filter(|known| known.accounts > 0).map(|known| &known.definition);
            if let Some(other) = known.or(given.insert(name, limit)).filter(|other| *other != limit) {
                let what = format!(
                    "the shared limit {name:?} is {other} for one account and {limit} for another (it must be the same for all)"
                );
                return Err(Error::new(ErrorKind::Configuration, what));
            }
        }
        Ok(())
    }

    /// Returns the group of an account with these limits, which must have been checked, and counts
    /// the account. Returns `None` if there are none.
    pub(super) fn join<'a>(
        &mut self,
        limits: impl Iterator<Item = (&'a str, &'a Limit)>,
        now: Now,
    ) -> Option<GroupIndex> {
        let mut indices: Vec<_> = limits.filter_map(|(name, limit)| self.index(name, limit, now)).collect();
        indices.sort_unstable();
        indices.dedup();
        if indices.is_empty() {
            return None;
        }
        let indices: Box<[_]> = indices.into();
        let next = self.groups.len();
        let group = *self.by_limits.entry(indices.clone()).or_insert(next);
        for &index in &indices {
            let Some(limit) = self.limits.get_mut(index) else { continue };
            limit.accounts += 1;
            if group == next {
                limit.groups.push(group);
            }
        }
        if group == next {
            self.groups.push(indices);
        }
        Some(group)
    }

    /// Counts that an account leaves its group.
    pub(super) fn leave(&mut self, group: GroupIndex) {
        self.each(group, |limit| limit.accounts = limit.accounts.saturating_sub(1));
    }

    /// Counts that an account that left its group is in it as before.
    pub(super) fn rejoin(&mut self, group: GroupIndex) {
        self.each(group, |limit| limit.accounts += 1);
    }

    fn index(&mut self, name: &str, definition: &Limit, now: Now) -> Option<SharedIndex> {
        let rule = definition.rule().ok()?;
        let new = |rule: LimitRule| SharedLimit {
            definition: definition.clone(),
            state: rule.unused(now),
            rule,
            accounts: 0,
            groups: Vec::new(),
            savers: BTreeSet::new(),
        };
        if let Some(&index) = self.indices.get(name) {
            let limit = self.limits.get_mut(index)?;
            if limit.definition != *definition {
                // No account has it any more.
                let state = rule.carry(&limit.rule, &limit.state, now).unwrap_or_else(|| rule.unused(now));
                *limit = SharedLimit { groups: std::mem::take(&mut limit.groups), state, ..new(rule) };
            }
            return Some(index);
        }
        self.limits.push(new(rule));
        self.indices.insert(name.into(), self.limits.len() - 1);
        Some(self.limits.len() - 1)
    }

    fn each(&mut self, group: GroupIndex, mut change: impl FnMut(&mut SharedLimit)) {
        for &index in self.groups.get(group).into_iter().flatten() {
            if let Some(limit) = self.limits.get_mut(index) {
                change(limit);
            }
        }
    }

    /// Returns the most that a call of the group may ever cost.
    pub(super) fn most(&self, group: GroupIndex) -> u64 {
        let indices = self.groups.get(group).into_iter().flatten();
        indices.filter_map(|&index| self.limits.get(index)).map(|limit| limit.rule.most()).min().unwrap_or(u64::MAX)
    }

    /// Returns the most that a call of the group may cost now; 0 if no call may be made, or if
    /// another account than `asking` saves up.
    pub(super) fn headroom(&mut self, group: GroupIndex, asking: Option<Slot>, now: Now) -> u64 {
        let mut headroom = u64::MAX;
        self.each(group, |limit| {
            let saver = limit.savers.first().map(|&(_, slot)| slot);
            let is_saved = saver.is_some() && saver != asking;
            headroom = headroom.min(if is_saved { 0 } else { limit.rule.headroom(&mut limit.state, now) });
        });
        headroom
    }

    /// Returns how much of that unit may be spent now, or `None` if nothing limits it.
    pub(super) fn left(&mut self, group: GroupIndex, unit: Unit, now: Now) -> Option<u64> {
        let mut left = None;
        self.each(group, |limit| {
            if limit.rule.unit == unit {
                let of_this = limit.rule.left(&mut limit.state, now);
                left = Some(left.map_or(of_this, |other: u64| other.min(of_this)));
            }
        });
        left
    }

    /// Returns when a call of that cost may be made, or `None` if only the end of a lease can tell.
    pub(super) fn ready_at(&mut self, group: GroupIndex, cost: u64, now: Now) -> Option<i64> {
        let mut latest = Some(now.boot);
        self.each(group, |limit| {
            let ready = limit.rule.ready_at(&mut limit.state, cost, now);
            latest = latest.zip(ready).map(|(latest, ready)| latest.max(ready));
        });
        latest
    }

    /// Returns until when no call may be made because a quota is used up.
    pub(super) fn used_up_until(&mut self, group: GroupIndex, cost: u64, now: Now) -> Option<i64> {
        let mut until = None;
        self.each(group, |limit| {
            if limit.rule.is_reset_at_once() {
                let ready = limit.rule.ready_at(&mut limit.state, cost, now);
                until = until.max(ready.filter(|ready| *ready > now.boot));
            }
        });
        until
    }

    pub(super) fn charge(&mut self, group: GroupIndex, cost: u64, waited: bool, now: Now) {
        self.each(group, |limit| limit.rule.charge(&mut limit.state, cost, waited, now));
    }

    pub(super) fn correct(&mut self, group: GroupIndex, call: Call, to: u64, now: Now) {
        self.each(group, |limit| limit.rule.correct(&mut limit.state, call, to, now));
    }

    pub(super) fn end(&mut self, group: GroupIndex, cost: u64, now: Now) {
        self.each(group, |limit| limit.rule.end(&mut limit.state, cost, now));
    }

    /// Has an account save up for a caller, by those limits of its group that do not allow the call
    /// yet. Returns whether that changes anything.
    pub(super) fn save(&mut self, group: GroupIndex, slot: Slot, (id, cost): (WaiterId, u64), now: Now) -> bool {
        let mut is_new = false;
        self.each(group, |limit| {
            let is_first = limit.savers.first().is_none_or(|&(_, first)| first == slot);
            if !is_first || limit.rule.headroom(&mut limit.state, now) < cost {
                is_new |= limit.savers.insert((id, slot));
            }
        });
        is_new
    }

    /// Ends that an account saves up.
    pub(super) fn end_saving(&mut self, group: GroupIndex, slot: Slot) {
        self.each(group, |limit| limit.savers.retain(|&(_, saver)| saver != slot));
    }

    /// Returns the accounts that may spend what they save up of a group's limits.
    pub(super) fn savers(&mut self, group: GroupIndex) -> BTreeSet<Slot> {
        let mut savers = BTreeSet::new();
        self.each(group, |limit| savers.extend(limit.savers.first().map(|&(_, slot)| slot)));
        savers
    }

    /// Returns the groups with a limit that the group has, too. It is one of them.
    pub(super) fn related(&self, group: GroupIndex) -> Vec<GroupIndex> {
        let indices = self.groups.get(group).into_iter().flatten();
        let mut related: Vec<_> = indices
            .filter_map(|&index| self.limits.get(index))
            .flat_map(|limit| limit.groups.iter().copied())
            .collect();
        related.sort_unstable();
        related.dedup();
        related
    }
}
