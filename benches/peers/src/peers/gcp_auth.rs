//! `gcp_auth`: a service account.

use std::hint::black_box;
use std::sync::Arc;

use gcp_auth::{CustomServiceAccount, TokenProvider};
use http::HeaderValue;

use super::service_account;
use crate::peer::{Answer, Calls, Peer};
use crate::server::TokenServer;
use crate::{Error, calls};

const SCOPES: &[&str] = &["https://www.googleapis.com/auth/cloud-platform"];

struct GcpAuth(CustomServiceAccount);

impl GcpAuth {
    async fn make_header(&self) -> Result<HeaderValue, Error> {
        let token = self.0.token(SCOPES).await?;
        Ok(HeaderValue::from_str(&format!("Bearer {}", token.as_str()))?)
    }
}

impl Peer for GcpAuth {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(&self.0).token(SCOPES).await.is_ok())
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).make_header().await.is_ok())
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move { Ok(self.0.token(SCOPES).await.map(drop)?) })
    }
}

pub async fn make(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    Ok(Arc::new(GcpAuth(CustomServiceAccount::from_json(&service_account::json(&server)?)?)))
}
