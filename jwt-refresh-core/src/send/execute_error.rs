//! The error of a request that is sent with a token.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;

/// The reason why [`RequestAuth::execute`](crate::RequestAuth::execute) returns no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExecuteError {
    /// There is no token for the request, or none that suffices.
    Auth(Error),
    /// The request could not be sent, or there is no answer.
    Http(reqwest::Error),
}

impl From<Error> for ExecuteError {
    fn from(error: Error) -> Self {
        Self::Auth(error)
    }
}

impl From<reqwest::Error> for ExecuteError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl fmt::Display for ExecuteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auth(_) => "there is no sufficient access token for the request",
            Self::Http(_) => "the request has no answer",
        })
    }
}

impl StdError for ExecuteError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(match self {
            Self::Auth(error) => error,
            Self::Http(error) => error,
        })
    }
}
