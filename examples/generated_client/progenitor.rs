//! A client for `openapi.json` in the shape that progenitor gives it, written by hand and cut to
//! what the example needs: `generate_api!(spec = "openapi.json", inner_type = Session)`. The trait
//! stands for `progenitor_client::ClientHooks`.

use jwt_refresh::{ExecuteError, Session};
use reqwest::{Request, Response};
use serde::Deserialize;

#[expect(clippy::struct_field_names, reason = "progenitor's names")]
pub(super) struct Client {
    pub(super) baseurl: String,
    pub(super) client: reqwest::Client,
    pub(super) inner: Session,
}

#[derive(Deserialize)]
pub(super) struct Product {
    pub(super) id: i64,
    pub(super) name: String,
}

trait ClientHooks {
    async fn exec(&self, request: Request) -> reqwest::Result<Response>;
}

impl Client {
    pub(super) async fn get_product(&self, id: i64) -> reqwest::Result<Product> {
        let request = self.client.get(format!("{}/api/v1/products/{id}", self.baseurl)).build()?;
        self.exec(request).await?.error_for_status()?.json().await
    }
}

// This is the part that you write.
impl ClientHooks for Client {
    async fn exec(&self, request: Request) -> reqwest::Result<Response> {
        match self.inner.execute(&self.client, request).await {
            Ok(response) => Ok(response),
            Err(ExecuteError::Http(error)) => Err(error),
            // The hook's error is reqwest's, so what keeps the session from having a token is told
            // as the answer that a request without one would get.
            Err(error) => {
                let mut response = http::Response::new(format!("{error}: {:?}", std::error::Error::source(&error)));
                *response.status_mut() = http::StatusCode::UNAUTHORIZED;
                Ok(response.into())
            }
        }
    }
}
