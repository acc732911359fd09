//! How a pool numbers its accounts, and how it sorts them.

use crate::pool::limits::Tier;

/// An account's index in the pool's table.
pub(super) type Slot = u32;

/// What accounts are sorted by: the lowest rank is first. Of accounts with the same `order`, that
/// is the one that was used least recently. Packed, so that a rank and a slot take 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
pub(super) struct Rank {
    pub(super) order: i64,
    /// The number of the account's last lease. The number wraps around, so once in four thousand
    /// million leases accounts are taken in the wrong order.
    pub(super) last_lease: u32,
}

impl Rank {
    /// Returns the rank in an order that goes by time alone.
    pub(super) const fn at(time: i64) -> Self {
        Self { order: time, last_lease: 0 }
    }
}

/// Where an account stands among those that are ready: first by its tier, then by its rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    pub(super) tier: Tier,
    pub(super) rank: Rank,
}
