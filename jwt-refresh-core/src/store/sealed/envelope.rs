//! Seals bytes as a PASETO of version 4, bound to what they are.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use pasetors::token::UntrustedToken;
use pasetors::version4::{LocalToken, V4};
use pasetors::{Local, errors};
use zeroize::Zeroizing;

use super::key::SealKey;
use crate::store::{StoreError, StoreErrorKind};

/// Seals `data` with `key`. It is opened only with the same `binding`, which says what it is.
pub(crate) fn seal(key: &SealKey, binding: &str, data: &[u8]) -> Result<String, StoreError> {
    let footer = footer(&key.id());
    let sealed = LocalToken::encrypt(
        key.symmetric(),
        Payload::wrap(data).as_bytes(),
        Some(footer.as_bytes()),
        Some(binding.as_bytes()),
    );
    sealed.map_err(|error| {
        StoreError::new(StoreErrorKind::Unavailable, "the tokens could not be sealed").caused_by(format!("{error:?}"))
    })
}

/// Why something was not opened.
pub(crate) enum Unopened {
    /// It cannot be.
    Corrupt(&'static str),
    /// It is sealed with a key that is not given. The key has this id, which is no secret.
    OtherKey(String),
    /// A later version of this library sealed it.
    LaterFormat,
}

impl Unopened {
    /// Says what is wrong, as the end of a sentence that begins with what it is.
    pub(crate) fn why(&self) -> &'static str {
        match self {
            Self::Corrupt(why) => why,
            Self::OtherKey(_) => "is sealed with a key that is not given",
            Self::LaterFormat => "was sealed by a later jwt-refresh",
        }
    }
}

/// Opens what was sealed with one of the `keys`.
pub(crate) fn open(keys: &[SealKey], binding: &str, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    use Unopened::{Corrupt, LaterFormat, OtherKey};

    const DAMAGED: Unopened = Corrupt("is not sealed, or is damaged");
    let token = parse(data).ok_or(DAMAGED)?;
    // The footer names a key. That it is the right one is known once the token is opened.
    let id = key_id(token.untrusted_footer()).ok_or(DAMAGED)?;
    let key = keys.iter().find(|key| key.id() == id).ok_or_else(|| OtherKey(id.to_owned()))?;
    let opened =
        LocalToken::decrypt(key.symmetric(), &token, None, Some(binding.as_bytes())).map_err(|_: errors::Error| {
            Corrupt("was changed after it was sealed, or is another account's or revision's")
        })?;
    // It was sealed with the key, and this version seals nothing else. That a damaged or forged one
    // is of a later version cannot be told, so it is not believed.
    Payload::unwrap(opened.payload()).ok_or(LaterFormat)
}

fn parse(data: &[u8]) -> Option<UntrustedToken<Local, V4>> {
    UntrustedToken::try_from(std::str::from_utf8(data).ok()?).ok()
}

fn footer(id: &str) -> String {
    format!(r#"{{"kid":"{id}"}}"#)
}

/// Returns the id of the key that a footer names, if it is whole.
fn key_id(footer: &[u8]) -> Option<&str> {
    /// How long the `BLAKE2b` hash in an id is, in Base64.
    const HASH: usize = 44;
    let id = str::from_utf8(footer).ok()?.strip_prefix(r#"{"kid":""#)?.strip_suffix(r#""}"#)?;
    let hash = id.strip_prefix("k4.lid.")?;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (hash.len() == HASH && hash.bytes().all(is_base64)).then_some(id)
}

/// What is sealed: a JSON object, as PASETO demands.
struct Payload;

impl Payload {
    const BEFORE: &str = r#"{"data":""#;
    const AFTER: &str = r#""}"#;

    fn wrap(data: &[u8]) -> Zeroizing<String> {
        // The string never grows, so it leaves no copy of a secret behind.
        let size = Self::BEFORE.len() + data.len().div_ceil(3) * 4 + Self::AFTER.len();
        let mut payload = Zeroizing::new(String::with_capacity(size));
        payload.push_str(Self::BEFORE);
        BASE64.encode_string(data, &mut payload);
        payload.push_str(Self::AFTER);
        payload
    }

    fn unwrap(payload: &str) -> Option<Zeroizing<Vec<u8>>> {
        let data = payload.strip_prefix(Self::BEFORE)?.strip_suffix(Self::AFTER)?;
        BASE64.decode(data).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, Sealed, StoreEntry, TokenStore as _};

    #[tokio::test]
    async fn what_a_later_version_sealed_is_told_from_what_is_corrupt_and_has_its_revision() {
        let key = SealKey::generate().unwrap();
        let footer = footer(&key.id());
        let store = MemoryStore::new();
        let sealed = Sealed::new(store.clone(), key.clone());
        for (revision, payload) in (1..).zip([r#"{"data":"AQI","key":"2"}"#, "{}", r#"{"data":"AQI"}"#]) {
            let binding = format!("jwt-refresh entry {revision} of alice");
            let (payload, footer) = (payload.as_bytes(), Some(footer.as_bytes()));
            let data = LocalToken::encrypt(key.symmetric(), payload, footer, Some(binding.as_bytes())).unwrap();
            store.save("alice", &StoreEntry { revision, data: data.into_bytes().into() }).await.unwrap();
            match sealed.load("alice").await {
                Ok(entry) => assert_eq!((revision, &entry.unwrap().data[..]), (3, &[1, 2][..])),
                Err(error) => {
                    assert!(revision < 3, "{error}");
                    assert_eq!((error.kind(), error.revision()), (StoreErrorKind::LaterFormat, Some(revision)));
                }
            }
        }
        for corrupt in ["v3.local.AQI", "v4.local.AQI", "v5.local.AQI", ""] {
            let opened = open(std::slice::from_ref(&key), "alice's", corrupt.as_bytes());
            assert!(matches!(opened, Err(Unopened::Corrupt(_))), "{corrupt}");
        }
    }
}
