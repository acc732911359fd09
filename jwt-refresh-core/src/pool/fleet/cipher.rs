//! How access tokens stand in Redis: sealed, if the fleet has a key.

#[cfg(feature = "seal")]
use std::sync::Arc;

use zeroize::Zeroizing;

#[cfg(feature = "seal")]
use crate::store::SealKey;
use crate::store::StoreError;
#[cfg(feature = "seal")]
use crate::store::sealed::envelope;

/// Seals what goes to Redis, if there is a key. The first byte says whether it is sealed, so that
/// nothing sealed is taken for a token.
#[derive(Clone, Default)]
pub(super) struct TokenCipher {
    /// The first seals, and all open.
    #[cfg(feature = "seal")]
    pub(super) keys: Arc<[SealKey]>,
}

const CLEAR: u8 = b'c';
#[cfg(feature = "seal")]
const SEALED: u8 = b's';

impl TokenCipher {
    /// Seals `data`. `binding` says what it is and whose, and is authenticated with it.
    #[cfg_attr(not(feature = "seal"), expect(clippy::unused_self, clippy::unnecessary_wraps, unused_variables))]
    pub(super) fn seal(&self, binding: &str, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        #[cfg(feature = "seal")]
        if let Some(key) = self.keys.first() {
            let sealed = envelope::seal(key, binding, data)?;
            return Ok(marked(SEALED, sealed.as_bytes()));
        }
        Ok(marked(CLEAR, data))
    }

    /// Opens what was sealed.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as the end of a sentence that begins with what it is.
    #[cfg_attr(not(feature = "seal"), expect(clippy::unused_self, unused_variables))]
    pub(super) fn open(&self, binding: &str, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let (mark, data) = data.split_first().ok_or("is empty")?;
        #[cfg(feature = "seal")]
        if !self.keys.is_empty() {
            if *mark != SEALED {
                return Err("is not sealed (give the auth workers the key, too)");
            }
            return envelope::open(&self.keys, binding, data).map_err(|error| error.why());
        }
        if *mark == CLEAR { Ok(data.to_vec().into()) } else { Err("is sealed, and this process was given no key") }
    }
}

/// Puts the mark before the data. The vector is never grown, so no copy of it is left behind.
fn marked(mark: u8, data: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(1 + data.len()));
    bytes.push(mark);
    bytes.extend_from_slice(data);
    bytes
}
