//! The requests of each grant, which huskarl makes.

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
use super::settings::OAuthSettings;
use super::wire::Wire;
use crate::authenticator::http::SecretSource;
use crate::error::{Error, ErrorKind};
use crate::token::{RefreshToken, Tokens};

/// One exchange with a server.
pub(super) struct TokenRequest<'a> {
    pub(super) wire: &'a Wire,
    pub(super) settings: &'a OAuthSettings,
    /// The server, with the method by which the client authenticates as its only one.
    pub(super) metadata: AuthorizationServerMetadata,
    pub(super) authentication: Option<Authentication>,
}

impl<'a> TokenRequest<'a> {
    /// Reads the secrets that the request sends.
    pub(super) async fn new(
        wire: &'a Wire,
        settings: &'a OAuthSettings,
        metadata: &AuthorizationServerMetadata,
    ) -> Result<Self, Error> {
        // That of a server whose endpoints were named is empty.
        let has_issuer = !metadata.issuer.is_empty();
        let (authentication, mut metadata) = (settings.authentication(has_issuer).await?, metadata.clone());
        if let Some(authentication) = &authentication {
            metadata.token_endpoint_auth_methods_supported.clone_from(&authentication.allowed);
            metadata.revocation_endpoint_auth_methods_supported.clone_from(&authentication.allowed);
        }
        Ok(Self { wire, settings, metadata, authentication })
    }

    pub(super) async fn log_in(self) -> Result<Tokens, Error> {
        match &self.settings.grant.0 {
            GrantKind::ClientCredentials => self.client_credentials().await,
            GrantKind::JwtBearer(assertion) => self.jwt_bearer(assertion).await,
            GrantKind::TokenExchange(exchange) => self.token_exchange(exchange).await,
            GrantKind::AuthorizationCode(wanted) => self.authorization_code(wanted).await,
            GrantKind::DeviceCode(show) => self.device_code(&**show).await,
            GrantKind::RefreshOnly => Err(Error::login_unavailable()),
        }
    }

    async fn client_credentials(self) -> Result<Tokens, Error> {
        let (exchange, settings) = (Exchange::login(self.wire), self.settings);
        let (metadata, client) = self.identified()?;
        let client = client.with_audience(settings.audience.as_deref());
        let grant = ClientCredentialsGrant::builder_from_metadata(&metadata)
            .client_id(client.client_id)
            .client_auth(client.method)
            .http_client(exchange.clone())
            .build();
        let parameters = ClientCredentialsGrantParameters::builder()
            .maybe_scope(settings.scope.clone())
            .maybe_resource(settings.resource.clone())
            .build();
        exchange.tokens(grant.exchange(parameters).await)
    }

    async fn jwt_bearer(self, assertion: &SecretSource) -> Result<Tokens, Error> {
        let (exchange, settings) = (Exchange::login(self.wire), self.settings);
        let assertion = secret("assertion", assertion).await?;
        let client = self.authentication.map(|client| client.with_audience(settings.audience.as_deref()));
        let (client_id, method) = client.map(|client| (client.client_id, client.method)).unzip();
        let grant = JwtBearerGrant::builder_from_metadata(&self.metadata)
            .maybe_client_id(client_id)
            .maybe_client_auth(method)
            .http_client(exchange.clone())
            .build();
        let parameters = JwtBearerGrantParameters::builder()
            .assertion(assertion)
            .maybe_scope(settings.scope.clone())
            .maybe_resource(settings.resource.clone())
            .build();
        exchange.tokens(grant.exchange(parameters).await)
    }

    async fn token_exchange(self, wanted: &TokenExchange) -> Result<Tokens, Error> {
        let (exchange, settings) = (Exchange::login(self.wire), self.settings);
        let subject = security_token("subject_token", &wanted.subject).await?;
        let actor = match &wanted.actor {
            Some(actor) => Some(security_token("actor_token", actor).await?),
            None => None,
        };
        let (client_id, method) = self.authentication.map(|client| (client.client_id, client.method)).unzip();
        let grant = TokenExchangeGrant::builder_from_metadata(&self.metadata)
            .maybe_client_id(client_id)
            .maybe_client_auth(method)
            .http_client(exchange.clone())
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

    /// Refreshes (RFC 6749 §6).
    pub(super) async fn refresh(self, token: &RefreshToken) -> Result<Tokens, Error> {
        let (exchange, settings) = (Exchange::refresh(self.wire), self.settings);
        let client = self.authentication.map(|client| client.with_audience(settings.audience.as_deref()));
        let (client_id, method) = client.map(|client| (client.client_id, client.method)).unzip();
        let grant = RefreshGrant::builder_from_metadata(&self.metadata)
            .maybe_client_id(client_id)
            .maybe_client_auth(method)
            .http_client(exchange.clone())
            .build();
        let parameters = RefreshGrantParameters::builder()
            .refresh_token(issued(token))
            .maybe_resource(settings.resource.clone())
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
