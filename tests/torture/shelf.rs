//! The store that processes share, named so that it fits into a child's orders.

use std::path::PathBuf;

use jwt_refresh::{Entry, FileStore, SessionBuilder, TokenStore};
use serde::{Deserialize, Serialize};

/// The account that all processes use.
const ACCOUNT: &str = "ada";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Shelf {
    File(PathBuf),
}

impl Shelf {
    /// The session that keeps its tokens here.
    pub(crate) fn put(&self, session: SessionBuilder) -> SessionBuilder {
        match self {
            Self::File(folder) => session.store(FileStore::new(folder), ACCOUNT),
        }
    }

    /// What lies here.
    pub(crate) async fn look(&self) -> Contents {
        let entry = match self {
            Self::File(folder) => FileStore::new(folder).load(ACCOUNT).await,
        };
        Contents::read(entry.expect("the store answers, and nothing in it is torn"))
    }
}

/// What a session wrote.
pub(crate) struct Contents(serde_json::Value);

impl Contents {
    fn read(entry: Option<Entry>) -> Self {
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
