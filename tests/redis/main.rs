//! The Redis store, and fleets, against a real redis-server: who may write, who may renew,
//! who is notified, and what an outage does.

mod access;
mod changes;
#[cfg(feature = "redis-cluster")]
mod cluster;
mod conformance;
mod contract;
mod entries;
#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
mod fail_over;
mod fleet;
mod leases;
mod outages;
mod pool_store;
#[cfg(feature = "redis-sentinel")]
mod sentinel;
#[cfg(feature = "redis-sentinel")]
mod sentinel_set;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "redis-tls")]
mod tls;

use std::time::Duration;

use jwt_refresh::store::{RedisStore, RedisStoreBuilder, StoreError, StoreErrorKind, TokenStore};

use support::RedisServer;

/// Far longer than what is to happen soon takes, and far shorter than a poll would take to find it.
const SOON: Duration = Duration::from_secs(3);

/// A time-out that a test can wait for.
const SHORT_TIMEOUT: Duration = Duration::from_millis(400);

fn store(server: &RedisServer) -> RedisStore {
    RedisStore::new(&server.url()).unwrap()
}

fn with_short_timeouts(url: &str) -> RedisStoreBuilder {
    RedisStore::builder(url).timeout(SHORT_TIMEOUT).lease_ttl(SHORT_TIMEOUT * 2)
}

/// The revision of an account's entry, 0 if there is none.
async fn revision(store: &RedisStore, account: &str) -> u64 {
    store.load(account).await.unwrap().map_or(0, |entry| entry.revision)
}

/// The kind of error, if it is one.
fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind())
}

/// The access rule in the documentation of a module.
fn access_rule(source: &str) -> String {
    let rule = &source[source.find("ACL SETUSER").unwrap()..];
    rule[..rule.find("```").unwrap()].replace("///", " ")
}

/// What stands in backquotes after `words` in the documentation of a module.
#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
fn quoted_after<'a>(source: &'a str, words: &str) -> &'a str {
    source.split_once(words).and_then(|(_, rest)| rest.split('`').nth(1)).unwrap()
}
