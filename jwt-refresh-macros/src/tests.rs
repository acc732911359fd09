//! What the attribute writes: expansions, compared with `tests/snapshots`, and every message.

mod messages;
mod snapshots;

use crate::parse::Names;

/// The attribute was imported as `guard`.
const NAMES: Names<'static> = Names { imported: Some("guard") };
