//! The settings of a server, which do not change after its start: lifetimes, the format of the
//! tokens, and how refresh tokens are rotated.

use std::time::Duration;

use crate::bucket::RateLimit;

/// Whether a refresh issues a new refresh token and spends the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// A refresh token is valid until it expires, and can be used any number of times.
    Off,
    /// A refresh token is valid once. Using it again revokes every token that descends from the
    /// same login.
    #[default]
    On,
    /// Like [`Rotation::On`], but for this time after its first use a refresh token is accepted
    /// again. Each use is answered with a new pair of tokens of the same family and is not counted
    /// as reuse. Servers do this so that a client whose answer was lost can repeat the request.
    OnWithGrace(Duration),
}

impl Rotation {
    /// Returns how long a spent refresh token is still accepted, or `None` if refresh tokens are
    /// never spent.
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
    /// The field is missing, and the client keeps the refresh token that it has.
    #[default]
    Omit,
    /// The refresh token that was sent.
    Same,
}

/// The format of the access tokens of accounts. Those of `POST /api/token` are always opaque.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenFormat {
    /// A JWT signed with HS256 and a random key.
    #[default]
    Jwt,
    /// A random string.
    Opaque,
    /// Five parts separated by dots, like an encrypted JWT. A client can read the algorithms in it
    /// and nothing else.
    Jwe,
}

/// Where the lifetime of an access token is stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hints {
    /// In the field `expires_in` and, in a JWT, in the claim `exp`.
    #[default]
    Both,
    /// In the field `expires_in` only.
    ExpiresIn,
    /// In the claim `exp` only, and so nowhere if the token is not a JWT.
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

/// The settings of the [`Builder`](crate::Builder) that are plain values.
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
