//! `yup-oauth2`: a service account.

use std::hint::black_box;
use std::sync::Arc;

use http::HeaderValue;
use yup_oauth2::authenticator::DefaultAuthenticator;
use yup_oauth2::{ServiceAccountAuthenticator, parse_service_account_key};

use super::service_account;
use crate::peer::{Answer, Calls, Peer};
use crate::server::TokenServer;
use crate::{Error, calls};

const SCOPES: &[&str] = &["https://www.googleapis.com/auth/cloud-platform"];

struct Yup(DefaultAuthenticator);

impl Yup {
    async fn make_header(&self) -> Result<HeaderValue, Error> {
        let token = self.0.token(SCOPES).await?;
        Ok(HeaderValue::from_str(&format!("Bearer {}", token.token().ok_or("no token")?))?)
    }
}

impl Peer for Yup {
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
    let key = parse_service_account_key(service_account::json(&server)?)?;
    Ok(Arc::new(Yup(ServiceAccountAuthenticator::builder(key).build().await?)))
}
