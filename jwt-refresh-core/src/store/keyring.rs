//! The operating system's keyring as a store. A keyring has neither locks nor compare-and-swap, so
//! files beside it lock its entries.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry as Credential, Error as KeyringError};
use zeroize::Zeroizing;

use super::locked::{AccountFiles, FileLease, Folder, LockedEntry, Medium, OpenFolder};
use super::{StoreEntry, StoreError, StoreErrorKind, TokenStore};
use crate::secret::Secret;

/// How many numbers of corrupt credentials in a row may be missing before the last one.
const LONGEST_GAP: u32 = 8;

/// Keeps entries in the operating system's keyring: Keychain on macOS, Credential Manager on
/// Windows, Secret Service elsewhere.
///
/// - **Who shares it**: the processes of one user that name the same service *and* the same folder.
///   A keyring has neither locks nor compare-and-swap, so the folder holds lock files, as
///   [`FileStore`](crate::store::FileStore)'s does, and no secret. Programs that use another folder
///   with the same service are not kept apart.
/// - **What is no entry of the account** is moved to a credential whose user ends in
///   `.corrupt-<n>`, and reported by that name. A credential that a later version of this library
///   wrote is reported and left where it is.
/// - **Size**: Credential Manager takes 2560 bytes per credential. Large tokens exceed that, and
///   sealed ones do so sooner; that is a [`StoreErrorKind::Configuration`].
/// - **When it is locked**, the keyring may ask the user, for as long as the user takes; bound the
///   wait. What was asked for is then done or not. Whether a write survives a crash is up to the
///   keyring.
///
/// It works on tokio's threads for blocking calls, so it must be used in a runtime, as `FileStore`
/// must. All stores of the process on one folder use four such threads at most; while these wait
/// for the keyring, further calls fail after 10 s. Which folders are refused, and why, is as with
/// `FileStore`, too. Changes are looked for every second, and less often if there are more than a
/// hundred accounts.
///
/// ```no_run
/// # use jwt_refresh::store::KeyringStore;
/// let store = KeyringStore::new("com.example.catalog", "/home/alice/.local/state/catalog");
/// ```
#[derive(Clone)]
pub struct KeyringStore {
    keyring: Arc<Keyring>,
    folder: Arc<Folder>,
}

/// The credentials of a service.
struct Keyring {
    service: String,
    /// `None` is the platform's.
    credentials: Option<Arc<CredentialStore>>,
}

impl KeyringStore {
    /// Returns a store in the platform's keyring: credentials of `service`, locked by files in
    /// `folder`, which is made when it is first needed. If either cannot be used, each call of the
    /// store returns the error.
    ///
    /// The first call sets the default store of `keyring_core`, as the crate `keyring` does.
    pub fn new(service: impl Into<String>, folder: impl AsRef<Path>) -> Self {
        Self::make(service.into(), folder.as_ref(), None)
    }

    /// As [`new`](Self::new), with another keyring than the platform's: any store of the crate
    /// `keyring-core`, 1.x.
    pub fn with_credentials(
        credentials: Arc<CredentialStore>,
        service: impl Into<String>,
        folder: impl AsRef<Path>,
    ) -> Self {
        Self::make(service.into(), folder.as_ref(), Some(credentials))
    }

    fn make(service: String, folder: &Path, credentials: Option<Arc<CredentialStore>>) -> Self {
        Self { keyring: Arc::new(Keyring { service, credentials }), folder: Arc::new(Folder::new(folder)) }
    }

    fn entry(&self, account: &str) -> LockedEntry<KeyringEntry> {
        let files = Arc::new(AccountFiles::new(&self.folder, account));
        let user = files.stem().to_owned();
        LockedEntry::new(files, KeyringEntry { keyring: Arc::clone(&self.keyring), user })
    }
}

impl TokenStore for KeyringStore {
    type Lease = FileLease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        self.entry(account).load().await
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.entry(account).save(entry.clone()).await
    }

    async fn lease(&self, account: &str) -> Result<FileLease, StoreError> {
        self.entry(account).lease().await
    }

    async fn delete_corrupt(&self, account: &str) -> Result<(), StoreError> {
        self.entry(account).delete_corrupt().await
    }
}

/// One account's entry in a keyring: the secret of a credential.
struct KeyringEntry {
    keyring: Arc<Keyring>,
    /// The user that the keyring is told of, which is named after the account.
    user: String,
}

impl Medium for KeyringEntry {
    fn name(&self) -> String {
        self.keyring.name(&self.user)
    }

    fn read(&self, _: Option<&OpenFolder>) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.keyring.secret(&self.user)
    }

    fn write(&self, _: &OpenFolder, bytes: &[u8]) -> Result<(), StoreError> {
        self.keyring.set_secret(&self.user, bytes)
    }

    fn set_aside(&self, _: &OpenFolder) -> Result<String, StoreError> {
        let Self { keyring, user } = self;
        let mut number = 1;
        while keyring.secret(&self.aside(number))?.is_some() {
            number += 1;
        }
        let aside = self.aside(number);
        if let Some(secret) = keyring.secret(user)? {
            // First copied, then deleted: a crash in between leaves both.
            keyring.set_secret(&aside, &secret)?;
            keyring.delete(user)?;
        }
        Ok(keyring.name(&aside))
    }

    fn delete_corrupt(&self, _: &OpenFolder) -> Result<(), StoreError> {
        // A keyring need not be able to list credentials. They are numbered without gaps, unless
        // the user has deleted some.
        let (mut number, mut gap, mut found) = (1, 0, Vec::new());
        while gap < LONGEST_GAP {
            let aside = self.aside(number);
            if self.keyring.secret(&aside)?.is_some() {
                found.push(aside);
                gap = 0;
            } else {
                gap += 1;
            }
            number += 1;
        }
        // From the last one on, so that a crash leaves no gap.
        found.iter().rev().try_for_each(|aside| self.keyring.delete(aside))
    }
}

impl KeyringEntry {
    /// Returns the user of a credential that was set aside.
    fn aside(&self, number: u64) -> String {
        format!("{}.corrupt-{number}", self.user)
    }
}

/// Returns the password of a user for a service in a keyring, the platform's if `credentials` is
/// `None`, or why there is none. Blocks.
pub(crate) fn keyring_password(
    credentials: Option<&Arc<CredentialStore>>,
    service: &str,
    user: &str,
) -> Result<Secret, String> {
    let keyring = Keyring { service: service.to_owned(), credentials: credentials.cloned() };
    let secret = keyring.secret(user).map_err(|error| error.to_string())?;
    let secret = secret.ok_or("there is no such credential")?;
    std::str::from_utf8(&secret).map(Secret::from).map_err(|_| "it is not UTF-8".to_owned())
}

/// All methods block.
impl Keyring {
    fn secret(&self, user: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.credential(user)?.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(KeyringError::NoEntry) => Ok(None),
            // The secret is not in the keyring's own format, so it is no entry of this store
            // either.
            Err(KeyringError::BadEncoding(secret) | KeyringError::BadDataFormat(secret, _)) => {
                Ok(Some(Zeroizing::new(secret)))
            }
            Err(error) => Err(self.failed(user, &error)),
        }
    }

    fn set_secret(&self, user: &str, secret: &[u8]) -> Result<(), StoreError> {
        self.credential(user)?.set_secret(secret).map_err(|error| self.failed(user, &error))
    }

    fn delete(&self, user: &str) -> Result<(), StoreError> {
        match self.credential(user)?.delete_credential() {
            // The user may delete credentials at any time.
            Err(KeyringError::NoEntry) => Ok(()),
            deleted => deleted.map_err(|error| self.failed(user, &error)),
        }
    }

    fn credential(&self, user: &str) -> Result<Credential, StoreError> {
        let credential = match &self.credentials {
            Some(credentials) => credentials.build(&self.service, user, None),
            None => platform(&self.service, user),
        };
        credential.map_err(|error| self.failed(user, &error))
    }

    fn name(&self, user: &str) -> String {
        format!("the credential {user:?} of {:?} in the keyring", self.service)
    }

    /// Returns the store's error for one of the keyring's. Some errors of the keyring hold secrets
    /// or credentials, so the text only has what is known to hold none.
    fn failed(&self, user: &str, error: &KeyringError) -> StoreError {
        use KeyringError::{
            Ambiguous, Invalid, NoDefaultStore, NoStorageAccess, NotSupportedByStore, PlatformFailure, TooLong,
        };
        let kind = match error {
            Ambiguous(_) | Invalid(..) | NoDefaultStore | NotSupportedByStore(_) | TooLong(..) => {
                StoreErrorKind::Configuration
            }
            _ => StoreErrorKind::Unavailable,
        };
        let name = self.name(user);
        let what = match error {
            Ambiguous(credentials) => format!("{name} is one of {} of that name", credentials.len()),
            NoDefaultStore => "there is no keyring on this system".to_owned(),
            TooLong(_, limit) => format!("{name} would be longer than the {limit} that the keyring allows"),
            _ => format!("{name} cannot be used"),
        };
        let failed = StoreError::new(kind, what);
        match error {
            NoStorageAccess(_) | PlatformFailure(_) | Invalid(..) | NotSupportedByStore(_) => {
                failed.caused_by(error.to_string())
            }
            _ => failed,
        }
    }
}

fn platform(service: &str, user: &str) -> Result<Credential, KeyringError> {
    if let Err(error) = keyring::Entry::store_status() {
        // The error of the first attempt cannot be had again, only its text.
        return Err(KeyringError::NoStorageAccess(error.to_string().into()));
    }
    keyring::Entry::new(service, user).map(|entry| entry.inner)
}

impl fmt::Debug for KeyringStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keyring, folder } = self;
        f.debug_struct("KeyringStore")
            .field("service", &keyring.service)
            .field("folder", folder)
            .finish_non_exhaustive()
    }
}
