//! A request for an access token with other parameters than the session's own.

use crate::error::Error;
use crate::renewal::{IssuedTokens, Outcome};
use crate::sync::Mutex;
use crate::token::{AccessParameters, AccessToken};

/// What one caller asks the session for, and what it is answered. It is one caller, since a child
/// session has one renewal at a time.
#[derive(Debug)]
pub(super) struct OtherRequest {
    pub(super) parameters: AccessParameters,
    /// The last token that the caller had. It is not answered with that one.
    pub(super) last: Option<AccessToken>,
    answer: Mutex<Option<Result<IssuedTokens, Error>>>,
}

impl OtherRequest {
    pub(super) fn new(parameters: AccessParameters, last: Option<AccessToken>) -> Self {
        Self { parameters, last, answer: Mutex::default() }
    }

    pub(super) fn answer_with(&self, outcome: &Outcome) {
        *self.answer.lock() = match outcome {
            Outcome::Failed { error, .. } => Some(Err(error.clone())),
            // The session says so of a logout.
            other => other.issued().cloned().map(Ok),
        };
    }

    pub(super) fn take_answer(&self) -> Option<Result<IssuedTokens, Error>> {
        self.answer.lock().take()
    }

    /// Returns whether the caller can use a token.
    pub(super) fn takes(&self, token: &AccessToken) -> bool {
        self.last.as_ref().is_none_or(|last| last.expose() != token.expose())
    }
}
