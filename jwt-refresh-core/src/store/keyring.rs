//! The operating system's keyring as a store. It has neither locks nor compare-and-swap, so both come from files beside it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry as Credential, Error as KeyringError};
use zeroize::Zeroizing;

use super::file::folder::Folder;
use super::file::format::{self, Flaw};
use super::file::place::Place;
use super::file::{FileLease, blocking, poll_lease};
use super::{Entry, StoreError, StoreErrorKind, TokenStore};

/// Keeps entries in the operating system's keyring: Keychain on macOS, Credential Manager on Windows, Secret Service elsewhere.
///
/// - **Who shares it**: the processes of one user that name the same service *and* the same folder. A keyring has neither locks nor
///   compare-and-swap, so the folder holds lock files, as [`FileStore`](crate::FileStore)'s does, and no secret. Programs
///   that use another folder with the same service are not kept apart.
/// - **What is no entry of the account** is moved to a credential whose user ends in `.corrupt-<n>`, and reported by that name.
/// - **Size**: Credential Manager takes 2560 bytes a credential, which large tokens exceed, sealed ones sooner; that is a
///   [`StoreErrorKind::Configuration`].
/// - **When it is locked**, the keyring may ask the user, for as long as the user takes; bound the wait. What was asked for is
///   then done or not. An end that survives a crash is up to the keyring.
///
/// It works on tokio's threads for blocking calls, so it must be used in a runtime. Changes are looked for every second.
///
/// ```no_run
/// # use jwt_refresh_core::KeyringStore;
/// let store = KeyringStore::new("com.example.catalog", "/home/alice/.local/state/catalog");
/// ```
#[derive(Clone)]
pub struct KeyringStore(Arc<Keyring>);

struct Keyring {
    service: String,
    folder: Arc<Folder>,
    /// `None`: the platform's.
    credentials: Option<Arc<CredentialStore>>,
}

impl KeyringStore {
    /// The platform's keyring: credentials of `service`, kept apart by locks in `folder`, which is made when it is first needed.
    /// What is wrong with either, each call of the store tells.
    ///
    /// The first call sets the default store of `keyring_core`, as the crate `keyring` does.
    pub fn new(service: impl Into<String>, folder: impl AsRef<Path>) -> Self {
        Self::make(service.into(), folder.as_ref(), None)
    }

    /// As [`new`](Self::new), with another keyring than the platform's: any store of the crate `keyring-core`, 1.x.
    pub fn with_credentials(
        credentials: Arc<CredentialStore>,
        service: impl Into<String>,
        folder: impl AsRef<Path>,
    ) -> Self {
        Self::make(service.into(), folder.as_ref(), Some(credentials))
    }

    fn make(service: String, folder: &Path, credentials: Option<Arc<CredentialStore>>) -> Self {
        Self(Arc::new(Keyring { service, folder: Arc::new(Folder::new(folder)), credentials }))
    }

    async fn at<T: Send + 'static>(
        &self,
        account: &str,
        work: impl FnOnce(&Keyring, &Place) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let keyring = Arc::clone(&self.0);
        let place = Place::new(Arc::clone(&keyring.folder), account);
        blocking(move || work(&keyring, &place)).await
    }
}

impl TokenStore for KeyringStore {
    type Lease = FileLease;

    async fn load(&self, account: &str) -> Result<Option<Entry>, StoreError> {
        self.at(account, Keyring::load).await
    }

    async fn save(&self, account: &str, entry: &Entry) -> Result<(), StoreError> {
        let entry = entry.clone();
        self.at(account, move |keyring, place| keyring.save(place, &entry)).await
    }

    async fn lease(&self, account: &str) -> Result<FileLease, StoreError> {
        poll_lease(|| self.at(account, |_, place| place.try_lease())).await
    }
}

/// All of it blocks.
impl Keyring {
    fn load(&self, place: &Place) -> Result<Option<Entry>, StoreError> {
        if let Ok(entry) = self.read(place)? {
            return Ok(entry);
        }
        // Somebody may just have replaced it, so it is looked at again while nobody can.
        place.make_folder()?;
        let _lock = place.lock()?;
        self.load_locked(place)
    }

    fn save(&self, place: &Place, entry: &Entry) -> Result<(), StoreError> {
        let bytes = format::encode(place.account(), entry).ok_or_else(|| {
            let what = format!("the entry for {} is larger than 1 MiB", self.name(place.stem()));
            StoreError::new(StoreErrorKind::Configuration, what)
        })?;
        place.make_folder()?;
        let _lock = place.lock()?;
        let held = self.load_locked(place)?.map_or(0, |held| held.revision);
        if held.checked_add(1) != Some(entry.revision) {
            let what = format!("another has written {} meanwhile", self.name(place.stem()));
            return Err(StoreError::new(StoreErrorKind::Conflict, what));
        }
        let written = self.credential(place.stem())?.set_secret(&bytes);
        written.map_err(|error| self.failed(place.stem(), &error))
    }

    /// Reads what is there, and keeps aside what is no entry. Other writers must be kept out.
    fn load_locked(&self, place: &Place) -> Result<Option<Entry>, StoreError> {
        let what = match self.read(place)? {
            Ok(entry) => return Ok(entry),
            Err(Flaw::Later(version)) => {
                let name = self.name(place.stem());
                let what = format!("{name} is in format {version}, which a later jwt-refresh wrote");
                return Err(StoreError::new(StoreErrorKind::Configuration, what));
            }
            Err(Flaw::Corrupt(what)) => what,
        };
        let aside = self.set_aside(place.stem())?;
        let what = format!("{} {what}; it is kept as {}", self.name(place.stem()), self.name(&aside));
        Err(StoreError::new(StoreErrorKind::Corrupt, what))
    }

    fn read(&self, place: &Place) -> Result<Result<Option<Entry>, Flaw>, StoreError> {
        let secret = self.secret(place.stem())?;
        Ok(secret.map(|secret| format::decode(place.account(), &secret)).transpose())
    }

    fn set_aside(&self, user: &str) -> Result<String, StoreError> {
        let mut number = 1_u64;
        let aside = loop {
            let aside = format!("{user}.corrupt-{number}");
            if self.secret(&aside)?.is_none() {
                break aside;
            }
            number += 1;
        };
        if let Some(secret) = self.secret(user)? {
            // First copied, then deleted: a crash in between leaves both.
            self.credential(&aside)?.set_secret(&secret).map_err(|error| self.failed(&aside, &error))?;
            self.credential(user)?.delete_credential().map_err(|error| self.failed(user, &error))?;
        }
        Ok(aside)
    }

    fn secret(&self, user: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.credential(user)?.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(KeyringError::NoEntry) => Ok(None),
            // Not in the keyring's own format: it is no entry of ours either.
            Err(KeyringError::BadEncoding(secret) | KeyringError::BadDataFormat(secret, _)) => {
                Ok(Some(Zeroizing::new(secret)))
            }
            Err(error) => Err(self.failed(user, &error)),
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

    /// Some errors of the keyring hold secrets, or credentials, so only what is known not to is told.
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
        // Of the error that the first attempt met, only the text can be had again.
        return Err(KeyringError::NoStorageAccess(error.to_string().into()));
    }
    keyring::Entry::new(service, user).map(|entry| entry.inner)
}

impl fmt::Debug for KeyringStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Keyring { service, folder, .. } = &*self.0;
        f.debug_struct("KeyringStore").field("service", service).field("folder", folder).finish_non_exhaustive()
    }
}
