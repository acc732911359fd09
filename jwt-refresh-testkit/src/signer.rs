//! Makes token strings, and checks whether a JWT is signed with the current key. The
//! [issuer](crate::issuer) decides on lifetimes and keeps the records.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    crypto::{self, CryptoProvider},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    accounts::Subject,
    clock::{Seconds, Timestamp},
};

const AUDIENCE: &str = "jwt-refresh-testkit";

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
    /// What the test sets in addition to the claims of this file, or in place of them.
    claims: Map<String, Value>,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Signer {
    pub(crate) fn new(issuer: String) -> Self {
        // If another crate of the program enables the other back end of `jsonwebtoken`, that crate
        // no longer chooses one by itself, so it is chosen here. If one was installed before, the
        // call fails, and that one is used.
        let _ = CryptoProvider::install_default(&crypto::aws_lc::DEFAULT_PROVIDER);
        let (encoding, decoding) = random_key();
        Self { issuer, claims: Map::new(), encoding, decoding }
    }

    /// Replaces the key. The signatures of all JWTs signed so far no longer verify.
    pub(crate) fn rotate_key(&mut self) {
        (self.encoding, self.decoding) = random_key();
    }

    pub(crate) fn set_claim(&mut self, name: &str, value: Value) {
        self.claims.insert(name.to_owned(), value);
    }

    /// Returns a signed JWT, without the claim `exp` if `expires` is `None`.
    pub(crate) fn jwt(&self, subject: &Subject, scope: &str, issued: Timestamp, expires: Option<Timestamp>) -> String {
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
            scope,
        };
        let claims = self.with_claims_of_test(&claims);
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("JSON serializes, and HMAC signs anything")
    }

    fn with_claims_of_test(&self, claims: &Claims<'_>) -> Value {
        let mut claims = serde_json::to_value(claims).expect("plain claims serialize");
        for (name, value) in &self.claims {
            claims[name] = value.clone();
        }
        claims
    }

    /// Returns whether `token`, which this server must have issued, is signed with the current key.
    /// The claims are not parsed: the issuer has their content on record, and the check runs for
    /// every one of millions of calls.
    pub(crate) fn verifies(&self, token: &str) -> bool {
        let Some((message, signature)) = token.rsplit_once('.') else {
            return false;
        };
        crypto::verify(signature, message.as_bytes(), &self.decoding, Algorithm::HS256).unwrap_or(false)
    }
}

/// Returns a random string, which only the server can look up.
pub(crate) fn opaque() -> String {
    random_string::<32>()
}

/// Returns five parts with the lengths of a JWT that is encrypted with RSA-OAEP-256 and A256GCM.
/// Only the server could decrypt a real one, and this server looks tokens up in its records, so the
/// four parts after the header are random bytes.
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

/// Returns bytes of a generator that is not cryptographically secure. They are good enough for a
/// server that can be reached from this machine only and runs for one test.
fn random_bytes<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    fastrand::fill(&mut bytes);
    bytes
}
