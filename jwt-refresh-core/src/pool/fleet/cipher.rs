//! How access tokens stand in Redis: sealed, if the fleet has a key.

use zeroize::Zeroizing;

#[cfg(feature = "seal")]
use crate::store::SealKey;
use crate::store::StoreError;
#[cfg(feature = "seal")]
use crate::store::sealed::envelope;

/// Seals what goes to Redis, if there is a key. That is a JSON object, which begins with a brace,
/// and nothing sealed does: so nothing sealed is taken for a token.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenCipher {
    /// The first seals, and all open.
    #[cfg(feature = "seal")]
    pub(super) keys: Vec<SealKey>,
}

impl TokenCipher {
    /// Seals a JSON object. `binding` says what it is and whose, and is authenticated with it.
    #[cfg_attr(not(feature = "seal"), expect(clippy::unused_self, clippy::unnecessary_wraps, unused_variables))]
    pub(super) fn seal(&self, binding: &str, json: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        #[cfg(feature = "seal")]
        if let Some(key) = self.keys.first() {
            return Ok(envelope::seal(key, binding, &json)?.into_bytes().into());
        }
        Ok(json)
    }

    /// Opens what was sealed.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as the end of a sentence that begins with what it is.
    #[cfg_attr(not(feature = "seal"), expect(clippy::unused_self, unused_variables))]
    pub(super) fn open(&self, binding: &str, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let first = data.first().ok_or("is empty")?;
        let is_clear = *first == b'{';
        #[cfg(feature = "seal")]
        if !self.keys.is_empty() {
            if is_clear {
                return Err("is not sealed (give the auth workers the key, too)");
            }
            return envelope::open(&self.keys, binding, data).map_err(|error| error.why());
        }
        if is_clear { Ok(data.to_vec().into()) } else { Err("is sealed, and this process was given no key") }
    }
}
