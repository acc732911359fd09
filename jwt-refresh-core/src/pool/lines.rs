//! The lines that callers can ask for: all accounts, and those with a tag. How many accounts are in each, and how many of them
//! callers may wait for.

use std::collections::HashMap;

use super::schedule::{ALL, Line};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) members: usize,
    /// Those that callers may wait for.
    pub(super) open: usize,
}

#[derive(Debug)]
pub(super) struct Lines {
    tags: HashMap<Box<str>, Line>,
    counts: Vec<Count>,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { tags: HashMap::new(), counts: vec![Count::default()] }
    }

    pub(super) fn of(&self, tag: &str) -> Option<Line> {
        self.tags.get(tag).copied()
    }

    /// Names a new line.
    pub(super) fn name(&mut self, line: Line, tag: &str) {
        self.counts.push(Count::default());
        self.tags.insert(tag.into(), line);
    }

    pub(super) fn tag(&self, line: Line) -> Option<&str> {
        self.tags.iter().find(|(_, of_tag)| **of_tag == line).map(|(tag, _)| &**tag)
    }

    pub(super) fn count(&self, line: Line) -> Count {
        self.counts.get(line as usize).copied().unwrap_or_default()
    }

    /// How many accounts there are.
    pub(super) fn size(&self) -> usize {
        self.count(ALL).members
    }

    /// An account comes, which callers may wait for.
    pub(super) fn come(&mut self, lines: impl Iterator<Item = Line>) {
        self.change(lines, |count| {
            count.members += 1;
            count.open += 1;
        });
    }

    /// An account goes, which callers could not wait for any more.
    pub(super) fn go(&mut self, lines: impl Iterator<Item = Line>) {
        self.change(lines, |count| count.members -= 1);
    }

    /// Callers may wait for an account again.
    pub(super) fn open(&mut self, lines: impl Iterator<Item = Line>) {
        self.change(lines, |count| count.open += 1);
    }

    /// Callers may not wait for an account any more.
    pub(super) fn close(&mut self, lines: impl Iterator<Item = Line>) {
        self.change(lines, |count| count.open -= 1);
    }

    fn change(&mut self, lines: impl Iterator<Item = Line>, change: impl Fn(&mut Count)) {
        for line in lines {
            if let Some(count) = self.counts.get_mut(line as usize) {
                change(count);
            }
        }
    }
}
