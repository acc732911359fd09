//! Stores behind a trait object, so that a session is not generic over its store.

use super::{StoreEntry, StoreError, TokenStore};
use crate::provider::BoxFuture;

/// A lease of any store.
pub(crate) type DynLease = Box<dyn Send + Sync>;

/// A [`TokenStore`] as a trait object.
pub(crate) trait DynStore: Send + Sync {
    fn load<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Option<StoreEntry>, StoreError>>;
    fn save<'a>(&'a self, account: &'a str, entry: &'a StoreEntry) -> BoxFuture<'a, Result<(), StoreError>>;
    fn lease<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<DynLease, StoreError>>;
    fn delete_corrupt<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
    fn changed<'a>(&'a self, account: &'a str, revision: u64) -> BoxFuture<'a, ()>;
}

impl<S: TokenStore> DynStore for S {
    fn load<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Option<StoreEntry>, StoreError>> {
        Box::pin(S::load(self, account))
    }

    fn save<'a>(&'a self, account: &'a str, entry: &'a StoreEntry) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(S::save(self, account, entry))
    }

    fn lease<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<DynLease, StoreError>> {
        Box::pin(async move { Ok(Box::new(S::lease(self, account).await?) as DynLease) })
    }

    fn delete_corrupt<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(S::delete_corrupt(self, account))
    }

    fn changed<'a>(&'a self, account: &'a str, revision: u64) -> BoxFuture<'a, ()> {
        Box::pin(S::changed(self, account, revision))
    }
}
