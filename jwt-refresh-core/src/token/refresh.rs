//! The refresh token, which is treated like a password.

use std::fmt;

use super::proof_key::ProofKey;
use crate::secret::Secret;

/// A refresh token. It is worth as much as a password: `Debug` shows nothing of it, there is no
/// `Display`, and it is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    token: Secret,
    /// Behind a pointer, since most have none of it.
    conditions: Option<Box<Conditions>>,
}

/// What else it takes to use a refresh token.
#[derive(Clone, Default, PartialEq, Eq)]
struct Conditions {
    /// The key that the server has bound it to (RFC 9449 §5).
    key: Option<ProofKey>,
    /// The ID of the client that it was issued to, if that has registered itself (RFC 7591).
    client: Option<String>,
    /// The server that issued it, if a resource has named that.
    issuer: Option<String>,
}

impl RefreshToken {
    /// Returns the token itself. Send it to the server that issued it and to no other. The name
    /// makes it easy to find every place where the token leaves its wrapper.
    pub fn expose(&self) -> &str {
        self.token.expose()
    }

    pub(crate) fn key(&self) -> Option<&ProofKey> {
        self.conditions.as_ref()?.key.as_ref()
    }

    pub(crate) fn client(&self) -> Option<&str> {
        self.conditions.as_ref()?.client.as_deref()
    }

    pub(crate) fn issuer(&self) -> Option<&str> {
        self.conditions.as_ref()?.issuer.as_deref()
    }

    /// Returns the token as one that is bound to `key`, if there is one.
    pub(crate) fn bound_to(mut self, key: Option<ProofKey>) -> Self {
        if key.is_some() {
            self.conditions.get_or_insert_default().key = key;
        }
        self
    }

    /// Returns the token as one that was issued to this client, if there is one.
    pub(crate) fn issued_to(mut self, client: Option<String>) -> Self {
        if client.is_some() {
            self.conditions.get_or_insert_default().client = client;
        }
        self
    }

    /// Returns the token as one that this server issued, if that is to be known.
    pub(crate) fn issued_by(mut self, issuer: Option<String>) -> Self {
        if issuer.is_some() {
            self.conditions.get_or_insert_default().issuer = issuer;
        }
        self
    }
}

impl<S: Into<Secret>> From<S> for RefreshToken {
    fn from(token: S) -> Self {
        Self { token: token.into(), conditions: None }
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}
