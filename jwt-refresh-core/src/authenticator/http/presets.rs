//! Descriptions of what many servers do: the grants of OAuth 2.0, and two logins that are often
//! written by hand.

use std::time::Duration;

use super::HttpAuthenticator;
use super::builder::HttpAuthenticatorBuilder;
use super::client_auth::ClientAuth;
use super::request::HttpRequest;
use super::secret_source::SecretSource;
use crate::token::TokenFields;

/// How long the token of [`HttpAuthenticator::key_and_secret`] is used if its server does not say:
/// not quite an hour.
const KEY_AND_SECRET_LIFETIME: Duration = Duration::from_secs(3500);

/// Common servers. Each of these is a description to which more can be added, such as
/// `.field("scope", "read")` for the login.
impl HttpAuthenticator {
    /// The client credentials grant (RFC 6749 §4.4). There is no refresh: the session logs in
    /// again.
    ///
    /// ```
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use jwt_refresh::{ClientAuth, HttpAuthenticator, SecretSource};
    ///
    /// let client = ClientAuth::basic("catalog", SecretSource::env("CLIENT_SECRET"));
    /// let api = HttpAuthenticator::client_credentials("https://id.example/token", client)
    ///     .field("scope", "read")
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn client_credentials(token_url: impl Into<String>, client: ClientAuth) -> HttpAuthenticatorBuilder {
        let login = HttpRequest::post(token_url).form_field("grant_type", "client_credentials");
        Self::builder(login).client_auth(client)
    }

    /// The password grant (RFC 6749 §4.3), and the refresh of RFC 6749 §6. A client that the server
    /// knows authenticates by [`client_auth`](HttpAuthenticatorBuilder::client_auth).
    pub fn password_grant(
        token_url: impl Into<String>,
        username: impl AsRef<str>,
        password: impl Into<SecretSource>,
    ) -> HttpAuthenticatorBuilder {
        let token_url = token_url.into();
        let login = HttpRequest::post(&token_url).form_field("grant_type", "password");
        Self::refresh_grant(token_url).then(login).field("username", username).secret_field("password", password)
    }

    /// The refresh of RFC 6749 §6 alone, for tokens that were captured elsewhere.
    pub fn refresh_grant(token_url: impl Into<String>) -> HttpAuthenticatorBuilder {
        let refresh = HttpRequest::post(token_url)
            .form_field("grant_type", "refresh_token")
            .form_field("refresh_token", "{refresh_token}");
        Self::without_login().refresh(refresh)
    }

    /// `{"email", "password"}` for `{"access_token", "refresh_token"}`, and `{"refresh_token"}` for
    /// new ones, all in JSON.
    pub fn email_and_password(
        login_url: impl Into<String>,
        refresh_url: impl Into<String>,
        email: impl AsRef<str>,
        password: impl Into<SecretSource>,
    ) -> HttpAuthenticatorBuilder {
        Self::builder(login_url.into())
            .refresh_url(refresh_url)
            .field("email", email)
            .secret_field("password", password)
    }

    /// A key and its secret, sent by HTTP Basic (RFC 7617), for an access token that lives for an
    /// hour: it is used for 3500 s, unless the server says how long it lives. There is no refresh:
    /// the session asks for another one.
    pub fn key_and_secret(
        token_url: impl Into<String>,
        key: impl Into<SecretSource>,
        secret: impl Into<SecretSource>,
    ) -> HttpAuthenticatorBuilder {
        Self::builder(HttpRequest::post(token_url).basic_auth("{key}", "{secret}"))
            .secret("key", key)
            .secret("secret", secret)
            .answer(TokenFields::default().lives_for(KEY_AND_SECRET_LIFETIME))
    }
}
