//! The clients, each behind the same interface. The first is an annotated method, with which the
//! others are compared.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jwt_refresh::prelude::*;
use jwt_refresh::{RequestAuth, RequestRule};
use reqwest::header::{AUTHORIZATION, HeaderMap};

use crate::support::{BoxError, http_client};

/// Returns whether a request ends when its future is dropped, and blocks no thread until then.
pub(crate) fn can_be_cancelled(client: &str) -> bool {
    !client.starts_with("blocking")
}

/// Gets a URL, and returns the status of the answer.
pub(crate) trait Client: Send + Sync {
    /// Sends headers with the request that are not the client's.
    fn get_with(&self, url: String, headers: HeaderMap) -> BoxFuture<'_, Result<u16, BoxError>>;

    fn get(&self, url: String) -> BoxFuture<'_, Result<u16, BoxError>> {
        self.get_with(url, HeaderMap::new())
    }
}

/// How requests get their token.
pub(crate) type Clients<P> = Vec<(&'static str, Arc<dyn Fn(P, RequestRule) -> Arc<dyn Client>>)>;

/// All clients, for providers of this type.
pub(crate) fn clients<P>() -> Clients<P>
where
    P: TokenProvider<Token: Clone + Sync> + Clone + Send + Sync + 'static,
{
    vec![
        ("attribute", Arc::new(|provider, _| Arc::new(Attribute { provider, http: http_client() }))),
        ("execute", Arc::new(|provider, rule| Arc::new(Execute(RequestAuth::new(provider, rule), http_client())))),
        #[cfg(feature = "reqwest-middleware")]
        ("reqwest-middleware", Arc::new(|provider, rule| Arc::new(middleware(RequestAuth::new(provider, rule))))),
        #[cfg(feature = "tower")]
        ("tower", Arc::new(|provider, rule| Arc::new(Layered(layered(RequestAuth::new(provider, rule)))))),
        #[cfg(feature = "ureq")]
        ("blocking ureq", Arc::new(|provider, rule| Arc::new(Ureq(RequestAuth::new(provider, rule), ureq::agent())))),
        #[cfg(feature = "blocking")]
        ("blocking_execute", Arc::new(|provider, rule| Arc::new(BlockingExecute::new(provider, rule)))),
    ]
}

struct Attribute<P> {
    provider: P,
    http: reqwest::Client,
}

impl<P: TokenProvider<Token: Clone + Sync> + Clone + Send + Sync + 'static> Attribute<P> {
    #[refresh_token(from = self.provider, token, retry)]
    async fn send(&self, url: String, headers: HeaderMap) -> Result<reqwest::Response, BoxError> {
        let token: &AccessToken = std::borrow::Borrow::borrow(&token);
        Ok(self.http.get(url).headers(headers).header(AUTHORIZATION, token).send().await?)
    }
}

impl<P: TokenProvider<Token: Clone + Sync> + Clone + Send + Sync + 'static> Client for Attribute<P> {
    fn get_with(&self, url: String, headers: HeaderMap) -> BoxFuture<'_, Result<u16, BoxError>> {
        Box::pin(async move {
            match self.send(url, headers).await {
                Ok(response) => Ok(response.status().as_u16()),
                // The error of an attribute whose second token was rejected too.
                Err(error) => match error.downcast_ref::<jwt_refresh::Error>().and_then(jwt_refresh::Error::status) {
                    Some(status) => Ok(status.as_u16()),
                    None => Err(error),
                },
            }
        })
    }
}

struct Execute<P>(RequestAuth<P>, reqwest::Client);

impl<P: TokenProvider + Send + Sync> Client for Execute<P> {
    fn get_with(&self, url: String, headers: HeaderMap) -> BoxFuture<'_, Result<u16, BoxError>> {
        Box::pin(async move {
            let Self(auth, http) = self;
            Ok(auth.execute(http, http.get(url).headers(headers).build()?).await?.status().as_u16())
        })
    }
}

#[cfg(feature = "reqwest-middleware")]
pub(crate) fn middleware<P: TokenProvider + Send + Sync + 'static>(
    auth: RequestAuth<P>,
) -> reqwest_middleware::ClientWithMiddleware {
    reqwest_middleware::ClientBuilder::new(http_client()).with(auth).build()
}

#[cfg(feature = "reqwest-middleware")]
impl Client for reqwest_middleware::ClientWithMiddleware {
    fn get_with(&self, url: String, headers: HeaderMap) -> BoxFuture<'_, Result<u16, BoxError>> {
        Box::pin(async move { Ok(self.get(url).headers(headers).send().await?.status().as_u16()) })
    }
}

#[cfg(feature = "blocking")]
struct BlockingExecute<P> {
    auth: RequestAuth<P>,
    /// Is made by the first thread that may block.
    http: Arc<std::sync::OnceLock<reqwest::blocking::Client>>,
}

#[cfg(feature = "blocking")]
impl<P> BlockingExecute<P> {
    fn new(provider: P, rule: RequestRule) -> Self {
        Self { auth: RequestAuth::new(provider, rule), http: Arc::default() }
    }
}

#[cfg(feature = "blocking")]
impl<P: TokenProvider + Clone + Send + Sync + 'static> Client for BlockingExecute<P> {
    fn get_with(&self, url: String, headers: HeaderMap) -> BoxFuture<'_, Result<u16, BoxError>> {
        let (auth, http) = (self.auth.clone(), Arc::clone(&self.http));
        let get = move || {
            let http = http.get_or_init(|| reqwest::blocking::Client::builder().no_proxy().build().unwrap());
            Ok(auth.blocking_execute(http, http.get(url).headers(headers).build()?)?.status().as_u16())
        };
        Box::pin(async move { tokio::task::spawn_blocking(get).await? })
    }
}

#[cfg(feature = "ureq")]
struct Ureq<P>(RequestAuth<P>, ureq::Agent);

#[cfg(feature = "ureq")]
impl<P: TokenProvider + Clone + Send + Sync + 'static> Client for Ureq<P> {
    fn get_with(&self, url: String, headers: HeaderMap) -> BoxFuture<'_, Result<u16, BoxError>> {
        let Self(auth, agent) = self;
        let (auth, agent) = (auth.clone(), agent.clone());
        let get = move || {
            let mut request = http::Request::get(url).body(())?;
            *request.headers_mut() = headers;
            match auth.run(&agent, request) {
                Ok(answer) => Ok(answer.status().as_u16()),
                Err(ureq::Error::StatusCode(status)) => Ok(status),
                Err(error) => Err(error.into()),
            }
        };
        Box::pin(async move { tokio::task::spawn_blocking(get).await? })
    }
}

#[cfg(feature = "tower")]
pub(crate) use layer::{Body, Layered, layered};

#[cfg(feature = "tower")]
mod layer {
    use http::Request;
    use http_body_util::Full;
    use hyper_util::client::legacy::{self, connect::HttpConnector};
    use hyper_util::rt::TokioExecutor;
    use jwt_refresh::{PeekedBody, RequestAuthService};
    use tower::{ServiceBuilder, ServiceExt};
    use tower_http::follow_redirect::FollowRedirectLayer;

    use super::*;

    pub(crate) type Body = Full<bytes::Bytes>;
    pub(crate) type Hyper<B> = legacy::Client<HttpConnector, PeekedBody<B>>;

    /// A client of hyper behind the layer.
    pub(crate) fn layered<P: Clone, B>(auth: RequestAuth<P>) -> RequestAuthService<Hyper<B>, P>
    where
        B: http_body::Body<Data: Send, Error: Into<BoxError> + Send> + Unpin + Send,
    {
        let hyper = legacy::Client::builder(TokioExecutor::new()).build_http();
        ServiceBuilder::new().layer(auth).service(hyper)
    }

    /// Follows redirects, as the other clients do: above the layer, which then sees each request.
    pub(crate) struct Layered<P>(pub(crate) RequestAuthService<Hyper<Body>, P>);

    impl<P: TokenProvider + Clone + Send + Sync + 'static> Client for Layered<P> {
        fn get_with(&self, url: String, headers: HeaderMap) -> BoxFuture<'_, Result<u16, BoxError>> {
            let client = ServiceBuilder::new().layer(FollowRedirectLayer::new()).service(self.0.clone());
            Box::pin(async move {
                let mut request = Request::get(url).body(Body::default())?;
                *request.headers_mut() = headers;
                Ok(client.oneshot(request).await?.status().as_u16())
            })
        }
    }
}
