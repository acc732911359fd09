//! What may be asked of an account.

use super::limit::Limit;
use super::schedule::Line;

/// What may be asked of an account. Accounts that are added one after the other on equal terms share them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) limit: Limit,
    pub(super) concurrency: u32,
    pub(super) usage_cap: u32,
    pub(super) weight: u32,
    pub(super) tags: Box<[Line]>,
}
