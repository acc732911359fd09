//! Counts the tokens that were rejected as soon as they were issued.

use crate::clock::{Moment, Timestamp};
use crate::policy::Policy;

/// When, since boot, tokens were rejected as soon as they were issued, the latest last. A session
/// whose tokens are good has none.
#[derive(Debug)]
pub(super) struct Rejections(Box<[Timestamp]>);

impl Rejections {
    pub(super) fn new() -> Self {
        Self(Box::default())
    }

    /// Counts a rejection. If there are as many within the window as the policy allows, returns how
    /// many, and when the window ends, since boot.
    pub(super) fn add(&mut self, policy: &Policy, now: Moment) -> Option<(usize, Timestamp)> {
        let (limit, window) = policy.rejections;
        let recent = self.0.iter().copied().filter(|&time| now.boot < time + window);
        self.0 = recent.chain([now.boot]).collect();
        let first = *self.0.first()?;
        (self.0.len() >= limit.max(1) as usize).then_some((self.0.len(), first + window))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}
