//! What an answer says of how long its access token lives, and the access token, which may say it
//! too.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What is said of the lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hints {
    /// `expires_in`, beside an opaque token.
    ExpiresIn,
    /// `exp` and `iat` of a JWT, in whole seconds.
    Exp,
    /// Both.
    Both,
    /// Nothing: an opaque token, which lives until it is rejected.
    None,
    /// An `expires_in` that is no lifetime, beside an opaque token.
    Malformed,
    /// The same beside a JWT that has `exp` and `iat`, a number as `sub` and an object as `aud`.
    Odd,
}

/// `exp` has whole seconds, and a client may take two clocks for one that differ by less than one.
const RESOLUTION: Duration = Duration::from_secs(2);

impl Hints {
    /// Returns how long a client that reads the answer right serves the token at most.
    pub(crate) fn told(self, life: Duration) -> Option<Duration> {
        match self {
            Self::ExpiresIn | Self::Both => Some(life),
            Self::Exp | Self::Odd => Some(life + RESOLUTION),
            Self::None | Self::Malformed => None,
        }
    }

    /// Returns the access token `name`, which is issued when the server's clock shows `now`. Nobody
    /// verifies a JWT here: sessions read what it says, and the model knows it by its text.
    pub(crate) fn access_token(self, name: &str, now: SystemTime, life: Duration) -> String {
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let (iat, exp) = (seconds(now), seconds(now + life));
        let claims = match self {
            Self::ExpiresIn | Self::None | Self::Malformed => return name.to_owned(),
            Self::Exp | Self::Both => json!({ "jti": name, "iat": iat, "exp": exp, "sub": "ada", "aud": "api" }),
            Self::Odd => json!({ "jti": name, "iat": iat, "exp": exp, "sub": 7, "aud": { "api": true } }),
        };
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", encode(r#"{"alg":"HS256"}"#), encode(&claims.to_string()), encode("signature"))
    }

    /// Returns the field `expires_in`.
    pub(crate) fn expires_in(self, life: Duration) -> Option<Value> {
        match self {
            Self::ExpiresIn | Self::Both => Some(life.as_secs().into()),
            Self::Exp | Self::None => None,
            Self::Malformed => Some((-1).into()),
            Self::Odd => Some(format!("{}s", life.as_secs()).into()),
        }
    }
}
