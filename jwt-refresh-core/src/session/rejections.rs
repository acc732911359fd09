//! Counts the tokens that were rejected as soon as they were issued.

use std::collections::VecDeque;

use crate::clock::Moment;
use crate::policy::Policy;

/// When tokens were rejected as soon as they were issued, the latest last.
#[derive(Debug)]
pub(super) struct Rejections(VecDeque<Moment>);

impl Rejections {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Counts a rejection. If there are as many within the window as the policy allows, returns how
    /// many, and when the window ends.
    pub(super) fn add(&mut self, policy: &Policy, now: Moment) -> Option<(usize, Moment)> {
        let (limit, window) = policy.rejections;
        self.0.push_back(now);
        while self.0.front().is_some_and(|&first| now.reached(first + window)) {
            self.0.pop_front();
        }
        let first = *self.0.front()?;
        (self.0.len() >= limit.max(1) as usize).then_some((self.0.len(), first + window))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
