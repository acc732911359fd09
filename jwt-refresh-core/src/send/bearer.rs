//! Putting a token on a request without formatting or copying it.

use http::header::AUTHORIZATION;

use crate::token::AccessToken;

/// `.bearer(&token)` on a request builder: sets `Authorization: Bearer …` from the ready-made, sensitive header value.
///
/// `reqwest`'s own `bearer_auth` formats the header anew for each request.
pub trait Bearer {
    /// Authorizes the request with `token` (RFC 6750 §2.1).
    fn bearer(self, token: &AccessToken) -> Self;
}

impl Bearer for reqwest::RequestBuilder {
    fn bearer(self, token: &AccessToken) -> Self {
        self.header(AUTHORIZATION, token)
    }
}

#[cfg(feature = "blocking")]
impl Bearer for reqwest::blocking::RequestBuilder {
    fn bearer(self, token: &AccessToken) -> Self {
        self.header(AUTHORIZATION, token)
    }
}
