//! The store that processes share. It can be written down in the orders of a child process.

use std::path::PathBuf;
use std::time::Duration;

use jwt_refresh::SessionBuilder;
#[cfg(feature = "redis")]
use jwt_refresh::store::RedisStore;
use jwt_refresh::store::{FileStore, StoreEntry, TokenStore};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The account that all processes use.
const ACCOUNT: &str = "ada";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum SharedStore {
    Folder(PathBuf),
    /// The URL of a Redis.
    #[cfg(feature = "redis")]
    Redis(String),
}

/// How long the lease of a dead process may last.
pub(crate) const LEASE_TTL: Duration = Duration::from_secs(4);

#[cfg(feature = "redis")]
fn redis(url: &str) -> RedisStore {
    RedisStore::builder(url).timeout(LEASE_TTL / 2).lease_ttl(LEASE_TTL).build().expect("a URL")
}

impl SharedStore {
    /// Lets a session keep its tokens in this store.
    pub(crate) fn of_session(&self, session: SessionBuilder) -> SessionBuilder {
        match self {
            Self::Folder(folder) => session.store(FileStore::new(folder), ACCOUNT),
            #[cfg(feature = "redis")]
            Self::Redis(url) => session.store(redis(url), ACCOUNT),
        }
    }

    /// Reads what the sessions have saved.
    pub(crate) async fn saved(&self) -> Saved {
        let entry = match self {
            Self::Folder(folder) => FileStore::new(folder).load(ACCOUNT).await,
            #[cfg(feature = "redis")]
            Self::Redis(url) => redis(url).load(ACCOUNT).await,
        };
        Saved::read(entry.expect("the store answers, and the entry is not corrupt"))
    }
}

/// What a session has saved.
pub(crate) struct Saved(Value);

impl Saved {
    fn read(entry: Option<StoreEntry>) -> Self {
        Self(entry.map_or(Value::Null, |entry| serde_json::from_slice(&entry.data).expect("JSON")))
    }

    /// The sequence number of the access token: how many tokens of the account were saved.
    pub(crate) fn sequence(&self) -> u64 {
        self.0["sequence"].as_u64().unwrap_or(0)
    }

    pub(crate) fn is_logged_out(&self) -> bool {
        self.0["status"] == "logged out"
    }

    pub(crate) fn has_tokens(&self) -> bool {
        ["access_token", "refresh_token"].iter().any(|field| self.0[field].is_string())
    }
}
