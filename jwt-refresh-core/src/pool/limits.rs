//! What may be asked of an account.

use std::any::Any;
use std::sync::Arc;

use super::limit::Limit;

/// What a user pins to an account.
pub(super) type Pin = Arc<dyn Any + Send + Sync>;

/// A tag, as a pool numbers them: 0 stands for all accounts, and each tag has the next number.
pub(super) type TagIndex = u32;

/// All accounts of a pool, whatever their tags.
pub(super) const ALL: TagIndex = 0;

/// What may be asked of an account, and what its leases hand out. Accounts that are added one after
/// the other with equal limits share them.
#[derive(PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) limit: Limit,
    pub(super) concurrency: u32,
    pub(super) usage_cap: u32,
    pub(super) weight: u32,
    pub(super) tags: Box<[TagIndex]>,
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
