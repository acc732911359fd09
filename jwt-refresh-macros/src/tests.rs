//! What the attribute answers: expansions against `tests/snapshots`, and every message.

mod messages;
mod snapshots;
