//! Where a secret comes from: the program, the environment, a file, or the keyring. Or it is made
//! of another one.

use std::fmt;
use std::fs::File;
#[cfg(feature = "oauth")]
use std::future::Future;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
#[cfg(feature = "oauth")]
use std::pin::Pin;
#[cfg(any(feature = "keyring", feature = "oauth"))]
use std::sync::Arc;

#[cfg(feature = "keyring")]
use keyring_core::CredentialStore;
use zeroize::Zeroizing;

use crate::authenticator::time_limit;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;
#[cfg(feature = "keyring")]
use crate::store::keyring_password;

/// The longest file that is read as a secret, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// Where a secret of a [`HttpAuthenticator`](crate::HttpAuthenticator) or of an `OAuth` comes from.
/// A string or a [`Secret`] is one, too: the secret itself.
///
/// A secret is read for each login and each refresh that sends it, and never kept. So one that is
/// replaced while a session runs is used at the next exchange. One that cannot be read fails that
/// exchange with [`SecretUnavailable`](ErrorKind::SecretUnavailable) before anything is sent, so
/// nothing is lost: the session serves the token that it has, and tries again after a pause. So
/// does one that is not read within half of the time-out of the [`Policy`](crate::Policy).
#[derive(Clone)]
pub struct SecretSource(SecretOrigin);

#[derive(Clone)]
enum SecretOrigin {
    Given(Secret),
    Stored(StoredSecret),
    #[cfg(feature = "oauth")]
    Derived(Arc<dyn DerivedSecret>),
}

/// A secret that is made anew for each exchange, such as a JWT that a key has signed. `Display`
/// says what it is made of, and shows nothing of it.
#[cfg(feature = "oauth")]
pub(in crate::authenticator) trait DerivedSecret: fmt::Display + Send + Sync {
    /// Makes the secret.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SecretUnavailable`] if what it is made of cannot be read.
    fn derive(&self) -> Pin<Box<dyn Future<Output = Result<Secret, Error>> + Send + '_>>;
}

/// Where a secret is read from.
#[derive(Clone)]
enum StoredSecret {
    Environment(String),
    File(PathBuf),
    #[cfg(feature = "keyring")]
    Keyring(Box<KeyringSource>),
}

#[cfg(feature = "keyring")]
#[derive(Clone)]
struct KeyringSource {
    /// `None` is the platform's.
    credentials: Option<Arc<CredentialStore>>,
    service: String,
    user: String,
}

impl SecretSource {
    /// The environment variable `name`.
    pub fn env(name: impl Into<String>) -> Self {
        Self(SecretOrigin::Stored(StoredSecret::Environment(name.into())))
    }

    /// A file with the secret in UTF-8 and nothing else, such as a secret that is mounted into a
    /// container, or a projected token of Kubernetes. Line breaks at its end do not count.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(SecretOrigin::Stored(StoredSecret::File(path.into())))
    }

    /// The password of `user` for `service` in the operating system's keyring, which may ask the
    /// user to unlock it.
    #[cfg(feature = "keyring")]
    pub fn keyring(service: impl Into<String>, user: impl Into<String>) -> Self {
        Self::of_keyring(None, service.into(), user.into())
    }

    /// As [`keyring`](Self::keyring), with another keyring than the platform's: any store of the
    /// crate `keyring-core`, 1.x.
    #[cfg(feature = "keyring")]
    pub fn keyring_in(credentials: Arc<CredentialStore>, service: impl Into<String>, user: impl Into<String>) -> Self {
        Self::of_keyring(Some(credentials), service.into(), user.into())
    }

    #[cfg(feature = "keyring")]
    fn of_keyring(credentials: Option<Arc<CredentialStore>>, service: String, user: String) -> Self {
        let source = KeyringSource { credentials, service, user };
        Self(SecretOrigin::Stored(StoredSecret::Keyring(Box::new(source))))
    }

    #[cfg(feature = "oauth")]
    pub(in crate::authenticator) fn derived(secret: impl DerivedSecret + 'static) -> Self {
        Self(SecretOrigin::Derived(Arc::new(secret)))
    }

    /// Reads the secret. `name` is what the description calls it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SecretUnavailable`], with the name and the source.
    pub(in crate::authenticator) async fn read(&self, name: &str) -> Result<Secret, Error> {
        let source = match &self.0 {
            SecretOrigin::Given(secret) => return Ok(secret.clone()),
            SecretOrigin::Stored(source) => source.clone(),
            #[cfg(feature = "oauth")]
            SecretOrigin::Derived(secret) => return secret.derive().await,
        };
        // A disk or a keyring may hang.
        let read = tokio::task::spawn_blocking(move || source.read());
        let read = match time_limit::before_request(read).await {
            Ok(read) => read.unwrap_or_else(|_| Err("its reader ended".to_owned())),
            Err(waited) => Err(format!("it was not read within {:.1} s", waited.as_secs_f32())),
        };
        read.map_err(|why| {
            let what = format!("the secret `{name}` cannot be read from {self}: {why}");
            Error::new(ErrorKind::SecretUnavailable, what)
        })
    }
}

impl StoredSecret {
    fn read(&self) -> Result<Secret, String> {
        let secret = match self {
            Self::Environment(name) => std::env::var(name).map(Secret::from).map_err(|error| match error {
                std::env::VarError::NotPresent => "it is not set".to_owned(),
                std::env::VarError::NotUnicode(_) => "it is not UTF-8".to_owned(),
            }),
            Self::File(path) => read_file(path),
            #[cfg(feature = "keyring")]
            Self::Keyring(entry) => keyring_password(entry.credentials.as_ref(), &entry.service, &entry.user),
        }?;
        if secret.expose().is_empty() { Err("it is empty".to_owned()) } else { Ok(secret) }
    }
}

fn read_file(path: &Path) -> Result<Secret, String> {
    let why = |error: io::Error| error.to_string();
    let mut content = Zeroizing::new(String::new());
    let read = File::open(path).map_err(why)?.take(LONGEST_FILE + 1).read_to_string(&mut content);
    read.map_err(why)?;
    if content.len() as u64 > LONGEST_FILE {
        return Err(format!("it is longer than {} KiB", LONGEST_FILE / 1024));
    }
    Ok(content.trim_end_matches(['\r', '\n']).into())
}

impl<S: Into<Secret>> From<S> for SecretSource {
    fn from(secret: S) -> Self {
        Self(SecretOrigin::Given(secret.into()))
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            SecretOrigin::Given(_) => f.write_str("the program"),
            SecretOrigin::Stored(source) => source.fmt(f),
            #[cfg(feature = "oauth")]
            SecretOrigin::Derived(secret) => secret.fmt(f),
        }
    }
}

impl fmt::Display for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "the environment variable `{name}`"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            #[cfg(feature = "keyring")]
            Self::Keyring(entry) => write!(f, "the keyring ({:?} of {:?})", entry.user, entry.service),
        }
    }
}

impl fmt::Debug for SecretSource {
    /// Shows where the secret comes from, and nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretSource({self})")
    }
}
