//! What may be asked of an account, as arithmetic on plain data: nothing here reads a clock or
//! knows of the pool, so that the state of a limit can be handed to another process.
//!
//! A user describes a limit by its `definition`. The pool goes by a `rule` and its state: an even
//! rate is `gcra`, a strict one `sliding_log`, and the quota of a day, which begins in some `zone`,
//! is `daily`. What a server says in its answers is `learnt`. A `unit` is what a limit counts.

mod advertised;
mod daily;
mod definition;
mod gcra;
mod learnt;
mod rule;
mod sliding_log;
mod unit;
mod zone;

pub(super) use advertised::Advertised;
pub use definition::Limit;
pub(super) use definition::{own_rules, shared_limits};
pub(super) use gcra::Gcra;
pub(super) use learnt::{Answered, LearntLimits};
#[cfg(feature = "redis")]
pub(super) use rule::SpentSince;
pub(super) use rule::{Call, LimitRule, Now, RuleState};
pub(super) use unit::{Totals, Unit};
