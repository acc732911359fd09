//! What a pool keeps for each group of accounts. The accounts that have a tag are a group for each
//! of their tiers, and so are all accounts together.

use super::pages::Pages;
use crate::pool::limits::{ALL, Limits, TagIndex, Tier};

/// A `T` for each group that there is.
#[derive(Debug)]
pub(super) struct Groups<T> {
    /// The tiers of each tag, the one that serves first at the front.
    tags: Pages<Vec<(Tier, T)>>,
}

impl<T> Default for Groups<T> {
    fn default() -> Self {
        Self { tags: Pages::default() }
    }
}

impl<T> Groups<T> {
    /// Returns the tiers of a tag and their groups, the one that serves first at the front.
    pub(super) fn tiers(&self, tag: TagIndex) -> impl Iterator<Item = (Tier, &T)> {
        self.tags.get(tag as usize).into_iter().flatten().map(|(tier, group)| (*tier, group))
    }

    pub(super) fn get(&self, tag: TagIndex, tier: Tier) -> Option<&T> {
        self.tags.get(tag as usize)?.iter().find(|(of, _)| *of == tier).map(|(_, group)| group)
    }

    /// Returns a group. One that is not there yet is made by `new`.
    pub(super) fn entry(&mut self, tag: TagIndex, tier: Tier, new: impl FnOnce() -> T) -> Option<&mut T> {
        while self.tags.len() <= tag as usize {
            self.tags.push(Vec::new());
        }
        let tiers = self.tags.get_mut(tag as usize)?;
        let at = tiers.iter().position(|(of, _)| *of >= tier).unwrap_or(tiers.len());
        if tiers.get(at).is_none_or(|(of, _)| *of != tier) {
            tiers.insert(at, (tier, new()));
        }
        tiers.get_mut(at).map(|(_, group)| group)
    }
}

/// Returns the tags of an account's groups: its own, and the one that stands for all accounts.
pub(super) fn tags_of(limits: &Limits) -> impl Iterator<Item = TagIndex> {
    std::iter::once(ALL).chain(limits.tags.iter().copied())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::pool::limit::Gcra;
    use crate::pool::limits::Pinned;

    /// The limits of an account of a tier, with these tags.
    pub(crate) fn limits(tier: Tier, tags: &[TagIndex]) -> Limits {
        Limits {
            rate: Gcra::default(),
            further: Box::default(),
            group: None,
            concurrency: u32::MAX,
            usage_cap: u32::MAX,
            weight: 1,
            tier,
            tags: tags.into(),
            endpoint: 0,
            pinned: Pinned(None),
        }
    }

    #[test]
    fn the_groups_of_a_tag_are_in_the_order_of_their_tiers() {
        let mut groups = Groups::default();
        for (tag, tier) in [(7, 3), (7, 1), (0, 9), (7, 2), (7, 1)] {
            *groups.entry(tag, tier, || 0).unwrap() += u32::from(tier);
        }
        assert_eq!(groups.tiers(7).map(|(tier, group)| (tier, *group)).collect::<Vec<_>>(), [(1, 2), (2, 2), (3, 3)]);
        assert_eq!((groups.get(0, 9), groups.get(0, 1), groups.get(8, 1)), (Some(&9), None, None));
        assert_eq!(groups.tiers(3).count(), 0);
    }
}
