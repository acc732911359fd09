//! `middle`: client credentials, refreshed by a task in the background.

use std::hint::black_box;
use std::sync::Arc;

use http::HeaderValue;
use middle::{Authorizer, BasicClientCredentialAuthorizer};

use crate::peer::{Answer, Calls, Peer};
use crate::server::TokenServer;
use crate::{Error, calls};

struct Middle(BasicClientCredentialAuthorizer);

impl Middle {
    /// As its own client does it.
    fn make_header(&self) -> Result<HeaderValue, Error> {
        Ok(Arc::unwrap_or_clone(self.0.authorization_header()?))
    }
}

impl Peer for Middle {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(&self.0).authorization_header().is_ok())
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).make_header().is_ok())
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move { self.make_header().map(drop) })
    }
}

pub async fn make(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    let url = server.token_url().parse()?;
    Ok(Arc::new(Middle(BasicClientCredentialAuthorizer::basic_builder("client", "secret", url).build().await?)))
}
