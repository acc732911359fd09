//! The JOSE header (RFC 7515 §4.1).

use serde_json::Value;

use super::error::DecodeError;
use crate::json::Object;

/// The JOSE header of a JWT: how the token is signed, and with which key.
#[derive(Clone, Debug)]
pub struct Header {
    algorithm: Option<String>,
    key_id: Option<String>,
    kind: Option<String>,
}

impl Header {
    pub(super) fn read(object: &Object<'_>) -> Result<Self, DecodeError> {
        Ok(Self { algorithm: text(object, "alg")?, key_id: text(object, "kid")?, kind: text(object, "typ")? })
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

fn text(object: &Object<'_>, name: &str) -> Result<Option<String>, DecodeError> {
    match object.at(name) {
        Ok(None) => Ok(None),
        Ok(Some(Value::String(text))) => Ok(Some(text)),
        Ok(Some(_)) => Err(DecodeError::new(&format!("header field `{name}`"), "is not a string")),
        Err(_) => Err(DecodeError::new(&format!("header field `{name}`"), "is nested too deep or out of range")),
    }
}
