//! The tags that callers can ask for, and how many accounts have each. A further tag stands for all
//! accounts together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pages::Pages;
use crate::pool::limits::{ALL, TagIndex};

/// How many accounts have a tag.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TagCount {
    pub(super) accounts: usize,
    /// Those that are open: callers may wait for them.
    pub(super) open: usize,
}

/// The most that one call may cost at accounts of a tag that have a limit on cost, and at how many
/// of these accounts.
#[derive(Debug, Default)]
struct HighestCosts {
    of_all: BTreeMap<u64, usize>,
    of_open: BTreeMap<u64, usize>,
    /// How many have a limit, of all and of those that are open.
    limited: TagCount,
}

#[derive(Debug)]
struct Tag {
    /// `None` for the tag that stands for all accounts.
    name: Option<Arc<str>>,
    count: TagCount,
}

/// There may be as many tags as accounts. So all of it grows by pages and nodes, and neither adding
/// a tag nor looking one up takes time in proportion to their number.
#[derive(Debug)]
pub(super) struct Tags {
    indices: BTreeMap<Arc<str>, TagIndex>,
    all: Pages<Tag>,
    /// Only for tags of which an account has a limit on cost.
    highest_costs: BTreeMap<TagIndex, HighestCosts>,
}

impl Tags {
    pub(super) fn new() -> Self {
        let mut tags = Pages::default();
        tags.push(Tag { name: None, count: TagCount::default() });
        Self { indices: BTreeMap::new(), all: tags, highest_costs: BTreeMap::new() }
    }

    pub(super) fn index(&self, name: &str) -> Option<TagIndex> {
        self.indices.get(name).copied()
    }

    /// Returns the number of a tag, which is a new one if there was no tag of that name.
    pub(super) fn index_or_new(&mut self, name: &str) -> TagIndex {
        if let Some(tag) = self.index(name) {
            return tag;
        }
        let (tag, name) = (TagIndex::try_from(self.all.len()).unwrap_or(TagIndex::MAX), Arc::from(name));
        self.all.push(Tag { name: Some(Arc::clone(&name)), count: TagCount::default() });
        self.indices.insert(name, tag);
        tag
    }

    pub(super) fn name(&self, tag: TagIndex) -> Option<&str> {
        self.all.get(tag as usize)?.name.as_deref()
    }

    pub(super) fn count(&self, tag: TagIndex) -> TagCount {
        self.all.get(tag as usize).map(|tag| tag.count).unwrap_or_default()
    }

    /// Returns how many accounts there are.
    pub(super) fn size(&self) -> usize {
        self.count(ALL).accounts
    }

    /// Returns the most that a call may cost at an account of the tag, and at an open one.
    pub(super) fn highest_costs(&self, tag: TagIndex) -> (u64, u64) {
        let Some(costs) = self.highest_costs.get(&tag) else { return (u64::MAX, u64::MAX) };
        let count = self.count(tag);
        let highest = |limited, all, costs: &BTreeMap<u64, usize>| {
            let last = costs.last_key_value().map(|(cost, _)| *cost);
            if limited < all { u64::MAX } else { last.unwrap_or(u64::MAX) }
        };
        let of_all = highest(costs.limited.accounts, count.accounts, &costs.of_all);
        (of_all, highest(costs.limited.open, count.open, &costs.of_open))
    }

    /// Counts an account that was added and is open. One call may cost at most `highest` there.
    pub(super) fn account_added(&mut self, tags: impl Iterator<Item = TagIndex>, highest: u64) {
        self.change(tags, highest, |count, costs| {
            count.accounts += 1;
            count.open += 1;
            if let Some(costs) = costs {
                costs.limited.accounts += 1;
                costs.limited.open += 1;
                *costs.of_all.entry(highest).or_default() += 1;
                *costs.of_open.entry(highest).or_default() += 1;
            }
        });
    }

    /// Counts an account that was closed and is removed.
    pub(super) fn account_removed(&mut self, tags: impl Iterator<Item = TagIndex>, highest: u64) {
        self.change(tags, highest, |count, costs| {
            count.accounts -= 1;
            if let Some(costs) = costs {
                costs.limited.accounts -= 1;
                remove_one(&mut costs.of_all, highest);
            }
        });
    }

    /// Counts that an account is open again.
    pub(super) fn account_opened(&mut self, tags: impl Iterator<Item = TagIndex>, highest: u64) {
        self.change(tags, highest, |count, costs| {
            count.open += 1;
            if let Some(costs) = costs {
                costs.limited.open += 1;
                *costs.of_open.entry(highest).or_default() += 1;
            }
        });
    }

    /// Counts that an account is not open any more.
    pub(super) fn account_closed(&mut self, tags: impl Iterator<Item = TagIndex>, highest: u64) {
        self.change(tags, highest, |count, costs| {
            count.open -= 1;
            if let Some(costs) = costs {
                costs.limited.open -= 1;
                remove_one(&mut costs.of_open, highest);
            }
        });
    }

    /// Counts that a call may cost at most `to` at an account instead of `from`.
    pub(super) fn highest_changed(&mut self, tags: &[TagIndex], is_open: bool, from: u64, to: u64) {
        let tags = || tags.iter().copied();
        if is_open {
            self.account_closed(tags(), from);
        }
        self.account_removed(tags(), from);
        self.account_added(tags(), to);
        if !is_open {
            self.account_closed(tags(), to);
        }
    }

    /// Changes the counts of an account's tags, and those of its limit on cost, if it has one.
    fn change(
        &mut self,
        tags: impl Iterator<Item = TagIndex>,
        highest: u64,
        change: impl Fn(&mut TagCount, Option<&mut HighestCosts>),
    ) {
        for tag in tags {
            let costs = (highest != u64::MAX).then(|| self.highest_costs.entry(tag).or_default());
            if let Some(tag) = self.all.get_mut(tag as usize) {
                change(&mut tag.count, costs);
            }
        }
    }
}

fn remove_one(costs: &mut BTreeMap<u64, usize>, cost: u64) {
    if let Some(count) = costs.get_mut(&cost) {
        *count -= 1;
        if *count == 0 {
            costs.remove(&cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::limits::ALL;

    #[test]
    fn the_highest_cost_is_that_of_the_accounts_that_are_there_and_of_those_that_are_open() {
        let mut tags = Tags::new();
        let all = || std::iter::once(ALL);
        tags.account_added(all(), 100);
        tags.account_added(all(), 100);
        tags.account_added(all(), 70);
        assert_eq!(tags.highest_costs(ALL), (100, 100));
        tags.account_closed(all(), 100);
        tags.account_closed(all(), 100);
        assert_eq!(tags.highest_costs(ALL), (100, 70));
        tags.account_removed(all(), 100);
        tags.account_opened(all(), 100);
        assert_eq!(tags.highest_costs(ALL), (100, 100));
        tags.account_added(all(), u64::MAX);
        assert_eq!(tags.highest_costs(ALL), (u64::MAX, u64::MAX), "an account without such a limit");
    }
}
