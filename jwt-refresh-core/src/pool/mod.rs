//! Many accounts behind one [`TokenProvider`](crate::TokenProvider): a caller gets a lease of an
//! account that can serve it. `local` is the pool on one machine, and `redis` the pool for
//! processes on many machines. Both share what is here.
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
mod event;
mod failure;
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
#[cfg(feature = "redis")]
mod redis;
mod refresh_time;
mod request;
mod start;
mod status;
mod strikes;

pub use account::Account;
pub use account_stats::AccountStats;
pub use close_report::CloseReport;
pub use event::PoolEvent;
pub use lease::Lease;
pub use limit::Limit;
pub use local::{Pool, PoolAccount, PoolBuilder};
pub use policy::{PoolPolicy, Selection};
pub use quarantine::QuarantineCause;
#[cfg(feature = "redis")]
pub use redis::{AuthWorker, AuthWorkerBuilder, RedisPool, RedisPoolBuilder};
pub use request::LeaseRequest;
pub use status::{Health, PoolStatus, QuarantinedAccount};
