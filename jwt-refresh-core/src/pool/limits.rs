//! What may be asked of an account.

use std::any::Any;
use std::sync::Arc;

use super::limit::Limit;

/// A value that a user pins to an account.
pub(super) type Pin = Arc<dyn Any + Send + Sync>;

/// The number of a tag in a pool: 0 stands for all accounts, and each new tag gets the next number.
pub(super) type TagIndex = u32;

/// Stands for all accounts of a pool, whatever their tags.
pub(super) const ALL: TagIndex = 0;

/// What may be asked of an account, and what its leases hand out. Accounts that are added one after
/// the other with equal limits share one allocation.
#[derive(PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) limit: Limit,
    pub(super) concurrency: u32,
    pub(super) usage_cap: u32,
    pub(super) weight: u32,
    pub(super) tags: Box<[TagIndex]>,
    pub(super) pinned: Pinned,
}

/// The value pinned to an account, if any. Two are equal if they are the same allocation.
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
