//! How a client authenticates to a token endpoint (RFC 6749 §2.3).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::body::{Body, OtherFormat};
use super::secret_source::SecretSource;
use super::template::Template;
use super::values::Values;

/// The names by which id and secret stand in the requests.
pub(super) const CLIENT_ID: &str = "client_id";
pub(super) const CLIENT_SECRET: &str = "client_secret";
pub(super) const ID_PLACEHOLDER: &str = "{client_id}";
pub(super) const SECRET_PLACEHOLDER: &str = "{client_secret}";

/// How a client authenticates to the token endpoint, in each login, refresh and revocation. The
/// description can also name them as `{client_id}` and `{client_secret}`. A `GET` has no body, so
/// neither is in one.
#[derive(Clone)]
pub struct ClientAuth(Method);

#[derive(Clone)]
enum Method {
    Basic { id: String, secret: SecretSource },
    InBody { id: String, secret: SecretSource },
    Public { id: String },
}

impl ClientAuth {
    /// HTTP Basic, with id and secret form-urlencoded first (RFC 6749 §2.3.1). For a server that
    /// does not decode them, see [`HttpRequest::basic_auth`](crate::HttpRequest::basic_auth).
    pub fn basic(id: impl Into<String>, secret: impl Into<SecretSource>) -> Self {
        Self(Method::Basic { id: id.into(), secret: secret.into() })
    }

    /// `client_id` and `client_secret` in the body, beside the other fields (RFC 6749 §2.3.1).
    pub fn in_body(id: impl Into<String>, secret: impl Into<SecretSource>) -> Self {
        Self(Method::InBody { id: id.into(), secret: secret.into() })
    }

    /// A client without a secret: only `client_id`, in the body (RFC 6749 §3.2.1).
    pub fn public(id: impl Into<String>) -> Self {
        Self(Method::Public { id: id.into() })
    }

    pub(in crate::authenticator) fn id(&self) -> &str {
        let (Method::Basic { id, .. } | Method::InBody { id, .. } | Method::Public { id }) = &self.0;
        id
    }

    pub(in crate::authenticator) fn secret(&self) -> Option<&SecretSource> {
        match &self.0 {
            Method::Basic { secret, .. } | Method::InBody { secret, .. } => Some(secret),
            Method::Public { .. } => None,
        }
    }

    pub(in crate::authenticator) fn is_basic(&self) -> bool {
        matches!(self.0, Method::Basic { .. })
    }

    /// Adds to a body what belongs there.
    pub(super) fn complete(&self, body: &mut Body) -> Result<(), OtherFormat> {
        let placeholders: &[_] = match &self.0 {
            Method::Basic { .. } => &[],
            Method::InBody { .. } => &[(CLIENT_ID, ID_PLACEHOLDER), (CLIENT_SECRET, SECRET_PLACEHOLDER)],
            Method::Public { .. } => &[(CLIENT_ID, ID_PLACEHOLDER)],
        };
        placeholders.iter().try_for_each(|(name, value)| match body {
            Body::Empty => body.set_form(name, value),
            _ => body.set_field(name, value),
        })
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match &self.0 {
            Method::Basic { .. } => "Basic",
            Method::InBody { .. } => "InBody",
            Method::Public { .. } => "Public",
        };
        f.debug_struct(method).field("id", &self.id()).field("secret", &self.secret()).finish()
    }
}

/// User and password of HTTP Basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BasicAuth {
    pub(super) user: Template,
    pub(super) password: Template,
    pub(super) encoding: BasicEncoding,
}

/// How user and password are encoded before they are joined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BasicEncoding {
    /// Not at all (RFC 7617).
    Plain,
    /// As in a form (RFC 6749 §2.3.1).
    Form,
}

impl BasicAuth {
    /// Returns the value of the `Authorization` header. Base64 fits into every header.
    pub(super) fn header(&self, values: &Values) -> Option<HeaderValue> {
        let encode = |text: &str| match self.encoding {
            BasicEncoding::Plain => text.to_owned(),
            BasicEncoding::Form => form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        };
        let (user, password) = (self.user.render(values, encode), self.password.render(values, encode));
        let joined = Zeroizing::new([user.as_str(), ":", &password].concat());
        let encoded = Zeroizing::new(STANDARD.encode(joined.as_bytes()));
        HeaderValue::from_str(&["Basic ", &encoded].concat()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: BasicEncoding) -> String {
        let template = |text| Template::parse(text).ok().unwrap();
        let basic = BasicAuth { user: template("{id}"), password: template("{secret}"), encoding };
        let values = Values::default().with_text("id", "a:b c").with_text("secret", "p%ä+");
        let header = basic.header(&values).unwrap();
        let encoded = header.to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
        String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
    }

    #[test]
    fn id_and_secret_are_form_urlencoded_for_oauth_and_sent_as_they_are_otherwise() {
        assert_eq!(decoded(BasicEncoding::Form), "a%3Ab+c:p%25%C3%A4%2B");
        assert_eq!(decoded(BasicEncoding::Plain), "a:b c:p%ä+");
    }
}
