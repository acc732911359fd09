//! The tags that callers can ask for, and how many accounts have each. A further tag stands for all
//! accounts together.

use std::collections::HashMap;

use crate::pool::limits::{ALL, TagIndex};

/// How many accounts have a tag.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TagCount {
    pub(super) accounts: usize,
    /// Those that are open: callers may wait for them.
    pub(super) open: usize,
}

#[derive(Debug)]
pub(super) struct Tags {
    indices: HashMap<Box<str>, TagIndex>,
    counts: Vec<TagCount>,
}

impl Tags {
    pub(super) fn new() -> Self {
        Self { indices: HashMap::new(), counts: vec![TagCount::default()] }
    }

    pub(super) fn index(&self, name: &str) -> Option<TagIndex> {
        self.indices.get(name).copied()
    }

    /// Gives a new tag its name. `tag` must be the next number.
    pub(super) fn add(&mut self, tag: TagIndex, name: &str) {
        self.counts.push(TagCount::default());
        self.indices.insert(name.into(), tag);
    }

    pub(super) fn name(&self, tag: TagIndex) -> Option<&str> {
        self.indices.iter().find(|(_, index)| **index == tag).map(|(name, _)| &**name)
    }

    pub(super) fn count(&self, tag: TagIndex) -> TagCount {
        self.counts.get(tag as usize).copied().unwrap_or_default()
    }

    /// Returns how many accounts there are.
    pub(super) fn size(&self) -> usize {
        self.count(ALL).accounts
    }

    /// Counts an account that was added and is open.
    pub(super) fn account_added(&mut self, tags: impl Iterator<Item = TagIndex>) {
        self.change(tags, |count| {
            count.accounts += 1;
            count.open += 1;
        });
    }

    /// Counts an account that was closed and is removed.
    pub(super) fn account_removed(&mut self, tags: impl Iterator<Item = TagIndex>) {
        self.change(tags, |count| count.accounts -= 1);
    }

    /// Counts that an account is open again.
    pub(super) fn account_opened(&mut self, tags: impl Iterator<Item = TagIndex>) {
        self.change(tags, |count| count.open += 1);
    }

    /// Counts that an account is not open any more.
    pub(super) fn account_closed(&mut self, tags: impl Iterator<Item = TagIndex>) {
        self.change(tags, |count| count.open -= 1);
    }

    fn change(&mut self, tags: impl Iterator<Item = TagIndex>, change: impl Fn(&mut TagCount)) {
        for tag in tags {
            if let Some(count) = self.counts.get_mut(tag as usize) {
                change(count);
            }
        }
    }
}
