//! What is written in a JWT (RFC 7519), decoded without checking the signature: a client is not the token's audience, and
//! has no key. Decoding is a hint about expiry and a help to people who look; nothing may depend on it (RFC 9068 §6).

mod claims;
mod header;

use std::fmt;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

pub use claims::Claims;
pub use header::Header;

use crate::json::Object;

/// RFC 7515 §2: base64url without padding. Bits that encode nothing are let pass, as most decoders do.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// No signed token is longer; what is, is not worth the memory to decode.
const LONGEST: usize = 256 * 1024;

/// A decoded, **unverified** JSON Web Token in its compact form: header, claims, and the signature as given.
///
/// ```
/// use jwt_refresh_core::jwt::Jwt;
///
/// let jwt = Jwt::decode("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjEzMDA4MTkzODB9.c2ln")?;
/// assert_eq!(jwt.header().algorithm(), Some("HS256"));
/// assert_eq!(jwt.claims().subject(), Some("ada"));
/// assert_eq!(jwt.signature(), "c2ln");
/// # Ok::<(), jwt_refresh_core::jwt::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct Jwt {
    header: Header,
    claims: Claims,
    signature: String,
}

impl Jwt {
    /// Decodes `token`. The signature is *not* checked: who wrote these claims is unknown.
    ///
    /// # Errors
    ///
    /// If it is not a three-part JWS with JSON objects for header and payload (an encrypted, five-part JWE is not), or if a
    /// registered claim has the wrong type or is out of range; the error names the part or the claim.
    pub fn decode(token: &str) -> Result<Self, DecodeError> {
        if token.len() > LONGEST {
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
            header: Header::read(&object("header", &section("header", header)?)?)?,
            claims: Claims::read(object("payload", &section("payload", payload)?)?)?,
            signature: signature.to_owned(),
        })
    }

    /// The first section: how the token is signed.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The second section: what the issuer says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The third section as it stands in the token, base64url; empty if the token is unsigned.
    pub fn signature(&self) -> &str {
        &self.signature
    }
}

impl fmt::Debug for Jwt {
    /// Header and claims; not the signature, which would make the token whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("header", &self.header).field("claims", &self.claims).finish_non_exhaustive()
    }
}

fn section(name: &str, encoded: &str) -> Result<Vec<u8>, DecodeError> {
    BASE64URL.decode(encoded).map_err(|_| DecodeError::new(name, "is not unpadded base64url"))
}

fn object<'a>(name: &str, json: &'a [u8]) -> Result<Object<'a>, DecodeError> {
    Object::parse(json).map_err(|_| DecodeError::new(name, "is not a JSON object"))
}

/// Why a string is not a JWT that can be read: the part or claim, and what is wrong with it. Never its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(String);

impl DecodeError {
    fn new(part: &str, problem: &str) -> Self {
        Self(format!("{part} {problem}"))
    }

    fn claim(name: &str, problem: &str) -> Self {
        Self(format!("claim `{name}` {problem}"))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a readable JWT: {}", self.0)
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests;
