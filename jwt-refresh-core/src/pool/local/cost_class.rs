//! Classes of costs, each twice as high as the one before, by which callers and accounts find each
//! other without a look at all of them.

/// A class: the cost is at least 2 to the power of this, and less than twice that.
pub(super) type CostClass = u8;

/// The most callers or accounts of one class that are looked at for one of which the cost fits.
/// Behind these, one waits for the next chance.
pub(super) const MOST_LOOKED_AT: usize = 8;

/// Returns the class of a cost. 0 is in the class of 1.
pub(super) fn cost_class(cost: u64) -> CostClass {
    u8::try_from(cost.max(1).ilog2()).unwrap_or(0)
}

/// Returns the lowest cost above a class, or `None` if there is none.
pub(super) fn next_class(class: CostClass) -> Option<u64> {
    1_u64.checked_shl(u32::from(class) + 1)
}
