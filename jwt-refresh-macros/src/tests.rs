//! What the attribute writes: expansions, compared with `tests/snapshots`, and every message.

mod messages;
mod snapshots;
