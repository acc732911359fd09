//! Who the client is, and how it proves that to the server (RFC 6749 §2.3).

use std::fmt;
use std::sync::Arc;

use huskarl::core::Error as ProtocolError;
use huskarl::core::client_auth::{
    AuthenticationContext, AuthenticationParams, ClientAuthentication, ClientSecret, NoAuth,
};
use huskarl::core::platform::MaybeSendBoxFuture;
use huskarl::core::secrets::{ProvidedSecret, SecretString};

use super::client_assertion::{AssertionForm, ClientAssertion};
use super::signing_key::SigningKey;
use crate::authenticator::http::ClientAuth;
use crate::error::Error;

/// The client, and its means to authenticate.
#[derive(Clone)]
pub(super) enum Client {
    /// By a secret, or not at all.
    Secret(ClientAuth),
    /// By a JWT that it signs (`private_key_jwt`, RFC 7523 §2.2).
    Key { id: String, key: SigningKey },
    /// By the certificate of its TLS connections (`tls_client_auth`, RFC 8705 §2).
    Certificate { id: String },
}

/// What huskarl is told of the client for one exchange.
pub(super) struct Authentication {
    pub(super) client_id: String,
    pub(super) method: Arc<dyn ClientAuthentication>,
    /// The names of the methods that huskarl may choose from (RFC 8414 §2). The user has chosen.
    pub(super) allowed: Vec<String>,
}

impl Client {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Secret(auth) => auth.id(),
            Self::Key { id, .. } | Self::Certificate { id } => id,
        }
    }

    /// Reads what the client authenticates with. An assertion has this form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SecretUnavailable`](crate::error::ErrorKind::SecretUnavailable) if it cannot be
    /// read.
    pub(super) async fn authentication(&self, form: AssertionForm) -> Result<Authentication, Error> {
        let (method, allowed): (Arc<dyn ClientAuthentication>, _) = match self {
            Self::Secret(auth) => match auth.secret() {
                None => (Arc::new(NoAuth), "none"),
                Some(secret) => {
                    let secret = SecretString::new(secret.read("client_secret").await?.expose());
                    let name = if auth.is_basic() { "client_secret_basic" } else { "client_secret_post" };
                    (Arc::new(ClientSecret::new(ProvidedSecret::new(secret))), name)
                }
            },
            Self::Key { key, .. } => {
                let audience = key.audience().map(str::to_owned);
                let assertion = ClientAssertion { signer: key.read().await?, audience, form };
                (Arc::new(assertion), "private_key_jwt")
            }
            Self::Certificate { .. } => (Arc::new(NoAuth), "tls_client_auth"),
        };
        Ok(Authentication { client_id: self.id().to_owned(), method, allowed: vec![allowed.to_owned()] })
    }
}

impl Authentication {
    /// Sends these beside what the client authenticates with, in each request for tokens.
    pub(super) fn with_parameters(self, parameters: Vec<(&'static str, String)>) -> Self {
        if parameters.is_empty() {
            return self;
        }
        Self { method: Arc::new(WithParameters { inner: self.method, parameters }), ..self }
    }
}

struct WithParameters {
    inner: Arc<dyn ClientAuthentication>,
    parameters: Vec<(&'static str, String)>,
}

impl ClientAuthentication for WithParameters {
    fn authenticates_client(&self) -> bool {
        self.inner.authenticates_client()
    }

    fn authentication_context<'a>(
        &'a self,
        context: AuthenticationContext<'a>,
    ) -> MaybeSendBoxFuture<'a, Result<AuthenticationParams<'a>, ProtocolError>> {
        Box::pin(async move {
            let mut params = self.inner.authentication_context(context).await?;
            let others = self.parameters.iter().map(|(name, value)| (*name, value.as_str().into()));
            params.form_params.get_or_insert_default().extend(others);
            Ok(params)
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(auth) => auth.fmt(f),
            Self::Certificate { id } => f.debug_struct("Certificate").field("id", id).finish(),
            Self::Key { id, key } => f.debug_struct("PrivateKey").field("id", id).field("key", key).finish(),
        }
    }
}
