//! Stores whose type the session need not know.

use super::{Entry, StoreError, TokenStore};
use crate::provider::BoxFuture;

/// A lease of a store whose type the session need not know.
pub(crate) type AnyLease = Box<dyn Send + Sync>;

/// A store whose type the session need not know.
pub(crate) trait AnyStore: Send + Sync {
    fn load<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Option<Entry>, StoreError>>;
    fn save<'a>(&'a self, account: &'a str, entry: &'a Entry) -> BoxFuture<'a, Result<(), StoreError>>;
    fn lease<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<AnyLease, StoreError>>;
    fn changed<'a>(&'a self, account: &'a str, revision: u64) -> BoxFuture<'a, ()>;
}

impl<S: TokenStore> AnyStore for S {
    fn load<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        Box::pin(S::load(self, account))
    }

    fn save<'a>(&'a self, account: &'a str, entry: &'a Entry) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(S::save(self, account, entry))
    }

    fn lease<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<AnyLease, StoreError>> {
        Box::pin(async move { Ok(Box::new(S::lease(self, account).await?) as AnyLease) })
    }

    fn changed<'a>(&'a self, account: &'a str, revision: u64) -> BoxFuture<'a, ()> {
        Box::pin(S::changed(self, account, revision))
    }
}
