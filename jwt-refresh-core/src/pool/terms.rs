//! What may be asked of an account.

use std::sync::Arc;

use super::account::Pin;
use super::limit::Limit;
use super::schedule::Line;

/// What may be asked of an account, and what its leases hand out. Accounts that are added one after the other on equal terms share
/// them.
#[derive(PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) limit: Limit,
    pub(super) concurrency: u32,
    pub(super) usage_cap: u32,
    pub(super) weight: u32,
    pub(super) tags: Box<[Line]>,
    pub(super) pinned: Pinned,
}

/// What is pinned to an account: the same only as itself.
pub(super) struct Pinned(pub(super) Option<Pin>);

impl PartialEq for Pinned {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(this), Some(that)) => Arc::ptr_eq(this, that),
            _ => false,
        }
    }
}

impl Eq for Pinned {}
