//! Adds a token to a request without formatting or copying it.

use http::HeaderMap;

use crate::token::AccessToken;

/// Gives requests the method `.bearer(&token)`: the builders of reqwest, `reqwest-middleware`, ureq
/// and `http`, and the headers of a request. It adds `Authorization: Bearer …` from the
/// ready-made header value of the token, which is marked sensitive.
///
/// ```
/// use jwt_refresh::Bearer;
///
/// # fn doc(token: &jwt_refresh::AccessToken) -> http::Result<()> {
/// let mut request = http::Request::get("https://api.example/orders").bearer(token).body(())?;
/// request.headers_mut().bearer(token);
/// # Ok(()) }
/// ```
///
/// Use it in place of reqwest's `.bearer_auth(token)`, which formats the header anew for each
/// request, and does not compile with an [`AccessToken`]: that has no `Display`, so that it cannot
/// get into a text by accident.
pub trait Bearer {
    /// Returns the request with `token` in the `Authorization` header (RFC 6750 §2.1), or with an
    /// API key in [its header](AccessToken::header_name). Builders add the header, as they do with
    /// all; in a map of headers it replaces the one that is there.
    fn bearer(self, token: &AccessToken) -> Self;
}

impl Bearer for http::request::Builder {
    fn bearer(self, token: &AccessToken) -> Self {
        self.header(token.header_name(), token)
    }
}

impl Bearer for HeaderMap {
    fn bearer(mut self, token: &AccessToken) -> Self {
        (&mut self).bearer(token);
        self
    }
}

impl Bearer for &mut HeaderMap {
    fn bearer(self, token: &AccessToken) -> Self {
        self.insert(token.header_name().clone(), token.into());
        self
    }
}

#[cfg(feature = "reqwest")]
impl Bearer for reqwest::RequestBuilder {
    fn bearer(self, token: &AccessToken) -> Self {
        self.header(token.header_name(), token)
    }
}

#[cfg(all(feature = "reqwest", feature = "blocking"))]
impl Bearer for reqwest::blocking::RequestBuilder {
    fn bearer(self, token: &AccessToken) -> Self {
        self.header(token.header_name(), token)
    }
}

#[cfg(feature = "reqwest-middleware")]
impl Bearer for reqwest_middleware::RequestBuilder {
    fn bearer(self, token: &AccessToken) -> Self {
        self.header(token.header_name(), token)
    }
}

#[cfg(feature = "ureq")]
impl<B> Bearer for ureq::RequestBuilder<B> {
    fn bearer(self, token: &AccessToken) -> Self {
        self.header(token.header_name(), token)
    }
}
