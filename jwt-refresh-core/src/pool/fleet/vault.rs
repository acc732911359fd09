//! The vault of a fleet: the entries of its accounts, with their refresh tokens. It says of an
//! entry that was written with another `vault_key` whose that is.

use crate::store::{StoreEntry, StoreError, StoreErrorKind, TokenStore, is_sealed, without_key};

/// A store that is the vault of a fleet, sealed or not.
pub(super) struct Vault<S> {
    store: S,
    /// Which fleet, and where, for people.
    place: String,
}

impl<S: TokenStore> Vault<S> {
    /// Returns the vault of the `fleet` in the Redis called `redis`.
    pub(super) fn new(store: S, fleet: &str, redis: &str) -> Self {
        Self { store, place: format!("the vault of the fleet {fleet:?} in Redis at {redis}") }
    }

    fn named(&self, error: StoreError) -> StoreError {
        if error.kind() != StoreErrorKind::KeyMismatch {
            return error;
        }
        let place = &self.place;
        let what = format!("{place} does not fit this auth worker's `vault_key` (all workers need the same): {error}");
        StoreError::new(error.kind(), what).at_revision(error.revision().unwrap_or(0))
    }
}

impl<S: TokenStore> TokenStore for Vault<S> {
    type Lease = S::Lease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        let found = match self.store.load(account).await {
            // What a worker with keys has opened is not sealed any more.
            Ok(Some(entry)) if is_sealed(&entry.data) => Err(without_key(account, entry.revision)),
            found => found,
        };
        found.map_err(|error| self.named(error))
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.store.save(account, entry).await
    }

    async fn lease(&self, account: &str) -> Result<S::Lease, StoreError> {
        self.store.lease(account).await
    }

    async fn delete_corrupt(&self, account: &str) -> Result<(), StoreError> {
        self.store.delete_corrupt(account).await
    }

    async fn changed(&self, account: &str, revision: u64) {
        self.store.changed(account, revision).await;
    }
}
