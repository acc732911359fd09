//! The JOSE header (RFC 7515 §4.1).

use serde_json::Value;

use crate::json::Object;

/// The JOSE header of a JWT: how the token is signed, and with which key.
#[derive(Clone, Debug)]
pub struct Header {
    algorithm: Option<String>,
    key_id: Option<String>,
    kind: Option<String>,
}

impl Header {
    pub(super) fn read(object: &Object<'_>) -> Self {
        Self { algorithm: text(object, "alg"), key_id: text(object, "kid"), kind: text(object, "typ") }
    }

    /// Returns `alg`: the algorithm of the signature, such as `RS256`.
    pub fn algorithm(&self) -> Option<&str> {
        self.algorithm.as_deref()
    }

    /// Returns `kid`: which key signed the token.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Returns `typ`: the type of the token, such as `JWT` or `at+jwt`.
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }
}

/// Returns a field, unless it is missing or malformed.
fn text(object: &Object<'_>, name: &str) -> Option<String> {
    match object.at(name) {
        Ok(Some(Value::String(text))) => Some(text),
        _ => None,
    }
}
