//! Many accounts behind one [`TokenProvider`](crate::TokenProvider): a caller gets a lease of an
//! account that can serve it. What both pools share is here, `local` is the pool on one machine, and
//! `redis` the one for processes on many machines.
//!
//! An `account` is what a user adds, with its `limits`, each rate a `limit`. A caller asks by a
//! `request` and holds a `lease`; `failure` says why it got none. An account that does not serve is in
//! `quarantine`. `status` and `gauges` show how a pool is doing.

mod account;
mod counters;
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
#[cfg(feature = "redis")]
mod redis;
mod refresh_time;
mod request;
mod status;

pub use account::Account;
pub use lease::Lease;
pub use local::{Pool, PoolBuilder};
pub use policy::{PoolPolicy, Selection};
pub use quarantine::QuarantineCause;
#[cfg(feature = "redis")]
pub use redis::{AuthWorker, AuthWorkerBuilder, RedisPool, RedisPoolBuilder};
pub use request::LeaseRequest;
pub use status::{Health, PoolStatus, QuarantinedAccount};
