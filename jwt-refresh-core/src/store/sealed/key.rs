//! The key that entries are sealed with.

use std::fmt;
use std::str::FromStr;

use pasetors::keys::{Generate as _, SymmetricKey};
use pasetors::paserk::{FormatAsPaserk, Id};
use pasetors::version4::V4;

use crate::secret::Secret;
use crate::store::{StoreError, StoreErrorKind};

/// A key to seal entries with: 32 bytes, written as
/// [PASERK](https://github.com/paseto-standard/paserk) `k4.local.…`. Only
/// [`to_paserk`](Self::to_paserk) shows it, and it is wiped when dropped.
///
/// ```
/// # use jwt_refresh::store::{SealKey, StoreError};
/// # fn main() -> Result<(), StoreError> {
/// let key = SealKey::generate()?;
/// let again: SealKey = key.to_paserk().expose().parse()?;
/// assert_eq!(again.id(), key.id());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SealKey(SymmetricKey<V4>);

impl SealKey {
    /// Returns a new key, from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Unavailable`] if the system gives no random bytes.
    pub fn generate() -> Result<Self, StoreError> {
        SymmetricKey::generate().map(Self).map_err(|error| {
            StoreError::new(StoreErrorKind::Unavailable, "no key could be generated").caused_by(format!("{error:?}"))
        })
    }

    /// Returns the key in the environment variable `name`, written as `k4.local.…`. White space
    /// around it does not count.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Configuration`], naming the variable, if it is not set or holds no key.
    pub fn from_env(name: &str) -> Result<Self, StoreError> {
        let value = std::env::var(name).map(Secret::from);
        let value = value.map_err(|_| invalid(format!("the environment variable {name:?} is not set to a key")))?;
        value.expose().parse().map_err(|_: StoreError| {
            invalid(format!("the environment variable {name:?} holds no key of the form `k4.local.…`"))
        })
    }

    /// Returns the key itself, as `k4.local.…`, to be kept in a safe place.
    pub fn to_paserk(&self) -> Secret {
        paserk(&self.0).into()
    }

    /// Returns its name, `k4.lid.…`: a hash, no secret. An entry names the key that it needs by it.
    pub fn id(&self) -> String {
        paserk(&Id::from(&self.0))
    }

    pub(super) fn symmetric(&self) -> &SymmetricKey<V4> {
        &self.0
    }
}

impl FromStr for SealKey {
    type Err = StoreError;

    /// Reads `k4.local.…`. White space around it does not count. If the string holds no key, the
    /// [`StoreErrorKind::Configuration`] shows nothing of it.
    fn from_str(paserk: &str) -> Result<Self, StoreError> {
        let key = SymmetricKey::try_from(paserk.trim());
        key.map(Self).map_err(|_| invalid("the key to seal tokens with is not of the form `k4.local.…`".to_owned()))
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.id())
    }
}

fn invalid(what: String) -> StoreError {
    StoreError::new(StoreErrorKind::Configuration, what)
}

/// Returns the PASERK of a key or an id.
fn paserk(value: &impl FormatAsPaserk) -> String {
    // The longest fits, so the string does not grow and leave a copy of the key behind.
    let mut text = String::with_capacity(64);
    // Writing to a string cannot fail.
    let _ = value.fmt(&mut text);
    text
}
