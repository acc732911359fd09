//! Adds a token to a request without formatting or copying it.

use crate::token::AccessToken;

/// Gives request builders the method `.bearer(&token)`. It adds `Authorization: Bearer …` from the
/// ready-made header value of the token, which is marked sensitive.
///
/// Use it in place of reqwest's `.bearer_auth(token)`, which formats the header anew for each
/// request, and does not compile with an [`AccessToken`]: that has no `Display`, so that it cannot
/// get into a text by accident.
pub trait Bearer {
    /// Returns the request builder with `token` in the `Authorization` header (RFC 6750 §2.1), or
    /// with an API key in [its header](AccessToken::header_name).
    fn bearer(self, token: &AccessToken) -> Self;
}

impl Bearer for reqwest::RequestBuilder {
    fn bearer(self, token: &AccessToken) -> Self {
        self.header(token.header_name(), token)
    }
}

#[cfg(feature = "blocking")]
impl Bearer for reqwest::blocking::RequestBuilder {
    fn bearer(self, token: &AccessToken) -> Self {
        self.header(token.header_name(), token)
    }
}
