//! The Redis store, and pools in Redis, against a real redis-server: who may write, who may renew, who is told, and what an outage
//! does.

mod access;
mod changes;
mod conformance;
mod entries;
mod leases;
mod outages;
mod pool;
#[cfg(feature = "metrics")]
#[path = "../observability/recorder.rs"]
mod recorder;
mod server;
mod sessions;
#[cfg(feature = "redis-tls")]
mod tls;

use std::time::Duration;

use jwt_refresh::store::{RedisStore, RedisStoreBuilder, StoreEntry, StoreError, StoreErrorKind, TokenStore};

use server::Server;

fn store(server: &Server) -> RedisStore {
    RedisStore::new(&server.url()).unwrap()
}

/// A store whose time-outs a test can wait for.
fn hasty(url: &str) -> RedisStoreBuilder {
    RedisStore::builder(url).timeout(HASTE).lease_ttl(HASTE * 2)
}

const HASTE: Duration = Duration::from_millis(400);

fn entry(revision: u64, data: &str) -> StoreEntry {
    StoreEntry { revision, data: data.as_bytes().to_vec().into() }
}

async fn revision(store: &RedisStore, account: &str) -> u64 {
    store.load(account).await.unwrap().map_or(0, |entry| entry.revision)
}

fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind())
}

/// Waits until `is_so`, which must be soon.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let all = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all)
        .await
        .unwrap_or_else(|_| panic!("it never became so that {what}"));
}
