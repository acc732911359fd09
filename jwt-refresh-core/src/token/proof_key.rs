//! The key that tokens are bound to, and its proofs for requests (DPoP, RFC 9449). The proofs are
//! huskarl's; the key stays with the tokens, so that it is stored and replaced with them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Method, Uri};
use huskarl::core::crypto::signer::{AsymmetricJwsSigner, AsymmetricJwsSignerSelector, JwsSigner, JwsSignerSelector};
use huskarl::core::dpop::{ResourceDPoP, ResourceServerDPoP};
use huskarl::core::jwk::{EcPublicKey, PublicJwk};
use huskarl::core::platform::MaybeSendBoxFuture;
use huskarl::core::secrets::SecretString;
use huskarl::core::time::Clock as ProtocolClock;
use huskarl::core::{Error as ProtocolError, RetryAdvice};
use sha2::{Digest as _, Sha256};
use url::Url;
use zeroize::Zeroizing;

use crate::clock::SigningTime;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;
use crate::sync::Mutex;

const NONCE: &str = "dpop-nonce";

/// A private key on the curve P-256, with what its resource servers want to see in proofs. Clones
/// are one key.
#[derive(Clone)]
pub(crate) struct ProofKey(Arc<KeyData>);

/// The keys that are in use in this process, so that one that is read from a store again knows the
/// nonces that it knew before.
static IN_USE: Mutex<BTreeMap<KeyId, Weak<KeyData>>> = Mutex::new(BTreeMap::new());

/// SHA-256 of a key.
type KeyId = [u8; 32];

struct KeyData {
    id: KeyId,
    /// PKCS#8 in Base64.
    written: Secret,
    signer: ProofSigner,
    /// The nonces by origin, and proofs with them.
    proofs: ResourceDPoP,
    /// The time of the APIs, once one of them has refused that of this machine.
    time: SigningTime,
    /// Where the last proof went to that was made by hand.
    by_hand: Mutex<Option<Uri>>,
}

impl ProofKey {
    /// Makes a key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Other`] if the system has no random numbers.
    pub(crate) fn generate() -> Result<Self, Error> {
        let random = SystemRandom::new();
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .ok()
            .and_then(|der| Self::of(der.as_ref()))
            .ok_or_else(|| Error::new(ErrorKind::Other, "no key can be made for DPoP"))
    }

    /// Reads a key as [`written`](Self::written) returned it.
    pub(crate) fn parse(written: &str) -> Option<Self> {
        Self::of(&Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(written).ok()?))
    }

    fn of(der: &[u8]) -> Option<Self> {
        let id: KeyId = Sha256::digest(der).into();
        if let Some(known) = IN_USE.lock().get(&id).and_then(Weak::upgrade) {
            return Some(Self(known));
        }
        let key = Arc::new(KeyData::of(der, id)?);
        let mut in_use = IN_USE.lock();
        // Another thread may have read it meanwhile.
        if let Some(known) = in_use.get(&id).and_then(Weak::upgrade) {
            drop(in_use);
            return Some(Self(known));
        }
        in_use.insert(id, Arc::downgrade(&key));
        Some(Self(key))
    }
}

impl KeyData {
    fn of(der: &[u8], id: KeyId) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()?;
        let signer = ProofSigner::of(pair)?;
        let proofs = ResourceDPoP::builder().signer(signer.clone()).build();
        let written = BASE64_URL_SAFE_NO_PAD.encode(der).into();
        Some(Self { id, written, signer, proofs, time: SigningTime::default(), by_hand: Mutex::default() })
    }
}

impl Drop for KeyData {
    fn drop(&mut self) {
        let mut in_use = IN_USE.lock();
        // It may have been read again meanwhile.
        if in_use.get(&self.id).is_some_and(|key| key.strong_count() == 0) {
            in_use.remove(&self.id);
        }
    }
}

impl ProofKey {
    /// Returns the private key as text.
    pub(crate) fn written(&self) -> &str {
        self.0.written.expose()
    }

    /// Returns what signs the proofs for a token endpoint.
    pub(crate) fn signer(&self) -> Arc<dyn AsymmetricJwsSignerSelector> {
        Arc::new(self.0.signer.clone())
    }

    /// Returns the proof for one request with `token` (RFC 9449 §7), the value of its header
    /// `DPoP`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if the URL cannot be named in a proof.
    pub(crate) fn proof(&self, method: &Method, url: &str, token: &str) -> Result<HeaderValue, Error> {
        let unfit = || Error::new(ErrorKind::Configuration, "no DPoP proof can be made for the request").at(url);
        let uri = target(url).ok_or_else(unfit)?;
        let (token, thumbprint) = (SecretString::new(token), &self.0.signer.0.thumbprint);
        let now = ProtocolClock::now(&self.0.time);
        let proof = at_once(self.0.proofs.proof_at(method, &uri, &token, thumbprint, now));
        let proof = proof.and_then(Result::ok).flatten().ok_or_else(unfit)?;
        let mut value = HeaderValue::from_str(proof.expose_secret()).map_err(|_| unfit())?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Does the same for a request whose answer comes without its URL, and notes that.
    ///
    /// # Errors
    ///
    /// Those of [`proof`](Self::proof).
    pub(crate) fn proof_by_hand(&self, method: &Method, url: &str, token: &str) -> Result<HeaderValue, Error> {
        *self.0.by_hand.lock() = target(url);
        self.proof(method, url, token)
    }

    /// Keeps the nonce in the answer to a request to `url` (RFC 9449 §8.2) for the next requests to
    /// that origin. Returns whether there was one.
    pub(crate) fn keep_nonce(&self, url: &str, headers: &HeaderMap) -> bool {
        self.keep_nonce_for(|| target(url), headers)
    }

    /// Does the same for an answer whose URL may not be known. Then it is taken for that of the
    /// last proof by hand. If it is not, the nonce is one that the other origin does not take, and
    /// replaces.
    pub(crate) fn keep_nonce_by_hand(&self, url: Option<&str>, headers: &HeaderMap) -> bool {
        self.keep_nonce_for(|| url.map_or_else(|| self.0.by_hand.lock().clone(), target), headers)
    }

    /// Follows the clock of an answer that takes no proof. Returns whether that shows another time,
    /// by which a proof may be taken.
    pub(crate) fn follow_clock(&self, headers: &HeaderMap) -> bool {
        self.0.time.follow(headers)
    }

    fn keep_nonce_for(&self, uri: impl FnOnce() -> Option<Uri>, headers: &HeaderMap) -> bool {
        let nonce = headers.get(NONCE).and_then(|nonce| nonce.to_str().ok()).filter(|nonce| !nonce.is_empty());
        let Some((nonce, uri)) = nonce.and_then(|nonce| Some((nonce, uri()?))) else { return false };
        self.0.proofs.update_nonce(&uri, nonce.to_owned());
        true
    }
}

/// Returns a URL as a proof names it (RFC 9449 §4.2), by the parts that go on the wire: without
/// user, password, query and fragment.
fn target(url: &str) -> Option<Uri> {
    let mut url = Url::parse(url).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.as_str().parse().ok()
}

/// Returns the output of a future that waits for nothing: the key is in memory.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

impl PartialEq for ProofKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.written == other.0.written
    }
}

impl Eq for ProofKey {}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofKey(…)")
    }
}

/// Signs for huskarl.
#[derive(Clone)]
struct ProofSigner(Arc<SigningPair>);

struct SigningPair {
    pair: EcdsaKeyPair,
    public: PublicJwk,
    /// RFC 7638
    thumbprint: String,
}

impl ProofSigner {
    fn of(pair: EcdsaKeyPair) -> Option<Self> {
        // An uncompressed point (SEC 1 §2.3.3).
        let (x, y) = pair.public_key().as_ref().strip_prefix(&[4])?.split_at_checked(32)?;
        let key = EcPublicKey::builder().crv("P-256").x(x.iter().copied()).y(y.iter().copied());
        let public = PublicJwk::builder().key(key.build()).build();
        let thumbprint = public.thumbprint();
        Some(Self(Arc::new(SigningPair { pair, public, thumbprint })))
    }
}

impl JwsSigner for ProofSigner {
    fn jws_algorithm(&self) -> Cow<'_, str> {
        "ES256".into()
    }

    fn key_id(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn sign<'a>(&'a self, input: &'a [u8]) -> MaybeSendBoxFuture<'a, Result<Vec<u8>, ProtocolError>> {
        let signature = self.0.pair.sign(&SystemRandom::new(), input);
        let signature = signature.map(|signature| signature.as_ref().to_vec());
        Box::pin(async { signature.map_err(|_| ProtocolError::new(RetryAdvice::No, "the key cannot sign")) })
    }
}

impl AsymmetricJwsSigner for ProofSigner {
    fn public_key_jwk(&self) -> Cow<'_, PublicJwk> {
        Cow::Borrowed(&self.0.public)
    }
}

impl JwsSignerSelector for ProofSigner {
    fn select_signer(&self) -> MaybeSendBoxFuture<'_, Arc<dyn JwsSigner>> {
        let signer: Arc<dyn JwsSigner> = Arc::new(self.clone());
        Box::pin(async { signer })
    }
}

impl AsymmetricJwsSignerSelector for ProofSigner {
    fn select_asymmetric_signer(&self) -> MaybeSendBoxFuture<'_, Arc<dyn AsymmetricJwsSigner>> {
        let signer: Arc<dyn AsymmetricJwsSigner> = Arc::new(self.clone());
        Box::pin(async { signer })
    }

    fn select_signer_by_thumbprint<'a>(
        &'a self,
        thumbprint: &'a str,
    ) -> MaybeSendBoxFuture<'a, Option<Arc<dyn AsymmetricJwsSigner>>> {
        let is_this = self.0.thumbprint == thumbprint;
        let signer: Option<Arc<dyn AsymmetricJwsSigner>> = is_this.then(|| Arc::new(self.clone()) as _);
        Box::pin(async { signer })
    }
}

impl fmt::Debug for ProofSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofSigner(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_names_the_url_as_it_goes_on_the_wire() {
        for (url, named) in [
            ("https://API.example:443/a%20b?x=1#y", "https://api.example/a%20b"),
            ("https://ada:S3cret@api.example", "https://api.example/"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
        ] {
            assert_eq!(target(url).unwrap().to_string(), named);
        }
        assert_eq!(target("/relative"), None);
    }

    #[test]
    fn each_origin_has_a_nonce_of_its_own() {
        let key = ProofKey::generate().unwrap();
        let nonce = |url: &str| {
            let proof = key.proof(&Method::GET, url, "access").unwrap();
            let claims = proof.to_str().unwrap().split('.').nth(1).unwrap().to_owned();
            let claims: serde_json::Value =
                serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
            claims["nonce"].as_str().map(str::to_owned)
        };
        let headers =
            |nonce: &'static str| HeaderMap::from_iter([(NONCE.parse().unwrap(), HeaderValue::from_static(nonce))]);
        assert!(key.keep_nonce("https://one.example/a?b", &headers("1")));
        assert!(key.keep_nonce("https://two.example:8443/", &headers("2")));
        assert!(!key.keep_nonce("https://two.example:8443/", &HeaderMap::new()));
        assert!(!key.keep_nonce("https://two.example:8443/", &headers("")));
        for (url, expected) in [
            ("https://one.example/c", Some("1")),
            ("https://two.example:8443/d", Some("2")),
            ("https://two.example/", None),
        ] {
            assert_eq!(nonce(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_key_that_is_read_again_is_the_same_while_it_is_in_use() {
        let key = ProofKey::generate().unwrap();
        let (written, id) = (key.written().to_owned(), key.0.id);
        let read = ProofKey::parse(&written).unwrap();
        assert!(Arc::ptr_eq(&read.0, &key.0));
        drop((key, read));
        assert!(!IN_USE.lock().contains_key(&id));
        assert_eq!(ProofKey::parse(&written).unwrap().written(), written);
    }

    #[test]
    fn a_key_is_read_as_it_was_written_and_shows_nothing() {
        let key = ProofKey::generate().unwrap();
        let read = ProofKey::parse(key.written()).unwrap();
        assert_eq!(read, key);
        assert_ne!(ProofKey::generate().unwrap(), key);
        assert_eq!(format!("{key:?} {:?}", key.signer()), "ProofKey(…) ProofSigner(…)");
        for strange in ["", "S3cret", "!"] {
            assert_eq!(ProofKey::parse(strange), None);
        }
    }
}
