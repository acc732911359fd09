//! The requests of each grant, which huskarl makes.

use std::sync::Arc;

use huskarl::core::dpop::AuthorizationServerDPoP;
use huskarl::core::secrets::SecretString;
use huskarl::core::server_metadata::AuthorizationServerMetadata;
use huskarl::grant::client_credentials::{ClientCredentialsGrant, ClientCredentialsGrantParameters};
use huskarl::grant::core::OAuth2ExchangeGrant;
use huskarl::grant::jwt_bearer::{JwtBearerGrant, JwtBearerGrantParameters};
use huskarl::grant::refresh::{RefreshGrant, RefreshGrantParameters};
use huskarl::grant::token_exchange::{
    SecurityToken, SecurityTokenType, TokenExchangeGrant, TokenExchangeGrantParameters,
};
use huskarl::revocation::TokenRevocation;
use huskarl::token::RefreshToken as IssuedRefreshToken;

use super::client::Authentication;
use super::exchange::Exchange;
use super::grant::{GrantKind, TokenExchange, TokenType};
use super::service_account::ServiceAccount;
use super::settings::OAuthSettings;
use super::wire::Wire;
use crate::authenticator::http::SecretSource;
use crate::error::{Error, ErrorKind};
use crate::token::{AccessParameters, RefreshToken, Tokens};

/// One exchange with a server.
pub(super) struct TokenRequest<'a> {
    pub(super) wire: &'a Wire,
    pub(super) settings: &'a OAuthSettings,
    /// The server, with the method by which the client authenticates as its only one.
    pub(super) metadata: AuthorizationServerMetadata,
    pub(super) authentication: Option<Authentication>,
    /// What makes the proofs of its requests (RFC 9449), if they have any.
    pub(super) dpop: Arc<dyn AuthorizationServerDPoP>,
}

impl<'a> TokenRequest<'a> {
    /// Reads the secrets that the request sends.
    pub(super) async fn new(
        wire: &'a Wire,
        settings: &'a OAuthSettings,
        metadata: &AuthorizationServerMetadata,
        dpop: Arc<dyn AuthorizationServerDPoP>,
    ) -> Result<Self, Error> {
        let (authentication, mut metadata) = (settings.authentication().await?, metadata.clone());
        if let Some(authentication) = &authentication {
            metadata.token_endpoint_auth_methods_supported.clone_from(&authentication.allowed);
            metadata.revocation_endpoint_auth_methods_supported.clone_from(&authentication.allowed);
        }
        Ok(Self { wire, settings, metadata, authentication, dpop })
    }

    pub(super) async fn log_in(self) -> Result<Tokens, Error> {
        match &self.settings.grant.0 {
            GrantKind::ClientCredentials => self.client_credentials().await,
            GrantKind::JwtBearer(assertion) => {
                let (assertion, scope) = (secret("assertion", assertion).await?, self.settings.scope.clone());
                self.jwt_bearer(assertion, scope).await
            }
            GrantKind::ServiceAccount(account) => self.service_account(account).await,
            GrantKind::TokenExchange(exchange) => self.token_exchange(exchange).await,
            GrantKind::AuthorizationCode(wanted) => Box::pin(self.authorization_code(wanted)).await,
            GrantKind::DeviceCode(show) => self.device_code(&**show).await,
            GrantKind::RefreshOnly => Err(Error::login_unavailable()),
        }
    }

    async fn client_credentials(self) -> Result<Tokens, Error> {
        let (exchange, settings, dpop) = (Exchange::login(self.wire), self.settings, Arc::clone(&self.dpop));
        let (metadata, client) = self.identified()?;
        let client = client.with_parameters(settings.other_parameters());
        let grant = ClientCredentialsGrant::builder_from_metadata(&metadata)
            .client_id(client.client_id)
            .client_auth(client.method)
            .http_client(exchange.clone())
            .dpop(dpop)
            .clock(exchange.time())
            .build();
        let parameters = ClientCredentialsGrantParameters::builder()
            .maybe_scope(settings.scope.clone())
            .maybe_resource(settings.resource.clone())
            .build();
        exchange.tokens(grant.exchange(parameters).await)
    }

    /// Sends an assertion to the endpoint that the key is for. The scopes are in it.
    async fn service_account(mut self, account: &ServiceAccount) -> Result<Tokens, Error> {
        let key = account.read().await?;
        let assertion = key.assertion(self.settings.scope.as_deref()).await?;
        self.metadata.token_endpoint = key.token_endpoint;
        self.jwt_bearer(assertion, None).await
    }

    async fn jwt_bearer(self, assertion: SecretString, scope: Option<Vec<String>>) -> Result<Tokens, Error> {
        let (exchange, settings, dpop) = (Exchange::login(self.wire), self.settings, self.dpop);
        let client = self.authentication.map(|client| client.with_parameters(settings.other_parameters()));
        let (client_id, method) = client.map(|client| (client.client_id, client.method)).unzip();
        let grant = JwtBearerGrant::builder_from_metadata(&self.metadata)
            .maybe_client_id(client_id)
            .maybe_client_auth(method)
            .http_client(exchange.clone())
            .dpop(dpop)
            .clock(exchange.time())
            .build();
        let parameters = JwtBearerGrantParameters::builder()
            .assertion(assertion)
            .maybe_scope(scope)
            .maybe_resource(settings.resource.clone())
            .build();
        exchange.tokens(grant.exchange(parameters).await)
    }

    async fn token_exchange(self, wanted: &TokenExchange) -> Result<Tokens, Error> {
        let (exchange, settings, dpop) = (Exchange::login(self.wire), self.settings, self.dpop);
        let subject = security_token("subject_token", &wanted.subject).await?;
        let actor = match &wanted.actor {
            Some(actor) => Some(security_token("actor_token", actor).await?),
            None => None,
        };
        let client = self.authentication.map(|client| client.with_parameters(settings.other_parameters()));
        let (client_id, method) = client.map(|client| (client.client_id, client.method)).unzip();
        let grant = TokenExchangeGrant::builder_from_metadata(&self.metadata)
            .maybe_client_id(client_id)
            .maybe_client_auth(method)
            .http_client(exchange.clone())
            .dpop(dpop)
            .clock(exchange.time())
            .build();
        let parameters = TokenExchangeGrantParameters::builder()
            .subject(subject)
            .maybe_actor(actor)
            .maybe_requested_token_type(wanted.requested.as_ref().map(TokenType::as_str))
            .maybe_audience(settings.audience.clone())
            .maybe_scope(settings.scope.clone())
            .maybe_resource(settings.resource.clone())
            .build();
        exchange.tokens(grant.exchange(parameters).await)
    }

    /// Refreshes (RFC 6749 §6), for these parameters in place of those of the login if there are
    /// any.
    pub(super) async fn refresh(
        self,
        token: &RefreshToken,
        parameters: Option<&AccessParameters>,
    ) -> Result<Tokens, Error> {
        let (exchange, settings, dpop) = (Exchange::refresh(self.wire), self.settings, self.dpop);
        let owned = |words: Vec<&str>| {
            Some(words.into_iter().map(str::to_owned).collect::<Vec<_>>()).filter(|words| !words.is_empty())
        };
        let (audience, resource, scope) = match parameters {
            None => (settings.audience.as_deref(), settings.resource.clone(), None),
            Some(wanted) => (wanted.audience(), owned(wanted.resources().collect()), owned(wanted.scopes().collect())),
        };
        let audience = audience.map(|audience| ("audience", audience.to_owned())).into_iter().collect();
        let client = self.authentication.map(|client| client.with_parameters(audience));
        let (client_id, method) = client.map(|client| (client.client_id, client.method)).unzip();
        let grant = RefreshGrant::builder_from_metadata(&self.metadata)
            .maybe_client_id(client_id)
            .maybe_client_auth(method)
            .http_client(exchange.clone())
            .dpop(dpop)
            .clock(exchange.time())
            .build();
        let parameters = RefreshGrantParameters::builder()
            .refresh_token(issued(token))
            .maybe_resource(resource)
            .maybe_scope(scope)
            .build();
        exchange.tokens(grant.exchange(parameters).await)
    }

    /// Revokes a refresh token (RFC 7009), if the server can.
    pub(super) async fn revoke(self, token: &RefreshToken) -> Result<(), Error> {
        let exchange = Exchange::revocation(self.wire);
        // The client need not authenticate for each grant, but for a revocation (RFC 7009 §2.1).
        if self.metadata.revocation_endpoint.is_none() || self.authentication.is_none() {
            return Ok(());
        }
        let (metadata, client) = self.identified()?;
        let revocation = TokenRevocation::builder_from_metadata(&metadata)
            .map_err(|error| exchange.failure(&error))?
            .client_id(client.client_id)
            .client_auth(client.method)
            .clock(exchange.time())
            .build();
        revocation.revoke(&exchange, &issued(token)).await.map_err(|error| exchange.failure(&error))
    }

    /// Returns the server, and the client, which the grant needs.
    pub(super) fn identified(self) -> Result<(AuthorizationServerMetadata, Authentication), Error> {
        let missing = || Error::new(ErrorKind::Configuration, "the grant needs a client");
        Ok((self.metadata, self.authentication.ok_or_else(missing)?))
    }
}

async fn secret(name: &str, source: &SecretSource) -> Result<SecretString, Error> {
    Ok(SecretString::new(source.read(name).await?.expose()))
}

async fn security_token(name: &str, (source, token_type): &(SecretSource, TokenType)) -> Result<SecurityToken, Error> {
    let token = secret(name, source).await?;
    let token_type = SecurityTokenType::Other(token_type.as_str().to_owned());
    Ok(SecurityToken::builder().token(token).token_type(token_type).build())
}

fn issued(token: &RefreshToken) -> IssuedRefreshToken {
    IssuedRefreshToken::new(SecretString::new(token.expose()), None)
}
