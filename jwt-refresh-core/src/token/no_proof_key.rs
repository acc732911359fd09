//! The key that tokens are bound to (DPoP, RFC 9449), of which there is none without the feature
//! `oauth`.

use http::{HeaderMap, HeaderValue, Method};

use crate::error::Error;

/// A key that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProofKey {}

impl ProofKey {
    pub(crate) fn parse(_: &str) -> Option<Self> {
        None
    }

    pub(crate) fn written(&self) -> &str {
        match *self {}
    }

    #[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
    pub(crate) fn proof(&self, _: &Method, _: &str, _: &str) -> Result<HeaderValue, Error> {
        match *self {}
    }

    pub(crate) fn proof_by_hand(&self, _: &Method, _: &str, _: &str) -> Result<HeaderValue, Error> {
        match *self {}
    }

    pub(crate) fn follow_clock(&self, _: &HeaderMap) -> bool {
        match *self {}
    }

    pub(crate) fn keep_nonce_by_hand(&self, _: Option<&str>, _: &HeaderMap) -> bool {
        match *self {}
    }

    #[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
    pub(crate) fn keep_nonce(&self, _: &str, _: &HeaderMap) -> bool {
        match *self {}
    }
}
