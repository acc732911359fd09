//! Where a pool is: which Redis, under which keys, sealed with which key.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::redis::{Connection, client, encode, is_prefix};
use crate::secret::Secret;
#[cfg(feature = "seal")]
use crate::store::SealKey;
use crate::store::StoreError;
#[cfg(feature = "seal")]
use crate::store::sealed::envelope;

/// What a user says of it.
pub(super) struct Settings {
    url: Secret,
    name: String,
    pub(super) prefix: String,
    pub(super) timeout: Duration,
    #[cfg(feature = "seal")]
    pub(super) key: Option<SealKey>,
}

impl Settings {
    pub(super) fn new(url: &str, name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: name.into(),
            prefix: "jwt-refresh".to_owned(),
            timeout: Duration::from_secs(2),
            #[cfg(feature = "seal")]
            key: None,
        }
    }

    pub(super) fn place(self) -> Result<Place, Error> {
        if !is_prefix(&self.prefix) {
            let what =
                "the pool's prefix is empty or holds more than ASCII letters, digits, `-`, `_`, `.`, `:` and `/`";
            return Err(Error::new(ErrorKind::Configuration, what));
        }
        if self.timeout.is_zero() {
            return Err(Error::new(ErrorKind::Configuration, "the pool's time-out for Redis must not be zero"));
        }
        let base = format!("{}:{{{}}}", self.prefix, encode(&self.name));
        let cloak = Cloak {
            #[cfg(feature = "seal")]
            key: self.key,
        };
        // To see that the URL can be used before anything is begun.
        link(&self.url, self.timeout)?;
        Ok(Place { name: self.name, url: self.url, timeout: self.timeout, keys: Arc::new(Keys::new(base)), cloak })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &self.url)
            .field("name", &self.name)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn link(url: &Secret, timeout: Duration) -> Result<Connection, Error> {
    let client = client(url.expose()).map_err(unusable)?;
    Ok(Connection::new(client, timeout, timeout.min(Duration::from_secs(1))))
}

/// A pool's place.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) name: String,
    url: Secret,
    timeout: Duration,
    pub(super) keys: Arc<Keys>,
    pub(super) cloak: Cloak,
}

impl Place {
    /// A connection of one's own, opened when it is first used.
    pub(super) fn link(&self) -> Result<Arc<Connection>, Error> {
        link(&self.url, self.timeout).map(Arc::new)
    }

    /// The same number for all that have to do with this pool in this process: an authenticator that asks its own pool for a
    /// token is told by it. What numbers other pools and sessions have is far below.
    pub(super) fn id(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.url.expose(), &self.keys.base).hash(&mut hasher);
        hasher.finish() | 1 << 63
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.keys.base)
    }
}

/// The names of a pool's keys and channels: `prefix:{pool}:pool:noun`, and `prefix:{pool}:auth:noun` for what auth workers alone
/// may read.
pub(super) struct Keys {
    pub(super) base: String,
    pub(super) grants: String,
    pub(super) confined: String,
    pub(super) stats: String,
    pub(super) vault: String,
}

impl Keys {
    fn new(base: String) -> Self {
        let of_pool = |noun: &str| format!("{base}:pool:{noun}");
        Self {
            grants: of_pool("grants"),
            confined: of_pool("confined"),
            stats: of_pool("stats"),
            vault: format!("{base}:auth:vault"),
            base,
        }
    }

    /// The line that a suffix names: of all accounts, or of a tag.
    pub(super) fn line(&self, suffix: &str) -> String {
        format!("{}:pool:line{suffix}", self.base)
    }

    pub(super) fn channel(&self, noun: &str) -> String {
        format!("{}:{noun}", self.base)
    }
}

/// A tag in the names of its lines. Each has one name, and none has another's.
pub(super) fn tag(tag: &str) -> String {
    encode(tag)
}

/// Seals what goes to Redis, if there is a key. The first byte says whether it is sealed, so that nothing sealed is taken for a
/// token.
#[derive(Clone, Default)]
pub(super) struct Cloak {
    #[cfg(feature = "seal")]
    pub(super) key: Option<SealKey>,
}

const CLEAR: u8 = b'c';
#[cfg(feature = "seal")]
const SEALED: u8 = b's';

impl Cloak {
    /// `binding` is what it is, and whose.
    #[cfg_attr(not(feature = "seal"), expect(clippy::unused_self, clippy::unnecessary_wraps, unused_variables))]
    pub(super) fn wrap(&self, binding: &str, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        #[cfg(feature = "seal")]
        if let Some(key) = &self.key {
            let sealed = envelope::seal(key, binding, data)?;
            return Ok(marked(SEALED, sealed.as_bytes()));
        }
        Ok(marked(CLEAR, data))
    }

    /// # Errors
    ///
    /// What is wrong with it, as the end of a sentence that begins with what it is.
    #[cfg_attr(not(feature = "seal"), expect(clippy::unused_self, unused_variables))]
    pub(super) fn unwrap(&self, binding: &str, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let (mark, data) = data.split_first().ok_or("is empty")?;
        #[cfg(feature = "seal")]
        if let Some(key) = &self.key {
            if *mark != SEALED {
                return Err("is not sealed (give the auth workers the key, too)");
            }
            return envelope::open(std::slice::from_ref(key), binding, data).map_err(|error| error.why());
        }
        if *mark == CLEAR { Ok(data.to_vec().into()) } else { Err("is sealed, and this process was given no key") }
    }
}

/// Never grown, so no copy of it is left behind.
fn marked(mark: u8, data: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(1 + data.len()));
    bytes.push(mark);
    bytes.extend_from_slice(data);
    bytes
}

/// A Redis that cannot be used as it is set up.
pub(super) fn unusable(error: StoreError) -> Error {
    Error::new(ErrorKind::Configuration, "the pool's Redis cannot be used").caused_by(error)
}

/// A question to Redis that failed.
pub(super) fn failed(error: StoreError) -> Error {
    Error::new(ErrorKind::Store, "the pool's Redis failed").caused_by(error)
}
