//! The store that processes share, named so that it fits into a child's orders.

use std::path::PathBuf;
use std::time::Duration;

use jwt_refresh::SessionBuilder;
#[cfg(feature = "redis")]
use jwt_refresh::store::RedisStore;
use jwt_refresh::store::{FileStore, StoreEntry, TokenStore};
use serde::{Deserialize, Serialize};

/// The account that all processes use.
const ACCOUNT: &str = "ada";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Shelf {
    File(PathBuf),
    /// The URL of a Redis.
    #[cfg(feature = "redis")]
    Redis(String),
}

/// Nobody waits for a dead holder's lease for longer.
pub(crate) const LEASE: Duration = Duration::from_secs(4);

#[cfg(feature = "redis")]
fn redis(url: &str) -> RedisStore {
    RedisStore::builder(url).timeout(LEASE / 2).lease_ttl(LEASE).build().expect("a URL")
}

impl Shelf {
    /// The session that keeps its tokens here.
    pub(crate) fn put(&self, session: SessionBuilder) -> SessionBuilder {
        match self {
            Self::File(folder) => session.store(FileStore::new(folder), ACCOUNT),
            #[cfg(feature = "redis")]
            Self::Redis(url) => session.store(redis(url), ACCOUNT),
        }
    }

    /// What lies here.
    pub(crate) async fn look(&self) -> Contents {
        let entry = match self {
            Self::File(folder) => FileStore::new(folder).load(ACCOUNT).await,
            #[cfg(feature = "redis")]
            Self::Redis(url) => redis(url).load(ACCOUNT).await,
        };
        Contents::read(entry.expect("the store answers, and nothing in it is torn"))
    }
}

/// What a session wrote.
pub(crate) struct Contents(serde_json::Value);

impl Contents {
    fn read(entry: Option<StoreEntry>) -> Self {
        Self(entry.map_or(serde_json::Value::Null, |entry| serde_json::from_slice(&entry.data).expect("JSON")))
    }

    /// How many tokens of the account were saved.
    pub(crate) fn issue(&self) -> u64 {
        self.0["issue"].as_u64().unwrap_or(0)
    }

    pub(crate) fn is_logged_out(&self) -> bool {
        self.0["status"] == "logged out"
    }

    pub(crate) fn has_tokens(&self) -> bool {
        ["access_token", "refresh_token"].iter().any(|field| self.0[field].is_string())
    }
}
