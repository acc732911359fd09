//! What may be asked of an account.

use std::any::Any;
use std::sync::Arc;

use super::limit::{Gcra, LimitRule};

/// A value that a user pins to an account.
pub(super) type Pin = Arc<dyn Any + Send + Sync>;

/// The number of a tag in a pool: 0 stands for all accounts, and each new tag gets the next number.
pub(super) type TagIndex = u32;

/// The number of a group of accounts in a pool: those with the same set of shared limits.
pub(super) type GroupIndex = usize;

/// Stands for all accounts of a pool, whatever their tags.
pub(super) const ALL: TagIndex = 0;

/// The number of a token endpoint in a pool.
pub(super) type EndpointIndex = u32;

/// The number of a tier. The lowest serves first.
pub(super) type Tier = u8;

/// What may be asked of an account, and what its leases hand out. Accounts that are added one after
/// the other with equal limits share one allocation.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Limits {
    /// The account's own even rate of calls, which is all that most accounts have.
    pub(super) rate: Gcra,
    /// The account's own limits beside it.
    pub(super) further: Box<[LimitRule]>,
    /// The group of accounts with which it shares limits.
    pub(super) group: Option<GroupIndex>,
    pub(super) concurrency: u32,
    pub(super) usage_cap: u32,
    pub(super) weight: u32,
    pub(super) tier: Tier,
    pub(super) tags: Box<[TagIndex]>,
    /// Where the account logs in. It is here because that is what most accounts have in common.
    pub(super) endpoint: EndpointIndex,
    pub(super) pinned: Pinned,
}

impl Limits {
    /// Returns the most that a call may ever cost by the account's own limits.
    pub(super) fn most(&self) -> u64 {
        self.further.iter().map(LimitRule::most).min().unwrap_or(u64::MAX)
    }
}

/// The value pinned to an account, if any. Two are equal if they are the same allocation.
#[derive(Clone)]
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
