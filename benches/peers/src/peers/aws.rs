//! The lazy identity cache of `aws-smithy-runtime`, over an identity that is a bearer token.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::http::Token;
use aws_smithy_runtime_api::client::identity::{
    Identity, IdentityFuture, ResolveCachedIdentity, ResolveIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;
use http::HeaderValue;
use serde::Deserialize;

use crate::peer::{Answer, Calls, Peer};
use crate::server::TokenServer;
use crate::{Error, calls};

/// The crate has no client for token endpoints, so this is one.
#[derive(Debug)]
struct Resolver {
    http: reqwest::Client,
    url: String,
}

impl Resolver {
    async fn fetch(&self) -> Result<Identity, BoxError> {
        #[derive(Deserialize)]
        struct TokenAnswer {
            access_token: String,
            expires_in: u64,
        }
        let answer = self.http.post(&self.url).send().await?.error_for_status()?;
        let answer: TokenAnswer = answer.json().await?;
        let expires = SystemTime::now() + Duration::from_secs(answer.expires_in);
        Ok(Identity::new(Token::new(answer.access_token, Some(expires)), Some(expires)))
    }
}

impl ResolveIdentity for Resolver {
    fn resolve_identity<'a>(&'a self, _: &'a RuntimeComponents, _: &'a ConfigBag) -> IdentityFuture<'a> {
        IdentityFuture::new(self.fetch())
    }
}

struct Aws {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    config: ConfigBag,
}

impl Aws {
    async fn get(&self) -> Result<Identity, Error> {
        self.cache.resolve_cached_identity(self.resolver.clone(), &self.components, &self.config).await
    }

    async fn make_header(&self) -> Result<HeaderValue, Error> {
        let identity = self.get().await?;
        let token = identity.data::<Token>().ok_or("no token")?;
        Ok(HeaderValue::from_str(&format!("Bearer {}", token.token()))?)
    }
}

impl Peer for Aws {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).get().await.is_ok())
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).make_header().await.is_ok())
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move { self.get().await.map(drop) })
    }
}

pub async fn make(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    let resolver = Resolver { http: reqwest::Client::new(), url: server.token_url() };
    let components = RuntimeComponentsBuilder::for_tests()
        .with_time_source(Some(SystemTimeSource::new()))
        .with_sleep_impl(Some(TokioSleep::new()))
        .build()?;
    Ok(Arc::new(Aws {
        cache: IdentityCache::lazy().build(),
        resolver: SharedIdentityResolver::new(resolver),
        components,
        config: ConfigBag::base(),
    }))
}
