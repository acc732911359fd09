//! Authenticators behind a trait object.

use std::sync::Arc;

use super::Authenticator;
#[cfg(feature = "reqwest")]
use super::http_client::HttpClient;
use crate::error::Error;
use crate::provider::{BoxFuture, Renewal};
use crate::send::Challenge;
use crate::token::{AccessParameters, RefreshToken, Tokens};

/// An [`Authenticator`] behind a trait object, so that a session need not know its type.
pub(crate) trait DynAuthenticator: Send + Sync {
    fn server_id(&self) -> Option<String>;
    fn login(self: Arc<Self>) -> Renewal<Tokens>;
    fn refresh(self: Arc<Self>, token: RefreshToken) -> Renewal<Tokens>;
    fn refresh_for(self: Arc<Self>, token: RefreshToken, parameters: AccessParameters) -> Renewal<Tokens>;
    fn probe(self: Arc<Self>) -> BoxFuture<'static, Option<Result<(), Error>>>;
    fn revoke(self: Arc<Self>, token: RefreshToken) -> Renewal<()>;
    fn step_up(&self, challenge: &Challenge) -> Result<Arc<dyn DynAuthenticator>, Error>;
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

    fn refresh_for(self: Arc<Self>, token: RefreshToken, parameters: AccessParameters) -> Renewal<Tokens> {
        Box::pin(async move { A::refresh_for(&self, &token, &parameters).await })
    }

    fn probe(self: Arc<Self>) -> BoxFuture<'static, Option<Result<(), Error>>> {
        Box::pin(async move { A::probe(&self).await })
    }

    fn revoke(self: Arc<Self>, token: RefreshToken) -> Renewal<()> {
        Box::pin(async move { A::revoke(&self, &token).await })
    }

    fn step_up(&self, challenge: &Challenge) -> Result<Arc<dyn DynAuthenticator>, Error> {
        Ok(Arc::new(A::step_up(self, challenge)?))
    }

    #[cfg(feature = "reqwest")]
    fn with_client(&self, client: &HttpClient) -> Result<Arc<dyn DynAuthenticator>, Error> {
        Ok(Arc::new(A::with_client(self, client)?))
    }
}
