//! The status and the headers of an answer, of any HTTP client.

use http::{HeaderMap, StatusCode};

/// An answer of a server.
pub trait ResponseHead {
    /// Returns its status and its headers.
    fn head(&self) -> (StatusCode, &HeaderMap);
}

#[cfg(feature = "reqwest")]
impl ResponseHead for reqwest::Response {
    fn head(&self) -> (StatusCode, &HeaderMap) {
        (self.status(), self.headers())
    }
}

#[cfg(all(feature = "reqwest", feature = "blocking"))]
impl ResponseHead for reqwest::blocking::Response {
    fn head(&self) -> (StatusCode, &HeaderMap) {
        (self.status(), self.headers())
    }
}

impl<B> ResponseHead for http::Response<B> {
    fn head(&self) -> (StatusCode, &HeaderMap) {
        (self.status(), self.headers())
    }
}
