//! What is asked of the server, and as whom.

use super::client::{Authentication, Client};
use super::grant::{Grant, GrantKind};
use crate::error::Error;

/// What was configured, apart from the server and the HTTP client.
#[derive(Debug)]
pub(super) struct OAuthSettings {
    pub(super) grant: Grant,
    pub(super) client: Option<Client>,
    pub(super) scope: Option<Vec<String>>,
    pub(super) audience: Option<String>,
    pub(super) resource: Option<Vec<String>>,
}

impl OAuthSettings {
    pub(super) fn new(grant: Grant) -> Self {
        Self { grant, client: None, scope: None, audience: None, resource: None }
    }

    /// Reads what the client authenticates with, if there is a client.
    pub(super) async fn authentication(&self, has_issuer: bool) -> Result<Option<Authentication>, Error> {
        match &self.client {
            Some(client) => client.authentication(has_issuer).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Grant {
    /// Returns whether the grant has a parameter `audience` of its own.
    pub(super) fn has_audience(&self) -> bool {
        matches!(self.0, GrantKind::TokenExchange(_))
    }
}
