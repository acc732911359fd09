//! What the headers of an answer say of an account's limits.
//!
//! `dialects` reads the fields of each family, `structured` the lists of the current draft, and
//! `reset` when a quota is full again, in any of the ways in which servers say that.

mod dialects;
mod reset;
mod structured;

pub(super) use dialects::advertised;
