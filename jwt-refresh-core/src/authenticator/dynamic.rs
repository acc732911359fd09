//! Authenticators behind a trait object.

use std::sync::Arc;

use super::Authenticator;
#[cfg(feature = "reqwest")]
use super::http_client::HttpClient;
use crate::error::Error;
use crate::provider::{BoxFuture, Renewal};
use crate::token::{RefreshToken, Tokens};

/// An [`Authenticator`] behind a trait object, so that a session need not know its type.
pub(crate) trait DynAuthenticator: Send + Sync {
    fn server_id(&self) -> Option<String>;
    fn login(self: Arc<Self>) -> Renewal<Tokens>;
    fn refresh(self: Arc<Self>, token: RefreshToken) -> Renewal<Tokens>;
    fn probe(self: Arc<Self>) -> BoxFuture<'static, Option<Result<(), Error>>>;
    fn revoke(self: Arc<Self>, token: RefreshToken) -> Renewal<()>;
    #[cfg(feature = "reqwest")]
    fn with_client(&self, client: &HttpClient) -> Result<Arc<dyn DynAuthenticator>, Error>;
}

impl<A: Authenticator> DynAuthenticator for A {
    fn server_id(&self) -> Option<String> {
        A::server_id(self)
    }

    fn login(self: Arc<Self>) -> Renewal<Tokens> {
        Box::pin(async move { A::login(&self).await })
    }

    fn refresh(self: Arc<Self>, token: RefreshToken) -> Renewal<Tokens> {
        Box::pin(async move { A::refresh(&self, &token).await })
    }

    fn probe(self: Arc<Self>) -> BoxFuture<'static, Option<Result<(), Error>>> {
        Box::pin(async move { A::probe(&self).await })
    }

    fn revoke(self: Arc<Self>, token: RefreshToken) -> Renewal<()> {
        Box::pin(async move { A::revoke(&self, &token).await })
    }

    #[cfg(feature = "reqwest")]
    fn with_client(&self, client: &HttpClient) -> Result<Arc<dyn DynAuthenticator>, Error> {
        Ok(Arc::new(A::with_client(self, client)?))
    }
}
