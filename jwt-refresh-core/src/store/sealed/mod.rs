//! Entries that only who has the key can read, in any store.

pub(crate) mod envelope;
mod key;

use std::fmt;
use std::sync::Arc;

use super::{Entry, StoreError, StoreErrorKind, TokenStore};
pub use key::SealKey;

/// Encrypts entries before they reach a store, which may be any.
///
/// An entry becomes a [PASETO](https://paseto.io) of version 4, `v4.local.…` (`XChaCha20` and keyed `BLAKE2b`), whose footer names the key
/// by its PASERK id, and to which account and revision are bound: one that was copied to another account, or under another revision,
/// is not opened. It is about 1.8 times as large as what is in it. An older entry that is put back under its own revision
/// is opened: that the revision fell is for the reader to see.
///
/// An entry that cannot be opened (the key is another, or somebody changed it) is a [`StoreErrorKind::Corrupt`], but stays in the
/// store: with the right key it is there again. Until then nothing follows on it, so a [`save`](TokenStore::save) of
/// revision 1 is a [`StoreErrorKind::Conflict`]. Entries that were written without a key are not read: an attacker who can
/// write to the store could write such.
///
/// Leases, waits and cancellation are those of the store.
///
/// ```no_run
/// # use jwt_refresh_core::{FileStore, SealKey, Sealed, StoreError};
/// # fn main() -> Result<(), StoreError> {
/// // The variable holds `k4.local.…`, as `SealKey::generate` makes it.
/// let store = Sealed::new(FileStore::new("/var/lib/catalog/tokens"), SealKey::from_env("CATALOG_TOKEN_KEY")?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sealed<S> {
    store: S,
    keys: Keys,
}

type Keys = Arc<dyn Fn() -> Result<Vec<SealKey>, StoreError> + Send + Sync>;

impl<S: TokenStore> Sealed<S> {
    /// Seals what is in `store` with `key`.
    pub fn new(store: S, key: SealKey) -> Self {
        Self::with_keys(store, move || Ok(vec![key.clone()]))
    }

    /// Seals with the first of the keys that `keys` hands out, and opens what was sealed with any of them. To change the key, put
    /// the new one first and keep the old one until every account was written once.
    ///
    /// `keys` is called at each load and save, in the task that loads or saves, so it must not block: have it hand out keys that
    /// were fetched before. Its error becomes that of the load or save.
    pub fn with_keys(store: S, keys: impl Fn() -> Result<Vec<SealKey>, StoreError> + Send + Sync + 'static) -> Self {
        Self { store, keys: Arc::new(keys) }
    }

    fn seal(&self, account: &str, entry: &Entry) -> Result<Entry, StoreError> {
        let keys = (self.keys)()?;
        let key = keys.first().ok_or_else(|| {
            StoreError::new(StoreErrorKind::Configuration, "there is no key to seal the tokens of the store with")
        })?;
        let sealed = envelope::seal(key, &binding(account, entry.revision), &entry.data)?;
        Ok(Entry { revision: entry.revision, data: sealed.into_bytes().into() })
    }

    fn open(&self, account: &str, entry: &Entry) -> Result<Entry, StoreError> {
        let data = envelope::open(&(self.keys)()?, &binding(account, entry.revision), &entry.data).map_err(|why| {
            let what = format!("the entry of account {account:?}, revision {}, {why}", entry.revision);
            StoreError::new(StoreErrorKind::Corrupt, what)
        })?;
        Ok(Entry { revision: entry.revision, data })
    }
}

impl<S: TokenStore> TokenStore for Sealed<S> {
    type Lease = S::Lease;

    async fn load(&self, account: &str) -> Result<Option<Entry>, StoreError> {
        let entry = self.store.load(account).await?;
        entry.map(|entry| self.open(account, &entry)).transpose()
    }

    async fn save(&self, account: &str, entry: &Entry) -> Result<(), StoreError> {
        let sealed = self.seal(account, entry)?;
        self.store.save(account, &sealed).await
    }

    async fn lease(&self, account: &str) -> Result<S::Lease, StoreError> {
        self.store.lease(account).await
    }

    async fn changed(&self, account: &str, revision: u64) {
        self.store.changed(account, revision).await;
    }
}

impl<S: fmt::Debug> fmt::Debug for Sealed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What is authenticated with an entry and not in it. Digits end where the account begins.
fn binding(account: &str, revision: u64) -> String {
    format!("jwt-refresh entry {revision} of {account}")
}
