//! Many accounts behind one [`TokenProvider`](crate::TokenProvider): a caller gets a lease of an
//! account that can serve it. `local` is the pool on one machine, and `fleet` has those of
//! processes on many machines, which divide the accounts among themselves: a `definition` is what
//! they tell each other of an account, and a `share` what one of them may use of it.
//!
//! A process of a fleet of pools has a `share` of an account, which it knows by its `definition`.
//!
//! An `account` is what a user adds to a pool. Its `limits` say what may be asked of it, and the
//! rate among them is a `limit`. `refresh_time` says when it is refreshed. A caller asks by a
//! `request` and gets a `lease`, or a `failure`. An account that does not serve is in `quarantine`.
//! The `policy` has the numbers that a pool goes by, and `strikes` say how long a rest is.
//! `counters` are what it counts, and `status` and `gauges` show that. `provider` makes a pool a
//! `TokenProvider`.

mod account;
mod account_stats;
mod close_report;
mod counters;
#[cfg(feature = "redis")]
mod definition;
mod event;
mod failure;
#[cfg(feature = "redis")]
mod fleet;
#[cfg(feature = "metrics")]
mod gauges;
mod lease;
mod limit;
mod limits;
mod local;
mod policy;
mod provider;
mod quarantine;
mod rate_headers;
mod refresh_time;
mod request;
#[cfg(feature = "redis")]
mod share;
mod start;
mod status;
mod strikes;

pub use account::Account;
pub use account_stats::AccountStats;
pub use close_report::CloseReport;
pub use event::PoolEvent;
#[cfg(feature = "redis")]
pub use fleet::{AuthWorker, AuthWorkerBuilder, RedisPool, RedisPoolBuilder};
pub use lease::Lease;
pub use limit::Limit;
pub use local::{Pool, PoolAccount, PoolBuilder};
pub use policy::{PoolPolicy, Selection};
pub use quarantine::QuarantineCause;
pub use request::LeaseRequest;
pub use status::{Health, PoolStatus, QuarantinedAccount};
