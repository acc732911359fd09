//! Who the client is, and how it proves that to the server (RFC 6749 §2.3).

use std::fmt;
use std::sync::Arc;

use huskarl::core::Error as ProtocolError;
use huskarl::core::client_auth::{
    Audience, AuthenticationContext, AuthenticationParams, ClientAuthentication, ClientSecret, JwtBearer, NoAuth,
};
use huskarl::core::platform::MaybeSendBoxFuture;
use huskarl::core::secrets::{ProvidedSecret, SecretString};

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
            Self::Key { id, .. } => id,
        }
    }

    /// Reads what the client authenticates with. An assertion is for the issuer, if it is known:
    /// one for the token endpoint could be used by a server that names the endpoint of another one
    /// as its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SecretUnavailable`](crate::error::ErrorKind::SecretUnavailable) if it cannot be
    /// read.
    pub(super) async fn authentication(&self, has_issuer: bool) -> Result<Authentication, Error> {
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
                let audience = match key.audience() {
                    Some(audience) => Audience::Custom(audience.into()),
                    None if has_issuer => Audience::Issuer,
                    None => Audience::TargetEndpoint,
                };
                let assertion = JwtBearer::builder().signer(key.read().await?).audience(audience).build();
                (Arc::new(assertion), "private_key_jwt")
            }
        };
        Ok(Authentication { client_id: self.id().to_owned(), method, allowed: vec![allowed.to_owned()] })
    }
}

impl Authentication {
    /// Sends `audience` beside what the client authenticates with, in each request for tokens. No
    /// RFC has that parameter for other grants than the token exchange, so huskarl does not know it
    /// there.
    pub(super) fn with_audience(self, audience: Option<&str>) -> Self {
        let Some(audience) = audience else { return self };
        let method = WithAudience { inner: self.method, audience: audience.to_owned() };
        Self { method: Arc::new(method), ..self }
    }
}

struct WithAudience {
    inner: Arc<dyn ClientAuthentication>,
    audience: String,
}

impl ClientAuthentication for WithAudience {
    fn authenticates_client(&self) -> bool {
        self.inner.authenticates_client()
    }

    fn authentication_context<'a>(
        &'a self,
        context: AuthenticationContext<'a>,
    ) -> MaybeSendBoxFuture<'a, Result<AuthenticationParams<'a>, ProtocolError>> {
        Box::pin(async move {
            let mut params = self.inner.authentication_context(context).await?;
            params.form_params.get_or_insert_default().push(("audience", self.audience.as_str().into()));
            Ok(params)
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(auth) => auth.fmt(f),
            Self::Key { id, key } => f.debug_struct("PrivateKey").field("id", id).field("key", key).finish(),
        }
    }
}
