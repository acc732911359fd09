//! What the test crates share. Each of them includes the whole folder as a module of its own.

#![allow(dead_code, unused_imports, reason = "no test crate uses all of it")]

mod accounts;
#[cfg(feature = "redis")]
mod authority;
mod child;
mod entry;
mod http;
mod http_proxy;
mod log;
mod login;
mod machine;
mod port;
mod process;
#[cfg(feature = "metrics")]
mod recorder;
#[cfg(feature = "redis-cluster")]
mod redis_cluster;
#[cfg(feature = "redis")]
mod redis_proxy;
#[cfg(feature = "redis-sentinel")]
mod redis_sentinel;
#[cfg(feature = "redis")]
mod redis_server;
mod until;
mod world;

use std::time::Duration;

pub(crate) use accounts::{PASSWORD, account, account_login, account_name, with_accounts};
#[cfg(feature = "redis")]
pub(crate) use authority::{Authority, TlsFiles};
pub(crate) use child::{child_command, end_of_input, orders, test_command};
pub(crate) use entry::{entry, increment};
pub(crate) use http::{call_api, http_client, is_served};
pub(crate) use http_proxy::HttpProxy;
pub(crate) use log::log;
pub(crate) use login::{login, login_at};
pub(crate) use machine::Machine;
pub(crate) use port::{cluster_port, free_port};
pub(crate) use process::Process;
#[cfg(feature = "metrics")]
pub(crate) use recorder::Recorded;
#[cfg(feature = "redis-cluster")]
pub(crate) use redis_cluster::RedisCluster;
#[cfg(feature = "redis")]
pub(crate) use redis_proxy::RedisProxy;
#[cfg(feature = "redis-sentinel")]
pub(crate) use redis_sentinel::{RedisSentinel, SetLayout};
#[cfg(feature = "redis")]
pub(crate) use redis_server::RedisServer;
pub(crate) use until::{until, until_blocking};
pub(crate) use world::{World, spawn_caller};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A second longer than an access token of the test server lives, unless a test says otherwise.
pub(crate) const PAST_EXPIRY: Duration = Duration::from_secs(61);

/// An error of any kind.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
