//! Clients that register themselves (RFC 7591).

use huskarl::core::server_metadata::AuthorizationServerMetadata;
use huskarl::registration::{ClientMetadata, ClientRegistration};
use tokio::sync::Mutex;

use super::browser::nobody_came_back;
use super::exchange::Exchange;
use super::grant::{Grant, GrantKind};
use super::wire::Wire;
use crate::error::{Error, ErrorKind};

/// The client that the server knows. Clones of an authenticator have one.
#[derive(Default)]
pub(super) struct Registration(Mutex<RegisteredClients>);

#[derive(Default)]
struct RegisteredClients {
    known: Option<RegisteredClient>,
    /// The last one that the server has forgotten.
    forgotten: Option<RegisteredClient>,
}

/// A client that has registered itself. Its ID says nothing to another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RegisteredClient {
    pub(super) issuer: String,
    pub(super) id: String,
}

impl Registration {
    /// Returns the client that the server knows, or that of a new registration. There is one
    /// registration at a time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if the server registers no clients, or none without a secret.
    pub(super) async fn client(
        &self,
        grant: &Grant,
        metadata: &AuthorizationServerMetadata,
        wire: &Wire,
    ) -> Result<RegisteredClient, Error> {
        let mut clients = self.0.lock().await;
        if let Some(known) = clients.known.as_ref().filter(|known| known.issuer == metadata.issuer) {
            return Ok(known.clone());
        }
        let id = register(grant, metadata, wire).await?;
        Ok(clients.known.insert(RegisteredClient { issuer: metadata.issuer.clone(), id }).clone())
    }

    /// Takes the client that a refresh token was issued to for the one that the server knows,
    /// unless there is one already, or the server has forgotten it.
    pub(super) async fn recall(&self, client: &RegisteredClient) {
        let mut clients = self.0.lock().await;
        let is_known = clients.known.as_ref().is_some_and(|known| known.issuer == client.issuer);
        if !is_known && clients.forgotten.as_ref() != Some(client) {
            clients.known = Some(client.clone());
        }
    }

    /// Lets the next login register anew if `error` is that of a client which the server does not
    /// know any more. It may say so to the person in the browser alone, who then does not come
    /// back.
    pub(super) async fn note(&self, client: &RegisteredClient, error: &Error) {
        let is_refused = matches!(error.code(), Some("invalid_client" | "unauthorized_client"));
        if !is_refused && !nobody_came_back(error) {
            return;
        }
        let mut clients = self.0.lock().await;
        if clients.known.as_ref() == Some(client) {
            clients.forgotten = clients.known.take();
        }
    }
}

async fn register(grant: &Grant, metadata: &AuthorizationServerMetadata, wire: &Wire) -> Result<String, Error> {
    let registration = ClientRegistration::builder_from_metadata(metadata).map_err(|_| {
        let error = Error::new(ErrorKind::Configuration, "the server registers no clients by itself (RFC 7591)");
        error.at(&metadata.issuer).advising("register a client there, and name it by `client_auth`")
    })?;
    let exchange = Exchange::registration(wire);
    let wanted = wanted(grant);
    let answer = registration.build().register(&exchange, &wanted).await;
    let answer = answer.map_err(|error| exchange.registration_failure(&error))?;
    match (answer.metadata.token_endpoint_auth_method.as_deref(), &answer.client_secret) {
        (Some("none"), _) | (None, None) => Ok(answer.client_id),
        // RFC 7591 §2: without a word it is `client_secret_basic`.
        _ => {
            let error = Error::new(ErrorKind::Configuration, "the server registers no client without a secret");
            Err(error.at(&metadata.issuer).advising("register a client there, and name it by `client_auth`"))
        }
    }
}

/// What the client is: a program on a person's machine, without a secret.
fn wanted(grant: &Grant) -> ClientMetadata {
    let (redirect_uris, grant_type, response_types) = match &grant.0 {
        GrantKind::AuthorizationCode(wanted) => (vec![wanted.redirect_uri.clone()], "authorization_code", vec!["code"]),
        _ => (Vec::new(), "urn:ietf:params:oauth:grant-type:device_code", Vec::new()),
    };
    ClientMetadata::builder()
        .redirect_uris(redirect_uris)
        .token_endpoint_auth_method("none")
        .grant_types(vec![grant_type.to_owned(), "refresh_token".to_owned()])
        .response_types(response_types.into_iter().map(str::to_owned).collect())
        .client_name(env!("CARGO_PKG_NAME").trim_end_matches("-core"))
        .application_type("native")
        .build()
}
