//! Providers whose issuer follows from what they call their customers, and two that sign a JWT of
//! their own kind.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use huskarl::core::jwt::Jwt;

use super::OAuth;
use super::builder::OAuthBuilder;
use super::client_assertion::AssertionForm;
use super::grant::{Grant, GrantKind};
use super::server::Server;
use super::service_account::ServiceAccount;
use super::signing_key::SigningKey;
use crate::authenticator::http::{
    AnswerMatch, DerivedSecret, HttpAuthenticator, HttpAuthenticatorBuilder, HttpRequest, SecretSource, percent_encoded,
};
use crate::error::Error;
use crate::secret::Secret;
use crate::token::TokenFields;

/// Common providers. Each of these is a builder to which more can be added. A host may be written
/// as a URL, too, such as `https://id.example`.
impl OAuth {
    /// Auth0, by the domain of the tenant and the identifier of the API
    /// ([Auth0](https://auth0.com/docs/api/authentication)).
    ///
    /// ```
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use jwt_refresh::oauth::{Grant, OAuth};
    /// use jwt_refresh::{ClientAuth, SecretSource};
    ///
    /// let client = ClientAuth::in_body("my-client-id", SecretSource::env("CLIENT_SECRET"));
    /// let grant = Grant::client_credentials();
    /// let api = OAuth::auth0("shop.eu.auth0.com", "https://api.example", grant)
    ///     .client_auth(client)
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn auth0(domain: impl AsRef<str>, api: impl Into<String>, grant: impl Into<Grant>) -> OAuthBuilder {
        Self::builder(format!("{}/", base(domain.as_ref())), grant).audience(api)
    }

    /// Microsoft Entra ID, by the ID of the tenant, or in a national cloud its URL, such as
    /// `https://login.microsoftonline.us/…` ([Microsoft]). It has to be the ID: by another name of
    /// the tenant, or by `common`, the issuer is not known.
    ///
    /// A client without a person asks for the scope `.default` of an API. Instead of a secret it
    /// may have a [certificate](SigningKey::certificate); its assertions are for the token
    /// endpoint, as Entra wants them.
    ///
    /// [Microsoft]: https://learn.microsoft.com/entra/identity-platform/certificate-credentials
    ///
    /// ```
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use jwt_refresh::SecretSource;
    /// use jwt_refresh::oauth::{Grant, OAuth, SigningKey};
    ///
    /// let pem = SecretSource::file("/run/secrets/app.pem"); // key and certificate
    /// let key = SigningKey::pem(pem.clone()).certificate(pem).pss();
    /// let tenant = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
    /// let graph = OAuth::entra(tenant, Grant::client_credentials())
    ///     .private_key_jwt("11112222-bbbb-3333-cccc-4444dddd5555", key)
    ///     .scope("https://graph.microsoft.com/.default")
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn entra(tenant: impl AsRef<str>, grant: impl Into<Grant>) -> OAuthBuilder {
        let tenant = match tenant.as_ref() {
            url if url.contains("://") => base(url),
            id => format!("https://login.microsoftonline.com/{}", percent_encoded(id)),
        };
        Self::builder(format!("{tenant}/v2.0"), grant).assertion_form(AssertionForm::ForEndpoint)
    }

    /// Keycloak, by its host and the name of the realm
    /// ([Keycloak](https://www.keycloak.org/securing-apps/oidc-layers)). A path that it is served
    /// under belongs to the host: `https://sso.example/auth`.
    ///
    /// ```
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use jwt_refresh::oauth::{Grant, OAuth};
    /// use jwt_refresh::{ClientAuth, SecretSource};
    ///
    /// let client = ClientAuth::basic("catalog", SecretSource::env("CLIENT_SECRET"));
    /// let api = OAuth::keycloak("sso.example", "shop", Grant::client_credentials())
    ///     .client_auth(client)
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn keycloak(host: impl AsRef<str>, realm: impl AsRef<str>, grant: impl Into<Grant>) -> OAuthBuilder {
        Self::builder(format!("{}/realms/{}", base(host.as_ref()), percent_encoded(realm.as_ref())), grant)
    }

    /// Okta, by the domain of the organization and the ID of an authorization server, such as
    /// `default`, or `None` for the organization's own, whose tokens are for Okta's API
    /// ([Okta](https://developer.okta.com/docs/concepts/auth-servers/)). The latter wants clients
    /// to authenticate by [`private_key_jwt`](OAuthBuilder::private_key_jwt). Assertions are for
    /// the endpoint that they are sent to, as Okta wants them.
    ///
    /// ```
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use jwt_refresh::SecretSource;
    /// use jwt_refresh::oauth::{Grant, OAuth, SigningKey};
    ///
    /// let key = SigningKey::pem(SecretSource::file("/run/secrets/okta.pem")).id("my-key-id");
    /// let okta = OAuth::okta("shop.okta.com", None, Grant::client_credentials())
    ///     .private_key_jwt("my-client-id", key)
    ///     .scope("okta.users.read")
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn okta(domain: impl AsRef<str>, server: Option<&str>, grant: impl Into<Grant>) -> OAuthBuilder {
        let path = server.map(|id| format!("/oauth2/{}", percent_encoded(id))).unwrap_or_default();
        let issuer = format!("{}{path}", base(domain.as_ref()));
        Self::builder(issuer, grant).assertion_form(AssertionForm::ForEndpoint)
    }

    /// An MCP server, or another protected resource that names its authorization server (RFC 9728),
    /// by its URL. Before the first login the resource is asked for that. A client that is not
    /// named by [`client_auth`](OAuthBuilder::client_auth) registers itself (RFC 7591), without a
    /// secret; its ID is kept with the refresh token, in the store too. The token is for the
    /// resource (RFC 8707 §2), and has the scopes that it wants, unless others are named.
    ///
    /// A resource may lead to any server, so a person logs in there, and the client has no secret;
    /// else [`build`](OAuthBuilder::build) is a
    /// [`Configuration`](crate::ErrorKind::Configuration) error. A refresh token goes to the server
    /// that issued it. If the resource names another one by then, there is a login instead of a
    /// refresh, and no revocation. A resource on another machine leads to `https` there, and not to
    /// this machine.
    ///
    /// ```
    /// # use std::process::Command;
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use jwt_refresh::oauth::{AuthorizationCode, OAuth};
    ///
    /// let open = |url: &str| Command::new("xdg-open").arg(url).spawn().map(drop);
    /// let browser = AuthorizationCode::new(open);
    /// let login = OAuth::mcp("https://mcp.example/mcp", browser).build()?;
    /// # Ok(()) }
    /// ```
    pub fn mcp(resource: impl Into<String>, grant: impl Into<Grant>) -> OAuthBuilder {
        Self::builder(Server::of_resource(resource.into()), grant)
    }

    /// A Google service account, by its key file in JSON (RFC 7523 §2.1,
    /// [Google](https://developers.google.com/identity/protocols/oauth2/service-account)). The file
    /// is read for each login, and the request goes to its `token_uri`. There is no refresh: the
    /// session logs in again.
    ///
    /// ```
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use jwt_refresh::SecretSource;
    /// use jwt_refresh::oauth::OAuth;
    ///
    /// let storage = OAuth::google_service_account(SecretSource::file("/run/secrets/key.json"))
    ///     .scope("https://www.googleapis.com/auth/devstorage.read_only")
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn google_service_account(key: impl Into<SecretSource>) -> OAuthBuilder {
        let grant = Grant(GrantKind::ServiceAccount(ServiceAccount(key.into())));
        Self::builder(Server::endpoints("https://oauth2.googleapis.com/token"), grant)
    }
}

/// An app signs a JWT for one minute before it is sent, because its clock may be ahead, and for no
/// longer than the ten minutes that GitHub takes.
const CLOCK_DRIFT: Duration = Duration::from_secs(60);
const APP_JWT_LIFETIME: Duration = Duration::from_secs(600);

/// A provider that is not OAuth 2.0, with a JWT that the feature `oauth` signs.
impl HttpAuthenticator {
    /// An installation of a GitHub App, by the app's client ID and private key
    /// ([GitHub](https://docs.github.com/rest/apps/apps)). The host is `api.github.com`, or
    /// `https://github.example/api/v3` of a GitHub Enterprise Server. There is no refresh: the
    /// session asks for another token before the hour of this one is over.
    ///
    /// ```
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use jwt_refresh::oauth::SigningKey;
    /// use jwt_refresh::{HttpAuthenticator, SecretSource};
    ///
    /// let key = SigningKey::pem(SecretSource::file("/run/secrets/app.pem"));
    /// let app = HttpAuthenticator::github_app("api.github.com", "Iv23liabcdef", key, 37_043_208);
    /// let app = app.build()?;
    /// let other = app.with_value("installation", "37043209")?;
    /// # Ok(()) }
    /// ```
    pub fn github_app(
        host: impl AsRef<str>,
        client_id: impl Into<String>,
        key: SigningKey,
        installation: u64,
    ) -> HttpAuthenticatorBuilder {
        let url = format!("{}/app/installations/{{installation}}/access_tokens", base(host.as_ref()));
        let request = HttpRequest::post(url)
            .header("accept", "application/vnd.github+json")
            .header("authorization", "Bearer {jwt}")
            .header("x-github-api-version", "2022-11-28")
            // GitHub answers no request without one.
            .header("user-agent", concat!("jwt-refresh/", env!("CARGO_PKG_VERSION")))
            // Its limits are refusals by their status.
            .later_if(AnswerMatch::status(403).with("header:x-ratelimit-remaining", "0"));
        Self::builder(request)
            .secret("installation", installation.to_string())
            .secret("jwt", SecretSource::derived(AppJwt { client_id: client_id.into(), key }))
            .answer(TokenFields::default().access_token("token").without_expires_in().expires_at("expires_at"))
    }
}

/// The JWT by which a GitHub App authenticates.
struct AppJwt {
    client_id: String,
    key: SigningKey,
}

impl AppJwt {
    async fn signed(&self) -> Result<Secret, Error> {
        let signer = self.key.read().await?;
        let jwt = Jwt::builder()
            .iss(&*self.client_id)
            .issued_at_expires_after(SystemTime::now() - CLOCK_DRIFT, APP_JWT_LIFETIME)
            .jti(None::<String>)
            .claims(())
            .build();
        Ok(signer.signed(&jwt).await?.expose_secret().into())
    }
}

impl DerivedSecret for AppJwt {
    fn derive(&self) -> Pin<Box<dyn Future<Output = Result<Secret, Error>> + Send + '_>> {
        Box::pin(self.signed())
    }
}

impl fmt::Display for AppJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a JWT that is signed by {}", self.key.pem)
    }
}

/// Returns the URL of a host, without a slash at its end.
fn base(host: &str) -> String {
    let host = host.trim_end_matches('/');
    if host.contains("://") { host.to_owned() } else { format!("https://{host}") }
}
