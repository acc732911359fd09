//! What a limit counts.

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
pub(in crate::pool) enum Unit {
    /// Calls, whatever they cost.
    Requests,
    /// What calls cost, in the unit in which their callers state it.
    Cost,
}

impl Unit {
    /// Returns how much of a limit a call of that cost takes.
    pub(in crate::pool) fn amount(self, cost: u64) -> u64 {
        match self {
            Self::Requests => 1,
            Self::Cost => cost,
        }
    }
}

/// What calls add up to, in both units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
pub(in crate::pool) struct Totals {
    pub(in crate::pool) requests: u64,
    pub(in crate::pool) cost: u64,
}

impl Totals {
    pub(in crate::pool) fn of(self, unit: Unit) -> u64 {
        match unit {
            Unit::Requests => self.requests,
            Unit::Cost => self.cost,
        }
    }
}
