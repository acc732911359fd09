//! Decodes JWTs (RFC 7519) without checking their signature: a client is not the audience of a
//! token and has no key. The content is a hint at the expiry and a help to people who inspect
//! tokens. Nothing may depend on it (RFC 9068 §6).

mod claims;
mod error;
mod explain;
mod header;

use std::fmt;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

pub use claims::Claims;
pub use error::DecodeError;
pub use header::Header;

use crate::clock::Timestamp;
use crate::json::{self, Object};

/// Base64url without padding (RFC 7515 §2). Trailing bits that encode nothing are accepted, as by
/// most decoders.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The longest token that is decoded, in bytes. No signed token is longer, so a longer one is not
/// worth the memory.
const MAX_LENGTH: usize = 256 * 1024;

/// A decoded, **unverified** JSON Web Token in compact form: header, claims, and the signature as
/// it is in the token.
///
/// ```
/// use jwt_refresh::jwt::Jwt;
///
/// let jwt = Jwt::decode("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjEzMDA4MTkzODB9.c2ln")?;
/// assert_eq!(jwt.header().algorithm(), Some("HS256"));
/// assert_eq!(jwt.claims().subject(), Some("ada"));
/// assert_eq!(jwt.signature(), "c2ln");
/// # Ok::<(), jwt_refresh::jwt::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct Jwt {
    header: Header,
    claims: Claims,
    signature: String,
}

impl Jwt {
    /// Decodes `token`. The signature is *not* checked: it is unknown who wrote these claims.
    ///
    /// A claim that is not as RFC 7519 says does not make the others unreadable: its own method
    /// returns `None`, as if it were missing, and [`Claims::get`] returns what is in the token.
    ///
    /// # Errors
    ///
    /// An error if `token` is not a JWS of three parts with JSON objects as header and payload (an
    /// encrypted JWE of five parts is not), or if it is longer than 256 KiB. The error names the
    /// part.
    pub fn decode(token: &str) -> Result<Self, DecodeError> {
        if token.len() > MAX_LENGTH {
            return Err(DecodeError::new("token", "is longer than 256 KiB"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(DecodeError::new("token", "does not have three parts"));
        };
        section("signature", signature)?;
        Ok(Self {
            header: Header::read(&object("header", &section("header", header)?)?),
            claims: Claims::read(object("payload", &section("payload", payload)?)?),
            signature: signature.to_owned(),
        })
    }

    /// Returns the first section: how the token is signed.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the second section: what the issuer states.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns the third section as it is in the token, in base64url. It is empty if the token is
    /// unsigned.
    pub fn signature(&self) -> &str {
        &self.signature
    }
}

impl fmt::Debug for Jwt {
    /// Shows header and claims, but not the signature, which would complete the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("header", &self.header).field("claims", &self.claims).finish_non_exhaustive()
    }
}

/// The two dates of a JWT that say when it expires.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TokenDates {
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) issued_at: Option<Timestamp>,
}

impl TokenDates {
    /// Reads `exp` and `iat`, whatever else is in the token or wrong with it. Returns no date for a
    /// token that is no JWT.
    pub(crate) fn of(token: &str) -> Self {
        Self::read(token).unwrap_or_default()
    }

    fn read(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1).filter(|_| token.len() <= MAX_LENGTH && token.split('.').count() == 3)?;
        let payload = BASE64URL.decode(payload.trim_end_matches('=')).ok()?;
        let payload = Object::parse(&payload).ok()?;
        let date = |name: &str| match payload.at(name) {
            Ok(None) => None,
            Ok(Some(value)) => claims::date(&value).or_else(|| ignored(name)),
            Err(_) => ignored(name),
        };
        Some(Self { expires_at: date("exp"), issued_at: date("iat") })
    }
}

fn ignored<T>(claim: &str) -> Option<T> {
    json::ignored(claim);
    None
}

fn section(name: &str, encoded: &str) -> Result<Vec<u8>, DecodeError> {
    BASE64URL.decode(encoded).map_err(|_| DecodeError::new(name, "is not unpadded base64url"))
}

fn object<'a>(name: &str, json: &'a [u8]) -> Result<Object<'a>, DecodeError> {
    Object::parse(json).map_err(|_| DecodeError::new(name, "is not a JSON object"))
}

#[cfg(test)]
mod tests;
