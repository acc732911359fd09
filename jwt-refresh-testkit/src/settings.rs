//! What a server is told once, before it starts: lifetimes, the form of the tokens, and how refresh tokens are rotated.

use std::time::Duration;

use crate::bucket::RateLimit;

/// Whether a refresh hands out a new refresh token and spends the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// A refresh token is good until it expires, however often it is used.
    Off,
    /// A refresh token is good once. Using it again revokes every token that descends from the same login.
    #[default]
    On,
    /// As [`Rotation::On`], but for so long after its first use a refresh token is accepted again: each time with a new
    /// pair of tokens from the same family, and without counting as reuse. This is how servers forgive lost answers.
    OnWithGrace(Duration),
}

impl Rotation {
    /// How long a spent refresh token is still accepted; `None` if refresh tokens are never spent.
    pub(crate) fn grace(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::On => Some(Duration::ZERO),
            Self::OnWithGrace(grace) => Some(grace),
        }
    }
}

/// What a refresh answers in `refresh_token` under [`Rotation::Off`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshAnswer {
    /// No such field: the client keeps the one it has.
    #[default]
    Omit,
    /// The refresh token that was sent.
    Same,
}

/// What the access tokens of accounts look like. Those of the key and secret endpoint are always opaque.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenFormat {
    /// A JWT signed with HS256 and a random key.
    #[default]
    Jwt,
    /// A random string.
    Opaque,
    /// Five dot-separated parts like an encrypted JWT: nobody but the server can read anything in it but the algorithms.
    Jwe,
}

/// Where an answer says how long an access token lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hints {
    /// In the field `expires_in` and, in a JWT, in the claim `exp`.
    #[default]
    Both,
    /// In the field `expires_in` only.
    ExpiresIn,
    /// In the claim `exp` only; so nowhere, unless the token is a JWT.
    Exp,
    /// Nowhere.
    None,
}

impl Hints {
    pub(crate) fn expires_in(self) -> bool {
        matches!(self, Self::Both | Self::ExpiresIn)
    }

    pub(crate) fn exp(self) -> bool {
        matches!(self, Self::Both | Self::Exp)
    }
}

/// Everything the [`Builder`](crate::Builder) sets that is a plain value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) access_lifetime: Duration,
    pub(crate) refresh_lifetime: Duration,
    pub(crate) rotation: Rotation,
    pub(crate) refresh_answer: RefreshAnswer,
    pub(crate) token_format: TokenFormat,
    pub(crate) hints: Hints,
    pub(crate) whole_seconds: bool,
    pub(crate) latency: Duration,
    pub(crate) date_shift: i64,
    pub(crate) rate_limit: Option<RateLimit>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_lifetime: Duration::from_secs(60),
            refresh_lifetime: Duration::from_secs(3600),
            rotation: Rotation::default(),
            refresh_answer: RefreshAnswer::default(),
            token_format: TokenFormat::default(),
            hints: Hints::default(),
            whole_seconds: false,
            latency: Duration::ZERO,
            date_shift: 0,
            rate_limit: None,
        }
    }
}
