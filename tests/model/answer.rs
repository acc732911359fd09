//! What the server does with a request and says to it.

use std::time::SystemTime;

use crate::hints::Hints;
use crate::refusals::Refusal;

/// What becomes of one request for tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) says: Says,
    /// Whether the server does what it was asked to, whatever it then says.
    pub(crate) acts: bool,
    pub(crate) arrives: Arrives,
    pub(crate) hold: Hold,
    pub(crate) date: Date,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    /// The tokens, if the credentials are good, with these hints.
    Tokens(Hints),
    Refusal(&'static Refusal),
}

/// How much of the answer arrives before the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrives {
    Whole,
    Half,
    Nothing,
}

/// Whether the request waits until the walk lets it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    No,
    BeforeItActs,
    AfterItActed,
}

/// What the header `Date` says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Date {
    Right,
    Missing,
    Year1970,
    Year2036,
}

impl Answer {
    /// Returns the answer of a server that is well.
    pub(crate) fn well(hints: Hints) -> Self {
        Self {
            says: Says::Tokens(hints),
            acts: true,
            arrives: Arrives::Whole,
            hold: Hold::No,
            date: Date::Right,
            retry_after: None,
        }
    }
}

impl Date {
    /// Returns the header's value when the server's clock shows `now`.
    pub(crate) fn header(self, now: SystemTime) -> Option<String> {
        match self {
            Self::Right => Some(httpdate::fmt_http_date(now)),
            Self::Missing => None,
            Self::Year1970 => Some("Thu, 01 Jan 1970 00:00:07 GMT".into()),
            Self::Year2036 => Some("Thu, 07 Feb 2036 06:28:15 GMT".into()),
        }
    }
}
