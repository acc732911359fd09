//! The status and the headers of an answer, of any HTTP client.

#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
use {crate::error::Error, http::Extensions};

use super::answer_head::AnswerHead;

/// An answer of a server.
pub trait ResponseHead {
    /// Returns its status and its headers, and where it comes from, if it says so.
    fn head(&self) -> AnswerHead<'_>;
}

#[cfg(feature = "reqwest")]
impl ResponseHead for reqwest::Response {
    fn head(&self) -> AnswerHead<'_> {
        AnswerHead { status: self.status(), headers: self.headers(), url: Some(self.url().as_str()) }
    }
}

#[cfg(all(feature = "reqwest", feature = "blocking"))]
impl ResponseHead for reqwest::blocking::Response {
    fn head(&self) -> AnswerHead<'_> {
        AnswerHead { status: self.status(), headers: self.headers(), url: Some(self.url().as_str()) }
    }
}

impl<B> ResponseHead for http::Response<B> {
    fn head(&self) -> AnswerHead<'_> {
        AnswerHead { status: self.status(), headers: self.headers(), url: None }
    }
}

/// Says in the extensions of an answer why its token did not do, for a caller that gets the answer.
#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
pub(super) fn note_shortcoming(extensions: &mut Extensions, shortcoming: Option<Error>) {
    if let Some(error) = shortcoming {
        extensions.insert(error);
    }
}
