//! What is asked of the server, and as whom.

use std::mem;
use std::time::Duration;

use super::client::{Authentication, Client};
use super::client_assertion::AssertionForm;
use super::grant::{Grant, GrantKind};
use super::server::ServerFacts;
use crate::error::Error;

/// What was configured, apart from the server and the HTTP client.
#[derive(Clone, Debug)]
pub(super) struct OAuthSettings {
    pub(super) grant: Grant,
    pub(super) client: Option<Client>,
    pub(super) assertion_form: AssertionForm,
    pub(super) scope: Option<Vec<String>>,
    /// The scopes that a step-up asks for beside those of the login.
    pub(super) further_scopes: Vec<String>,
    pub(super) audience: Option<String>,
    pub(super) resource: Option<Vec<String>>,
    /// The resources of the login that its first access token is not for.
    pub(super) other_resources: Vec<String>,
    /// What the person has to log in by, the best first (`OpenID` Connect Core 1.0 §3.1.2.1).
    pub(super) acr_values: Option<Vec<String>>,
    /// How long ago the person may have logged in.
    pub(super) max_age: Option<Duration>,
    /// The claims that a token has to have (`OpenID` Connect Core 1.0 §5.5).
    pub(super) claims: Option<String>,
    /// Whether a login makes a key that the tokens are bound to (RFC 9449).
    pub(super) dpop: bool,
    /// Whether tokens are bound to the certificate of the client, however it authenticates (RFC
    /// 8705 §3).
    pub(super) certificate_bound: bool,
}

impl OAuthSettings {
    pub(super) fn new(grant: Grant) -> Self {
        Self {
            grant,
            client: None,
            assertion_form: AssertionForm::default(),
            scope: None,
            further_scopes: Vec::new(),
            audience: None,
            resource: None,
            other_resources: Vec::new(),
            acr_values: None,
            max_age: None,
            claims: None,
            dpop: false,
            certificate_bound: false,
        }
    }

    /// Returns the settings with what the resource has said, if one has named the server: the
    /// scopes that it wants, unless others are named, and what it calls itself.
    pub(super) fn for_server(&self, facts: &ServerFacts) -> Self {
        let mut settings = self.clone();
        let scopes = settings.scope.or_else(|| facts.scope.clone()).unwrap_or_default();
        let further = mem::take(&mut settings.further_scopes).into_iter().filter(|scope| !scopes.contains(scope));
        let further: Vec<_> = further.collect();
        settings.scope = Some([scopes, further].concat()).filter(|scopes| !scopes.is_empty());
        let resources = facts.resource.iter().chain(settings.resource.iter().flatten()).cloned().collect();
        settings.resource = Some(resources).filter(|resources: &Vec<_>| !resources.is_empty());
        settings
    }

    /// Returns the resources that a person is asked for.
    pub(super) fn authorized_resources(&self) -> Option<Vec<String>> {
        let all: Vec<_> = self.resource.iter().flatten().chain(&self.other_resources).cloned().collect();
        Some(all).filter(|all| !all.is_empty())
    }

    /// Returns the parameters of a login that huskarl does not know: no RFC has `audience` for
    /// other grants than the token exchange, nor `claims` for requests to the token endpoint.
    pub(super) fn other_parameters(&self) -> Vec<(&'static str, String)> {
        let parameters = [("audience", &self.audience), ("claims", &self.claims)];
        let is_known = |name: &str| name == "audience" && self.grant.has_audience();
        let set = parameters.into_iter().filter(|(name, _)| !is_known(name));
        set.filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }

    /// Returns whether the client authenticates by its certificate.
    pub(super) fn has_certificate(&self) -> bool {
        matches!(self.client, Some(Client::Certificate { .. }))
    }

    /// Reads what the client authenticates with, if there is a client.
    pub(super) async fn authentication(&self) -> Result<Option<Authentication>, Error> {
        match &self.client {
            Some(client) => client.authentication(self.assertion_form).await.map(Some),
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
