//! `azure_identity`: a client secret. Its requests go to the stub: only `https` is allowed as the
//! address of an authority.

use std::hint::black_box;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core::http::{AsyncRawResponse, ClientOptions, HttpClient, Request, Transport, Url, new_http_client};
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use http::HeaderValue;

use crate::peer::{Answer, Calls, Peer};
use crate::server::TokenServer;
use crate::{Error, calls};

const SCOPES: &[&str] = &["https://management.azure.com/.default"];

/// The HTTP client that the crate uses by default, which sends to another address.
#[derive(Debug)]
struct Redirected {
    url: Url,
    inner: Arc<dyn HttpClient>,
}

#[async_trait::async_trait]
impl HttpClient for Redirected {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut request = request.clone();
        *request.url_mut() = self.url.clone();
        self.inner.execute_request(&request).await
    }
}

struct Azure(Arc<ClientSecretCredential>);

impl Azure {
    async fn make_header(&self) -> Result<HeaderValue, Error> {
        let token = self.0.get_token(SCOPES, None).await?;
        Ok(HeaderValue::from_str(&format!("Bearer {}", token.token.secret()))?)
    }
}

impl Peer for Azure {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(&self.0).get_token(SCOPES, None).await.is_ok())
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).make_header().await.is_ok())
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move { Ok(self.0.get_token(SCOPES, None).await.map(drop)?) })
    }
}

pub async fn make(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    let transport = Redirected { url: server.token_url().parse()?, inner: new_http_client(None) };
    let client_options = ClientOptions { transport: Some(Transport::new(Arc::new(transport))), ..Default::default() };
    let options = ClientSecretCredentialOptions { client_options };
    let credential = ClientSecretCredential::new("tenant", "client".to_owned(), "secret".into(), Some(options))?;
    Ok(Arc::new(Azure(credential)))
}
