//! Makes token strings, and tells whether a JWT bears the current key's signature. It knows no lifetimes and keeps no
//! record: that is the [issuer](crate::issuer)'s.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    crypto::{self, CryptoProvider},
};
use serde::Serialize;

use crate::{
    accounts::Subject,
    clock::{Seconds, Timestamp},
};

const AUDIENCE: &str = "jwt-refresh-testkit";
const SCOPE: &str = "products:read products:write inventory:read reports:read";

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: Seconds,
    nbf: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<Seconds>,
    jti: String,
    email: &'a str,
    scope: &'a str,
}

pub(crate) struct Signer {
    /// The claim `iss`.
    issuer: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Signer {
    pub(crate) fn new(issuer: String) -> Self {
        // Another crate of the same program may switch on the other back end of `jsonwebtoken`, which then no longer
        // picks one by itself. If somebody has picked one already, theirs will do.
        let _ = CryptoProvider::install_default(&crypto::aws_lc::DEFAULT_PROVIDER);
        let (encoding, decoding) = random_key();
        Self { issuer, encoding, decoding }
    }

    /// From here on no JWT signed so far verifies.
    pub(crate) fn rotate_key(&mut self) {
        (self.encoding, self.decoding) = random_key();
    }

    /// A signed JWT; without `exp` if `expires` is `None`.
    pub(crate) fn jwt(&self, subject: &Subject, issued: Timestamp, expires: Option<Timestamp>) -> String {
        let issued = Seconds(issued.since_epoch());
        let claims = Claims {
            iss: &self.issuer,
            sub: &subject.id,
            aud: AUDIENCE,
            iat: issued,
            nbf: issued,
            exp: expires.map(|expires| Seconds(expires.since_epoch())),
            jti: random_string::<16>(),
            email: &subject.email,
            scope: SCOPE,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("plain claims serialize, and HMAC signs anything")
    }

    /// Whether `token`, which must be one of ours, bears the current key's signature. The claims are not parsed again:
    /// what they say is on record, and the API is called by the million.
    pub(crate) fn verifies(&self, token: &str) -> bool {
        let Some((message, signature)) = token.rsplit_once('.') else {
            return false;
        };
        crypto::verify(signature, message.as_bytes(), &self.decoding, Algorithm::HS256).unwrap_or(false)
    }
}

/// A random string that means nothing to anyone but the server.
pub(crate) fn opaque() -> String {
    random_string::<32>()
}

/// Five parts with the lengths of an RSA-OAEP-256 and A256GCM encrypted JWT. Only the server could decrypt a real one,
/// and this server looks tokens up in its own records, so the four encrypted parts are random bytes.
pub(crate) fn jwe() -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","cty":"JWT"}"#);
    let key = random_string::<256>();
    let iv = random_string::<12>();
    let ciphertext = random_string::<240>();
    let tag = random_string::<16>();
    format!("{header}.{key}.{iv}.{ciphertext}.{tag}")
}

fn random_key() -> (EncodingKey, DecodingKey) {
    let key = random_bytes::<32>();
    (EncodingKey::from_secret(&key), DecodingKey::from_secret(&key))
}

fn random_string<const BYTES: usize>() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<BYTES>())
}

/// Not fit for secrets that matter: enough for a server that is reachable from this machine only and lives for one test.
fn random_bytes<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    fastrand::fill(&mut bytes);
    bytes
}
