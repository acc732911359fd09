//! The status and the headers of an answer, of any HTTP client.

use http::{HeaderMap, StatusCode};
#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
use {crate::error::Error, http::Extensions};

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

/// Says in the extensions of an answer why its token did not do, for a caller that gets the answer.
#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
pub(super) fn note_shortcoming(extensions: &mut Extensions, shortcoming: Option<Error>) {
    if let Some(error) = shortcoming {
        extensions.insert(error);
    }
}
