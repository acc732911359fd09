//! What callers use of each tag that they ask for, in a process of a fleet.

use std::collections::BTreeMap;

use crate::pool::limits::{ALL, TagIndex};
use crate::pool::share::TagUse;

/// The tags of leases that are held, or that were given since the fleet was told. What callers
/// without a tag use is the rest of what all use.
#[derive(Debug, Default)]
pub(super) struct TagUses(BTreeMap<TagIndex, TagUse>);

impl TagUses {
    /// Counts a lease that was given to a caller who asked for a tag.
    pub(super) fn granted(&mut self, tag: TagIndex) {
        if tag != ALL {
            let used = self.0.entry(tag).or_default();
            used.held += 1;
            used.leases += 1;
        }
    }

    /// Counts that such a lease has ended.
    pub(super) fn ended(&mut self, tag: TagIndex) {
        let Some(used) = self.0.get_mut(&tag) else { return };
        used.held = used.held.saturating_sub(1);
        if *used == TagUse::default() {
            self.0.remove(&tag);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TagIndex, TagUse)> {
        self.0.iter().map(|(tag, used)| (*tag, *used))
    }

    /// Counts anew which leases are given, and forgets the tags of which none is held.
    pub(super) fn begin_anew(&mut self) {
        self.0.retain(|_, used| used.held > 0);
        self.0.values_mut().for_each(|used| used.leases = 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_takes_room_only_while_leases_of_it_are_held_or_were_not_told() {
        let mut tags = TagUses::default();
        for tag in [ALL, 1, 1, 2] {
            tags.granted(tag);
        }
        for tag in [ALL, 1, 2] {
            tags.ended(tag);
        }
        let used = |held, leases| TagUse { held, leases };
        assert_eq!(tags.iter().collect::<Vec<_>>(), [(1, used(1, 2)), (2, used(0, 1))]);
        tags.begin_anew();
        assert_eq!(tags.iter().collect::<Vec<_>>(), [(1, used(1, 0))]);
        tags.ended(1);
        assert_eq!(tags.iter().count(), 0);
    }
}
