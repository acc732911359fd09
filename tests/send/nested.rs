//! Methods with the attribute whose requests get their token from elsewhere, too: no refresh and no
//! sending is doubled.

use jwt_refresh::prelude::*;
use reqwest::Response;

use crate::support::{BoxError, World, http_client};
use crate::{Cost, PRODUCT, cost};

struct Api {
    world: World,
    http: reqwest::Client,
    session: Session,
    #[cfg(feature = "reqwest-middleware")]
    middleware: reqwest_middleware::ClientWithMiddleware,
    #[cfg(feature = "tower")]
    layered: crate::clients::Layered<Session>,
}

#[refresh_token(retry)]
impl Api {
    /// The request is given its token by the session.
    async fn product(&self) -> Result<String, BoxError> {
        let request = self.http.get(self.world.server.url(PRODUCT)).build()?;
        Ok(self.session.execute(&self.http, request).await?.error_for_status()?.text().await?)
    }

    /// The request has its token already.
    #[refresh_token(token, retry)]
    async fn with_token(&self) -> Result<String, BoxError> {
        let request = self.http.get(self.world.server.url(PRODUCT)).bearer(&token).build()?;
        Ok(self.session.execute(&self.http, request).await?.error_for_status()?.text().await?)
    }

    /// The 401 is in the result, and not in an error.
    async fn response(&self) -> Result<Response, BoxError> {
        let request = self.http.get(self.world.server.url(PRODUCT)).build()?;
        Ok(self.session.execute(&self.http, request).await?)
    }

    /// A method that calls one.
    async fn through_another(&self) -> Result<String, BoxError> {
        self.product().await
    }
}

#[cfg(feature = "reqwest-middleware")]
#[refresh_token(retry)]
impl Api {
    /// The request is given its token by the middleware.
    async fn middleware(&self) -> Result<String, BoxError> {
        let request = self.middleware.get(self.world.server.url(PRODUCT));
        Ok(request.send().await?.error_for_status()?.text().await?)
    }

    /// The request has its token already.
    #[refresh_token(token, retry)]
    async fn middleware_with_token(&self) -> Result<String, BoxError> {
        let request = self.middleware.get(self.world.server.url(PRODUCT)).bearer(&token);
        Ok(request.send().await?.error_for_status()?.text().await?)
    }
}

#[cfg(feature = "tower")]
#[refresh_token(retry_if = is_401)]
impl Api {
    /// The request is given its token by the layer.
    async fn layered(&self) -> Result<String, BoxError> {
        let status = crate::clients::Client::get(&self.layered, self.world.server.url(PRODUCT)).await?;
        if status == 200 { Ok(String::new()) } else { Err(status.to_string().into()) }
    }
}

#[cfg(feature = "tower")]
fn is_401(error: &BoxError) -> bool {
    error.to_string() == "401"
}

async fn api() -> Api {
    let world = World::new();
    let session = world.logged_in().await;
    #[cfg(feature = "reqwest-middleware")]
    let middleware = crate::clients::middleware(jwt_refresh::RequestAuth::new(session.clone(), world.rule()));
    #[cfg(feature = "tower")]
    let layered =
        crate::clients::Layered(crate::clients::layered(jwt_refresh::RequestAuth::new(session.clone(), world.rule())));
    Api {
        world,
        http: http_client(),
        session,
        #[cfg(feature = "reqwest-middleware")]
        middleware,
        #[cfg(feature = "tower")]
        layered,
    }
}

/// Calls each method in turn, on a server of its own.
async fn each(expected: Cost, prepare: impl Fn(&World), succeeds: bool) {
    let methods: &[&str] = &[
        "product",
        "with_token",
        "response",
        "through_another",
        #[cfg(feature = "reqwest-middleware")]
        "middleware",
        #[cfg(feature = "reqwest-middleware")]
        "middleware_with_token",
        #[cfg(feature = "tower")]
        "layered",
    ];
    for &method in methods {
        let api = api().await;
        prepare(&api.world);
        let result = match method {
            "product" => api.product().await.map(drop),
            "with_token" => api.with_token().await.map(drop),
            #[cfg(feature = "reqwest-middleware")]
            "middleware" => api.middleware().await.map(drop),
            #[cfg(feature = "reqwest-middleware")]
            "middleware_with_token" => api.middleware_with_token().await.map(drop),
            #[cfg(feature = "tower")]
            "layered" => api.layered().await.map(drop),
            "response" => api.response().await.and_then(|response| Ok(response.error_for_status()?)).map(drop),
            _ => api.through_another().await.map(drop),
        };
        assert_eq!(result.is_ok(), succeeds, "{method}: {result:?}");
        assert_eq!(cost(&api.world.server), expected, "{method}");
    }
}

#[tokio::test]
async fn a_rejected_token_costs_one_refresh_and_one_retry() {
    let expected = Cost { calls: 1, rejected: 1, logins: 1, refreshes: 1 };
    each(expected, |world| world.server.rotate_signing_key(), true).await;
}

#[tokio::test]
async fn a_request_that_is_rejected_for_ever_is_sent_twice_in_all() {
    let expected = Cost { calls: 0, rejected: 2, logins: 1, refreshes: 1 };
    each(expected, |world| world.server.reject_access_tokens(true), false).await;
}

#[tokio::test]
async fn a_method_whose_own_request_is_rejected_runs_again_after_one_that_was_sent_again_well() {
    struct Both<'a>(&'a Api);

    impl Both<'_> {
        #[refresh_token(from = self.0.session, token, retry)]
        async fn products(&self) -> Result<(), BoxError> {
            let url = self.0.world.server.url(PRODUCT);
            let request = self.0.http.get(&url).build()?;
            self.0.session.execute(&self.0.http, request).await?.error_for_status()?;
            self.0.http.get(&url).bearer(&token).send().await?.error_for_status()?;
            Ok(())
        }
    }

    let api = api().await;
    api.world.server.rotate_signing_key();
    Both(&api).products().await.unwrap();
    // Rejected: the first sending by the session, and that of the method with the old token.
    assert_eq!(cost(&api.world.server), Cost { calls: 3, rejected: 2, logins: 1, refreshes: 1 });
}

#[cfg(feature = "reqwest-middleware")]
mod mocked {
    use std::sync::atomic::{AtomicU16, Ordering};

    use reqwest_middleware::{ClientBuilder, Middleware, Next};

    use super::*;

    /// Answers in place of the server, 401 for the first time, as a mock or a cache does: the
    /// answer has no URL.
    struct Mock(AtomicU16);

    #[async_trait::async_trait]
    impl Middleware for Mock {
        async fn handle(
            &self,
            _: reqwest::Request,
            _: &mut http::Extensions,
            _: Next<'_>,
        ) -> reqwest_middleware::Result<Response> {
            let status = self.0.swap(200, Ordering::Relaxed);
            Ok(http::Response::builder().status(status).body("").unwrap().into())
        }
    }

    #[tokio::test]
    async fn an_answer_that_a_later_middleware_makes_up_is_taken_for_the_servers() {
        let world = World::new();
        let auth = jwt_refresh::RequestAuth::new(world.logged_in().await, world.rule());
        let client = ClientBuilder::new(http_client()).with(auth).with(Mock(AtomicU16::new(401))).build();
        assert_eq!(client.get(world.server.url(PRODUCT)).send().await.unwrap().status(), 200);
        assert_eq!(cost(&world.server), Cost { calls: 0, rejected: 0, logins: 1, refreshes: 1 });
    }
}

#[cfg(feature = "blocking")]
mod blocking {
    use jwt_refresh::RequestAuth;

    use super::*;

    struct Api {
        auth: RequestAuth<Session>,
        url: String,
    }

    impl Api {
        #[refresh_token(from = self.auth.provider(), retry)]
        fn product(&self) -> Result<String, BoxError> {
            let http = reqwest::blocking::Client::builder().no_proxy().build()?;
            let response = self.auth.blocking_execute(&http, http.get(&self.url).build()?)?;
            Ok(response.error_for_status()?.text()?)
        }
    }

    #[tokio::test]
    async fn a_blocking_method_is_not_run_again_either() {
        let world = World::new();
        let auth = RequestAuth::new(world.logged_in().await, world.rule());
        let api = Api { auth, url: world.server.url(PRODUCT) };
        world.server.reject_access_tokens(true);
        tokio::task::spawn_blocking(move || api.product().unwrap_err()).await.unwrap();
        assert_eq!(cost(&world.server), Cost { calls: 0, rejected: 2, logins: 1, refreshes: 1 });
    }
}
