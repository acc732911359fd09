//! What sessions and pools promise, while callers are cancelled, processes killed, servers down and
//! clocks stepped.
//!
//! Each test has a short form, which runs by default, and a long one, which `scripts/torture` runs
//! (`JWT_REFRESH_TORTURE=long`). Each prints one line: what was promised, and what was counted.

mod caller;
mod cancellations;
mod chaos;
mod child;
#[cfg(unix)]
mod children;
mod clocks;
#[cfg(all(unix, feature = "redis"))]
mod fleet;
#[cfg(all(unix, feature = "redis"))]
mod fleet_exactness;
#[cfg(all(unix, feature = "redis"))]
mod fleet_faults;
#[cfg(all(unix, feature = "redis"))]
mod fleet_kills;
#[cfg(unix)]
mod kills;
mod learnt_limits;
mod load;
#[cfg(unix)]
mod logouts;
#[cfg(all(unix, feature = "redis"))]
mod outages;
#[cfg(unix)]
mod processes;
mod random;
mod rates;
#[cfg(all(unix, feature = "redis"))]
mod relay;
mod scale;
mod shared_store;
mod steady;
#[cfg(feature = "redis")]
mod store_outages;
#[path = "../support/mod.rs"]
mod support;
