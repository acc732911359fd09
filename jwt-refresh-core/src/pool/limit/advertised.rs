//! What a server says in an answer of one of its limits.

use std::time::Duration;

use super::unit::Unit;

/// What a server says of one of its limits. Nothing in it is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Advertised {
    /// Tells the limits of a server apart.
    pub(in crate::pool) name: Box<str>,
    pub(in crate::pool) unit: Unit,
    /// How much a whole window allows.
    pub(in crate::pool) quota: Option<u64>,
    pub(in crate::pool) remaining: Option<u64>,
    /// In what time the quota is full again.
    pub(in crate::pool) reset: Option<Duration>,
    /// Whether the reset is rounded to seconds.
    pub(in crate::pool) is_rounded: bool,
    /// How long a window is.
    pub(in crate::pool) window: Option<Duration>,
}
