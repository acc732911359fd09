//! The attribute on the methods of an API struct, against a real server.

use std::time::Duration;

use jwt_refresh::prelude::*;
use jwt_refresh::{Error, ManualClock, Renewal};
use jwt_refresh_testkit::TestServer;

struct Api {
    http: reqwest::Client,
    server: TestServer,
    session: Session,
    spare: Spare,
}

struct Spare {
    session: Session,
}

#[refresh_token]
impl Api {
    /// Bound to nothing: it only has to be fresh.
    async fn generation(&self) -> Result<u64, Error> {
        Ok(self.session.ready().map_or(0, |token| token.generation()))
    }

    #[refresh_token(token)]
    async fn product(&self, id: u64) -> reqwest_or_ours::Result<u16> {
        let request = self.http.get(self.server.url(&format!("/api/v1/products/{id}")));
        Ok(request.bearer(&token).send().await?.status().as_u16())
    }

    #[refresh_token(token = bearer, from = self.spare.session)]
    async fn spare(&self) -> Result<u64, Error> {
        Ok(bearer.generation())
    }

    #[refresh_token(skip)]
    async fn untouched(&self) -> u8 {
        std::future::ready(7).await
    }

    fn sync(&self) -> &str {
        self.server.base_url()
    }
}

mod reqwest_or_ours {
    pub(super) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
}

#[refresh_token(from = session, token)]
async fn free(session: &Session) -> Result<u64, Error> {
    Ok(token.generation())
}

fn api(clock: &ManualClock) -> Api {
    let server = TestServer::start();
    let session = || {
        let authenticator = HttpAuthenticator::builder(server.url("/api/auth/login"))
            .refresh_url(server.url("/api/auth/refresh"))
            .field("email", server.email())
            .secret_field("password", server.password());
        Session::builder(authenticator.build().unwrap()).clock(clock).build()
    };
    Api { http: reqwest::Client::new(), session: session(), spare: Spare { session: session() }, server }
}

#[tokio::test]
async fn a_method_logs_in_at_its_first_call_and_refreshes_when_the_token_has_expired() {
    let clock = ManualClock::new();
    let api = api(&clock);
    assert_eq!(api.generation().await.unwrap(), 1);
    assert_eq!(api.product(1).await.unwrap(), 200);
    clock.advance(Duration::from_secs(61));
    api.server.advance(Duration::from_secs(61));
    assert_eq!(api.product(1).await.unwrap(), 200);
    assert_eq!(api.generation().await.unwrap(), 2);
    let stats = api.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.rejected), (1, 1, 0));
}

#[tokio::test]
async fn a_method_may_name_its_own_session_and_its_token_and_others_are_left_alone() {
    let api = api(&ManualClock::new());
    assert_eq!(api.untouched().await, 7);
    assert!(api.sync().starts_with("http://127.0.0.1"));
    assert_eq!(api.server.stats().logins, 0);
    assert_eq!(api.spare().await.unwrap(), 1);
    assert!(!api.session.is_ready());
    assert_eq!(free(&api.spare.session).await.unwrap(), 1);
    assert_eq!(api.server.stats().logins, 1);
}

#[tokio::test]
async fn a_failed_refresh_comes_out_in_the_methods_own_error_type() {
    let api = api(&ManualClock::new());
    api.server.set_password(api.server.email(), "changed");
    let error = api.product(1).await.unwrap_err();
    assert!(error.downcast_ref::<Error>().is_some_and(|error| !error.is_transient()), "{error}");
}

/// A provider that is no session: two answers and nothing else.
struct Fixed(AccessToken);

impl TokenProvider for Fixed {
    type Token = AccessToken;

    fn fresh(&self) -> Renewal<AccessToken> {
        let token = self.0.clone();
        Box::pin(async move { Ok(token) })
    }

    fn rejected(&self, _: &AccessToken) -> Renewal<AccessToken> {
        Box::pin(async { Err(Error::denied("the only token there is was rejected")) })
    }
}

struct Custom {
    provider: std::sync::Arc<dyn TokenProvider<Token = AccessToken> + Send + Sync>,
}

impl Custom {
    #[refresh_token(from = self.provider, token)]
    async fn call(&self) -> Result<String, Error> {
        Ok(token.expose().to_owned())
    }
}

#[tokio::test]
async fn anything_that_is_a_provider_will_do() {
    let custom = Custom { provider: std::sync::Arc::new(Fixed(AccessToken::new("fixed").unwrap())) };
    assert_eq!(custom.call().await.unwrap(), "fixed");
}

#[tokio::test]
async fn the_futures_are_send_although_the_struct_is_not_sync() {
    struct NotSync {
        session: Session,
        calls: std::cell::Cell<u32>,
    }

    #[refresh_token]
    impl NotSync {
        async fn call(&mut self) -> Result<u32, Error> {
            self.calls.set(self.calls.get() + 1);
            tokio::task::yield_now().await;
            Ok(self.calls.get())
        }
    }

    let session = api(&ManualClock::new()).session;
    session.adopt(Tokens::new("captured").unwrap()).await.unwrap();
    let mut subject = NotSync { session, calls: 0.into() };
    assert_eq!(tokio::spawn(async move { subject.call().await }).await.unwrap().unwrap(), 1);
}
