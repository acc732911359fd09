//! The order in which accounts stand, and how the pool numbers accounts.

/// An account's place in the pool's table.
pub(super) type Slot = u32;

/// A place in a line: the lowest rank first, and of equals the one that was used least recently. Packed, so that a rank and a slot
/// take 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
pub(super) struct Rank {
    pub(super) order: i64,
    /// Counts leases; that this wraps round costs one turn in four thousand million.
    pub(super) turn: u32,
}

impl Rank {
    /// Among those that are sorted by time alone.
    pub(super) const fn at(time: i64) -> Self {
        Self { order: time, turn: 0 }
    }
}
