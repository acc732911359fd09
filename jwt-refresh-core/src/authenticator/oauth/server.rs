//! Which server: its issuer, from which its endpoints are discovered, or the endpoints themselves.

use std::sync::Arc;

use huskarl::core::EndpointUrl;
use huskarl::core::server_metadata::AuthorizationServerMetadata;
use tokio::sync::Mutex;

use super::exchange::Exchange;
use super::resource::ResourceServer;
use super::wire::{LocalHosts, TlsClient, Wire};
use crate::authenticator::time_limit;
use crate::error::{Error, ErrorKind};

/// An OAuth 2.0 authorization server. A string is the issuer.
#[derive(Clone, Debug)]
pub struct Server(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Issuer(String),
    /// A resource that names its server.
    Resource(String),
    Endpoints(ServerEndpoints),
}

#[derive(Clone, Debug)]
struct ServerEndpoints {
    token: String,
    authorization: Option<String>,
    device_authorization: Option<String>,
    revocation: Option<String>,
}

impl Server {
    /// A server that publishes its endpoints. They are read before the first exchange, from
    /// `/.well-known/openid-configuration` (`OpenID` Connect Discovery 1.0 §4), or, if the server
    /// does not know that, from `/.well-known/oauth-authorization-server` (RFC 8414 §3). They are
    /// read anew after the server did not know one of them.
    ///
    /// The document has to name this issuer, character by character (RFC 8414 §3.3).
    pub fn issuer(issuer: impl Into<String>) -> Self {
        Self(Kind::Issuer(issuer.into()))
    }

    /// The server of a protected resource, which names it (RFC 9728).
    pub(super) fn of_resource(url: String) -> Self {
        Self(Kind::Resource(url))
    }

    /// Returns whether a resource says which server it is, and not the user. A client can register
    /// itself there.
    pub(super) fn is_named_by_resource(&self) -> bool {
        matches!(self.0, Kind::Resource(_))
    }

    /// Returns whether requests may go to this machine. If another machine says where they go, they
    /// may not.
    pub(super) fn local_hosts(&self, wire: &Wire) -> Result<LocalHosts, Error> {
        let is_remote = self.is_named_by_resource() && !wire.endpoint(self.url())?.is_local();
        Ok(if is_remote { LocalHosts::Refused } else { LocalHosts::Admitted })
    }

    /// A server that does not publish its endpoints. Requests for tokens go to `token_url`.
    pub fn endpoints(token_url: impl Into<String>) -> Self {
        let endpoints = ServerEndpoints {
            token: token_url.into(),
            authorization: None,
            device_authorization: None,
            revocation: None,
        };
        Self(Kind::Endpoints(endpoints))
    }

    /// Sets where a browser is sent to (RFC 6749 §3.1). An issuer names that itself.
    pub fn authorization_url(self, url: impl Into<String>) -> Self {
        self.with(|endpoints| endpoints.authorization = Some(url.into()))
    }

    /// Sets where device codes come from (RFC 8628 §3.1). An issuer names that itself.
    pub fn device_authorization_url(self, url: impl Into<String>) -> Self {
        self.with(|endpoints| endpoints.device_authorization = Some(url.into()))
    }

    /// Sets where refresh tokens are revoked (RFC 7009 §2). An issuer names that itself. Without
    /// it, the server is not told of a logout.
    pub fn revocation_url(self, url: impl Into<String>) -> Self {
        self.with(|endpoints| endpoints.revocation = Some(url.into()))
    }

    fn with(mut self, change: impl FnOnce(&mut ServerEndpoints)) -> Self {
        if let Kind::Endpoints(endpoints) = &mut self.0 {
            change(endpoints);
        }
        self
    }

    /// Returns the URL that stands for the server: its issuer, its resource, or its token endpoint.
    pub(super) fn url(&self) -> &str {
        match &self.0 {
            Kind::Issuer(url) | Kind::Resource(url) => url,
            Kind::Endpoints(endpoints) => &endpoints.token,
        }
    }

    /// Returns whether the server says who it is, which an ID token has to repeat.
    pub(super) fn has_issuer(&self) -> bool {
        !matches!(self.0, Kind::Endpoints(_))
    }

    /// Returns an error if credentials must not be sent to one of the URLs.
    pub(super) fn check(&self, wire: &Wire) -> Result<(), Error> {
        let urls: Vec<&String> = match &self.0 {
            Kind::Issuer(url) | Kind::Resource(url) => vec![url],
            Kind::Endpoints(ServerEndpoints { token, authorization, device_authorization, revocation }) => {
                [Some(token), authorization.as_ref(), device_authorization.as_ref(), revocation.as_ref()]
                    .into_iter()
                    .flatten()
                    .collect()
            }
        };
        urls.into_iter().try_for_each(|url| {
            wire.endpoint(url)?;
            parsed(url).map(drop)
        })
    }
}

impl<S: Into<String>> From<S> for Server {
    fn from(issuer: S) -> Self {
        Self::issuer(issuer)
    }
}

/// What a server has said of itself.
#[derive(Clone)]
pub(super) struct ServerFacts {
    pub(super) metadata: Arc<AuthorizationServerMetadata>,
    /// What the resource calls itself, if one has named the server.
    pub(super) resource: Option<String>,
    /// The scopes that it wants, if it has named any.
    pub(super) scope: Option<Vec<String>>,
}

/// What is known of the server.
pub(super) struct Discovery {
    server: Server,
    /// `None` before it was read. Held while it is read, so that it is read once.
    known: Mutex<Option<ServerFacts>>,
}

impl Discovery {
    pub(super) fn new(server: Server) -> Self {
        Self { server, known: Mutex::default() }
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the endpoints of the server. If they are not known, and a resource names several
    /// servers, the one that is `preferred` comes first. This has half of the time that the
    /// exchange has left, so that the time-out does not end the exchange while nothing was sent.
    pub(super) async fn known(&self, wire: &Wire, preferred: Option<&str>) -> Result<ServerFacts, Error> {
        let discovery = time_limit::before_request(async {
            let mut known = self.known.lock().await;
            if let Some(known) = &*known {
                return Ok(known.clone());
            }
            let (mut metadata, resource, scope) = match &self.server.0 {
                Kind::Issuer(issuer) => (discover(issuer, wire).await?, None, None),
                Kind::Resource(url) => {
                    let ResourceServer { resource, mut issuers, scope } = ResourceServer::discover(url, wire).await?;
                    issuers.sort_by_key(|issuer| preferred != Some(issuer));
                    (discover_any(&issuers, wire).await?, Some(resource), scope)
                }
                Kind::Endpoints(endpoints) => (endpoints.metadata()?, None, None),
            };
            if wire.connection() == TlsClient::Certified {
                add_aliases(&mut metadata);
            }
            Ok(known.insert(ServerFacts { metadata: Arc::new(metadata), resource, scope }).clone())
        });
        let known = discovery.await.unwrap_or_else(|waited| {
            let what = format!("the discovery was not answered within {:.1} s", waited.as_secs_f32());
            Err(Error::new(ErrorKind::Unanswered, what).at(self.server.url()))
        });
        known.map_err(|error| error.leaving_in_doubt(false))
    }

    /// Lets the endpoints be read anew if the server did not know the one that was asked.
    pub(super) async fn note(&self, error: &Error) {
        if matches!(error.status().map(|status| status.as_u16()), Some(404 | 405 | 410)) {
            self.known.lock().await.take();
        }
    }
}

/// Reads the document of the first of these issuers that has one. The error is that of the first.
async fn discover_any(issuers: &[String], wire: &Wire) -> Result<AuthorizationServerMetadata, Error> {
    let mut failure = None;
    for issuer in issuers {
        match discover(issuer, wire).await {
            Ok(metadata) => return Ok(metadata),
            Err(error) if matches!(error.kind(), ErrorKind::BadAnswer | ErrorKind::Configuration) => {
                failure = failure.or(Some(error));
            }
            // It may be back soon, and another one would need another login.
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| Error::new(ErrorKind::Configuration, "the resource names no authorization server")))
}

/// Reads the document of an issuer.
async fn discover(issuer: &str, wire: &Wire) -> Result<AuthorizationServerMetadata, Error> {
    let exchange = Exchange::discovery(wire);
    let fetched = AuthorizationServerMetadata::oidc_fetch().http_client(&exchange).issuer(issuer).call().await;
    let error = match fetched {
        Ok(metadata) => return Ok(metadata),
        Err(error) => exchange.discovery_failure(&error, issuer),
    };
    // A server without OpenID Connect answers that it does not know the first document.
    if !error.status().is_some_and(|status| status.is_client_error()) || error.is_transient() {
        return Err(error);
    }
    let exchange = Exchange::discovery(wire);
    let fetched = AuthorizationServerMetadata::fetch().http_client(&exchange).issuer(issuer).call().await;
    fetched.map_err(|error| exchange.discovery_failure(&error, issuer))
}

/// Adds the endpoints that only a client with a certificate has (RFC 8705 §5). Where it has one of
/// two, huskarl chooses.
fn add_aliases(metadata: &mut AuthorizationServerMetadata) {
    let Some(aliases) = &metadata.mtls_endpoint_aliases else { return };
    let endpoint = |usual: &mut Option<EndpointUrl>, alias: &Option<EndpointUrl>| {
        *usual = usual.take().or_else(|| alias.clone());
    };
    endpoint(&mut metadata.revocation_endpoint, &aliases.revocation_endpoint);
    endpoint(&mut metadata.device_authorization_endpoint, &aliases.device_authorization_endpoint);
}

impl ServerEndpoints {
    fn metadata(&self) -> Result<AuthorizationServerMetadata, Error> {
        let optional = |url: &Option<String>| url.as_deref().map(parsed).transpose();
        Ok(AuthorizationServerMetadata::builder()
            .issuer("")
            .token_endpoint(parsed(&self.token)?)
            .maybe_authorization_endpoint(optional(&self.authorization)?)
            .maybe_device_authorization_endpoint(optional(&self.device_authorization)?)
            .maybe_revocation_endpoint(optional(&self.revocation)?)
            .response_types_supported(vec!["code".to_owned()])
            .build())
    }
}

/// Parses the URL of an endpoint.
pub(super) fn parsed(url: &str) -> Result<EndpointUrl, Error> {
    url.parse().map_err(|_| {
        let error = Error::new(ErrorKind::Configuration, "this is not the URL of an endpoint").at(url);
        error.advising("leave out user, password and fragment (RFC 6749 §3.2)")
    })
}
