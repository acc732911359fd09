//! Entries that cannot be read without the key, in any store.

pub(crate) mod envelope;
mod key;

use std::fmt;
use std::sync::Arc;

use serde_core::de::IgnoredAny;

use super::sealing::{is_sealed, key_mismatch};
use super::{StoreEntry, StoreError, StoreErrorKind, TokenStore};
use envelope::Unopened;
pub use key::SealKey;

/// Encrypts entries before they reach a store, which may be any.
///
/// An entry becomes a [PASETO](https://paseto.io) of version 4, `v4.local.…` (`XChaCha20` and keyed
/// `BLAKE2b`). Its footer names the key by its PASERK id. Account and revision are bound to it: an
/// entry that was copied to another account, or under another revision, is not opened. It is about
/// 1.8 times as large as what is in it. An older entry that is put back under its own revision is
/// opened; the reader can see that the revision fell.
///
/// An entry that was sealed with a key that is not given is a [`StoreErrorKind::KeyMismatch`], and
/// so is one that is not sealed. A session leaves it alone, whatever its policy says: it neither
/// logs in nor refreshes, since with the right key the entry serves. If that key is lost, delete
/// the entry. Entries that were written without a key are not read, because an attacker who can
/// write to the store could write such entries; to begin with a key, or to end with it, allow them
/// for a while by [`read_unsealed`](Self::read_unsealed) and
/// [`write_unsealed`](Self::write_unsealed).
///
/// An entry that was changed is a [`StoreErrorKind::Corrupt`], but stays in the store, under its
/// revision, until a session writes the next one. What a session does is its policy's
/// [`CorruptEntry`](crate::store::CorruptEntry). An entry that a later version of this library
/// sealed, with a key that is given, is a [`StoreErrorKind::LaterFormat`], with its revision.
///
/// Leases, waits and cancellation are those of the store.
///
/// ```no_run
/// # use jwt_refresh::store::{FileStore, SealKey, Sealed, StoreError};
/// # fn main() -> Result<(), StoreError> {
/// // The variable holds `k4.local.…`, as `SealKey::generate` makes it.
/// let key = SealKey::from_env("CATALOG_TOKEN_KEY")?;
/// let store = Sealed::new(FileStore::new("/var/lib/catalog/tokens"), key);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sealed<S> {
    store: S,
    keys: KeySource,
    unsealed: Unsealed,
}

/// What is done with entries that are not sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unsealed {
    Refused,
    Read,
    Written,
}

/// Hands out the keys: the first seals, and each opens what was sealed with it.
type KeySource = Arc<dyn Fn() -> Result<Vec<SealKey>, StoreError> + Send + Sync>;

impl<S: TokenStore> Sealed<S> {
    /// Returns a store that seals what is in `store` with `key`.
    pub fn new(store: S, key: SealKey) -> Self {
        Self::with_keys(store, move || Ok(vec![key.clone()]))
    }

    /// Returns a store that seals with the first of the keys that `keys` returns, and opens what
    /// was sealed with any of them. To change the key, put the new one first and keep the old one
    /// until every account was written once.
    ///
    /// `keys` is called at each load and save, in the task that loads or saves, so it must not
    /// block: have it return keys that were fetched before. Its error becomes that of the load or
    /// save.
    pub fn with_keys(store: S, keys: impl Fn() -> Result<Vec<SealKey>, StoreError> + Send + Sync + 'static) -> Self {
        Self { store, keys: Arc::new(keys), unsealed: Unsealed::Refused }
    }

    /// Reads entries that are not sealed, too; each is sealed when it is next written. This is for
    /// the time after a key was given to a store that had none, until every account was renewed
    /// once. Meanwhile, somebody who can write to the store can put an entry of their own there.
    pub fn read_unsealed(mut self) -> Self {
        self.unsealed = Unsealed::Read;
        self
    }

    /// Writes entries in the clear, and reads sealed ones and those in the clear. This is for the
    /// time before a store is used without a key, until every account was renewed once; and to give
    /// a key to one process of many after the other, while all read what the others write.
    pub fn write_unsealed(mut self) -> Self {
        self.unsealed = Unsealed::Written;
        self
    }

    fn seal(&self, account: &str, entry: &StoreEntry) -> Result<StoreEntry, StoreError> {
        if self.unsealed == Unsealed::Written {
            return Ok(entry.clone());
        }
        let keys = (self.keys)()?;
        let key = keys.first().ok_or_else(|| {
            StoreError::new(StoreErrorKind::Configuration, "there is no key to seal the tokens of the store with")
        })?;
        let sealed = envelope::seal(key, &binding(account, entry.revision), &entry.data)?;
        Ok(StoreEntry { revision: entry.revision, data: sealed.into_bytes().into() })
    }

    fn open(&self, account: &str, entry: &StoreEntry) -> Result<StoreEntry, StoreError> {
        if self.unsealed != Unsealed::Refused && !is_sealed(&entry.data) {
            return Ok(entry.clone());
        }
        if is_clear(&entry.data) {
            return Err(key_mismatch(account, entry.revision, NOT_SEALED));
        }
        let opened = envelope::open(&(self.keys)()?, &binding(account, entry.revision), &entry.data);
        let data = opened.map_err(|error| unopened(account, entry.revision, &error))?;
        Ok(StoreEntry { revision: entry.revision, data })
    }
}

impl<S: TokenStore> TokenStore for Sealed<S> {
    type Lease = S::Lease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        let entry = self.store.load(account).await?;
        entry.map(|entry| self.open(account, &entry)).transpose()
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        let sealed = self.seal(account, entry)?;
        self.store.save(account, &sealed).await
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

impl<S: fmt::Debug> fmt::Debug for Sealed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("store", &self.store).finish_non_exhaustive()
    }
}

const NOT_SEALED: &str = "is not sealed, and this process was given a key: if it was written before there was one, \
                          allow that with `read_unsealed` until every account was renewed once";

/// Returns whether an entry is whole and in the clear: an object, as sessions write it.
fn is_clear(data: &[u8]) -> bool {
    data.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

/// Returns the error of an entry that was not opened.
fn unopened(account: &str, revision: u64, error: &Unopened) -> StoreError {
    let kind = match error {
        Unopened::Corrupt(_) => StoreErrorKind::Corrupt,
        Unopened::LaterFormat => StoreErrorKind::LaterFormat,
        Unopened::OtherKey(id) => {
            let what = format!(
                "is sealed with the key {id}, which this process was not given: give it that key, too, or delete the \
                 entry if the key is lost"
            );
            return key_mismatch(account, revision, &what);
        }
    };
    let what = format!("the entry of account {account:?}, revision {revision}, {}", error.why());
    StoreError::new(kind, what).at_revision(revision)
}

/// Returns what is authenticated with an entry and is not in it. The revision ends at the first
/// byte that is no digit, so no two pairs of account and revision have the same binding.
fn binding(account: &str, revision: u64) -> String {
    format!("jwt-refresh entry {revision} of {account}")
}
