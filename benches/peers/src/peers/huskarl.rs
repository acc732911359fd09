//! `huskarl`: its cache in memory over client credentials, and its authorizer on top of that. Its
//! header is the map that the authorizer gives for a request.

use std::hint::black_box;
use std::sync::Arc;

use http::{Method, Uri};
use huskarl::authorizer::HttpAuthorizer;
use huskarl::cache::{GrantTokenSource, InMemoryRefreshTokenStore, InMemoryTokenCache};
use huskarl::core::client_auth::NoAuth;
use huskarl::grant::client_credentials::{ClientCredentialsGrant, ClientCredentialsGrantParameters};
use huskarl_reqwest::ReqwestClient;

use crate::peer::{Answer, Calls, Peer};
use crate::server::TokenServer;
use crate::{Error, calls};

struct Huskarl {
    authorizer: HttpAuthorizer,
    uri: Uri,
}

impl Peer for Huskarl {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(&self.authorizer).cache().token().await.is_ok())
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(&self.authorizer).get_headers(&Method::GET, &self.uri).await.is_ok())
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move { Ok(self.authorizer.get_headers(&Method::GET, &self.uri).await.map(drop)?) })
    }
}

pub async fn make(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    let grant = ClientCredentialsGrant::builder()
        .client_id("client")
        .client_auth(NoAuth)
        .token_endpoint(server.token_url().parse()?)
        .http_client(ReqwestClient::from(reqwest::Client::new()))
        .build();
    let source = GrantTokenSource::builder()
        .grant(grant)
        .grant_parameters(ClientCredentialsGrantParameters::builder().build())
        .refresh_store(InMemoryRefreshTokenStore::default())
        .build();
    let cache = InMemoryTokenCache::builder().source(source).build();
    let authorizer = HttpAuthorizer::builder().cache(cache).build();
    Ok(Arc::new(Huskarl { authorizer, uri: Uri::from_static("https://api.example/products/1") }))
}
