//! Where tokens outlive the process and are shared. A store has one entry for each account, told
//! from older ones by its revision, and a lease for each account, so that one session at a time
//! renews it. A store knows bytes, revisions and leases, and nothing of tokens or HTTP.

mod dynamic;
mod error;
mod file;
#[cfg(feature = "keyring")]
mod keyring;
mod locked;
mod look_rate;
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "seal")]
pub(crate) mod sealed;
mod sealing;

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

#[cfg(feature = "keyring")]
pub use self::keyring::KeyringStore;
#[cfg(all(feature = "keyring", feature = "reqwest"))]
pub(crate) use self::keyring::keyring_password;
#[cfg(feature = "redis")]
pub use self::redis::{RedisLease, RedisStore, RedisStoreBuilder};
pub use crate::policy::{CorruptEntry, StoreFailure};
pub(crate) use dynamic::{DynLease, DynStore};
pub use error::{StoreError, StoreErrorKind};
pub use file::FileStore;
pub use locked::FileLease;
pub(crate) use look_rate::POLL;
pub use memory::{MemoryLease, MemoryStore};
#[cfg(feature = "seal")]
pub use sealed::{SealKey, Sealed};
pub(crate) use sealing::{is_sealed, without_key};

/// What a store holds for an account: bytes that the store need not understand, and their revision.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreEntry {
    /// The number of this write of the account's entry, from 1.
    pub revision: u64,
    /// The bytes that were written. They hold secrets, in the clear unless the session was given a
    /// key.
    pub data: Zeroizing<Vec<u8>>,
}

impl StoreEntry {
    /// Returns whether it is the next entry after the one of `revision` (0: none).
    pub(crate) fn follows_on(&self, revision: u64) -> bool {
        // The last revision that a number can hold is followed by none.
        self.revision.checked_sub(1) == Some(revision)
    }
}

impl fmt::Debug for StoreEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreEntry {{ revision: {}, {} bytes }}", self.revision, self.data.len())
    }
}

/// Where a session keeps its tokens. Sessions that use the same account in the same store share one
/// login, in one process or in many.
///
/// `account` is the name that the user gave the session; it holds no secret. Every future may be
/// dropped at any time; what it would have done is then done or not.
///
/// ```
/// use jwt_refresh::store::{StoreEntry, StoreError, TokenStore};
///
/// /// Keeps the accounts of one customer apart from those of the others.
/// struct OfCustomer<S> {
///     customer: String,
///     store: S,
/// }
///
/// impl<S> OfCustomer<S> {
///     fn name(&self, account: &str) -> String {
///         format!("{}:{account}", self.customer)
///     }
/// }
///
/// impl<S: TokenStore> TokenStore for OfCustomer<S> {
///     type Lease = S::Lease;
///
///     async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
///         self.store.load(&self.name(account)).await
///     }
///
///     async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
///         self.store.save(&self.name(account), entry).await
///     }
///
///     async fn lease(&self, account: &str) -> Result<S::Lease, StoreError> {
///         self.store.lease(&self.name(account)).await
///     }
///
///     async fn delete_corrupt(&self, account: &str) -> Result<(), StoreError> {
///         self.store.delete_corrupt(&self.name(account)).await
///     }
///
///     async fn changed(&self, account: &str, revision: u64) {
///         self.store.changed(&self.name(account), revision).await
///     }
/// }
/// ```
///
/// `jwt_refresh_testkit::conformance` checks what this trait promises.
pub trait TokenStore: Send + Sync + 'static {
    /// The right to renew an account. It is given back when it is dropped, and, though perhaps
    /// later, when the process that holds it dies.
    type Lease: Send + Sync + 'static;

    /// Returns the account's entry, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Unavailable`]; [`StoreErrorKind::LaterFormat`]; or
    /// [`StoreErrorKind::Corrupt`] if what is there is no entry of that account. A store sets aside
    /// what is corrupt, where it can be looked at, and has no entry from then on; or leaves it, and
    /// says in the error which [revision](StoreError::at_revision) it has. Without one, the session
    /// could neither replace it nor log out. A store that encrypts has
    /// [`StoreErrorKind::KeyMismatch`], too.
    fn load(&self, account: &str) -> impl Future<Output = Result<Option<StoreEntry>, StoreError>> + Send;

    /// Writes `entry` if it follows on the one that is there: if its revision is higher by 1, or is
    /// 1 and there is none. A reader sees all of it or nothing, and once the future has ended it
    /// survives a crash.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Conflict`] if it does not follow, [`StoreErrorKind::Unavailable`] if it
    /// was not written, or may not have been, [`StoreErrorKind::LaterFormat`] if a later version of
    /// the store wrote the one that is there, which is then left as it is.
    fn save(&self, account: &str, entry: &StoreEntry) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Waits until this caller is the only one that may renew the account. The caller bounds the
    /// wait.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Unavailable`].
    fn lease(&self, account: &str) -> impl Future<Output = Result<Self::Lease, StoreError>> + Send;

    /// Deletes what was set aside of the account because it was corrupt, and nothing else. A
    /// session does this when it logs out, because it may be tokens. The default does nothing, for
    /// stores that set nothing aside.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Unavailable`]: some of it may still be there.
    fn delete_corrupt(&self, account: &str) -> impl Future<Output = Result<(), StoreError>> + Send {
        let _ = account;
        async { Ok(()) }
    }

    /// Waits until the account's entry may be another than the one of `revision` (0: none), after
    /// which the caller [`load`](Self::load)s it. It may end too early. After a change it must end
    /// sooner or later.
    ///
    /// The default waits for a second, so that every session loads its entry once a second. If more
    /// than a hundred accounts of a process are waited for in this way, it waits for longer: 10 ms
    /// for each of them.
    fn changed(&self, account: &str, revision: u64) -> impl Future<Output = ()> + Send {
        let _ = (account, revision);
        look_rate::UNANNOUNCED.pause()
    }
}

impl<S: TokenStore> TokenStore for Arc<S> {
    type Lease = S::Lease;

    fn load(&self, account: &str) -> impl Future<Output = Result<Option<StoreEntry>, StoreError>> + Send {
        S::load(self, account)
    }

    fn save(&self, account: &str, entry: &StoreEntry) -> impl Future<Output = Result<(), StoreError>> + Send {
        S::save(self, account, entry)
    }

    fn lease(&self, account: &str) -> impl Future<Output = Result<Self::Lease, StoreError>> + Send {
        S::lease(self, account)
    }

    fn delete_corrupt(&self, account: &str) -> impl Future<Output = Result<(), StoreError>> + Send {
        S::delete_corrupt(self, account)
    }

    fn changed(&self, account: &str, revision: u64) -> impl Future<Output = ()> + Send {
        S::changed(self, account, revision)
    }
}
