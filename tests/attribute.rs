//! Annotated methods of an API struct, against a real server.

mod support;

use jwt_refresh::prelude::*;
use jwt_refresh::{Error, Renewal};

use support::{BoxError, PAST_EXPIRY, World};

struct Api {
    http: reqwest::Client,
    world: World,
    session: Session,
    spare: Spare,
}

struct Spare {
    session: Session,
}

#[refresh_token]
impl Api {
    /// Needs no token in its body, only a session whose token is fresh.
    async fn generation(&self) -> Result<u64, Error> {
        Ok(self.session.ready().map_or(0, |token| token.generation()))
    }

    #[refresh_token(token)]
    async fn product(&self, id: u64) -> Result<u16, BoxError> {
        let request = self.http.get(self.world.server.url(&format!("/api/v1/products/{id}")));
        Ok(request.bearer(&token).send().await?.status().as_u16())
    }

    #[refresh_token(token = bearer, from = self.spare.session)]
    async fn spare(&self) -> Result<u64, Error> {
        Ok(bearer.generation())
    }

    #[refresh_token(skip)]
    async fn skipped(&self) -> u8 {
        std::future::ready(7).await
    }

    fn sync(&self) -> &str {
        self.world.server.base_url()
    }
}

#[refresh_token(from = session, token)]
async fn free(session: &Session) -> Result<u64, Error> {
    Ok(token.generation())
}

fn api() -> Api {
    let world = World::new();
    let [session, spare] = [(); 2].map(|()| world.session().build());
    Api { http: reqwest::Client::new(), session, spare: Spare { session: spare }, world }
}

#[tokio::test]
async fn a_method_logs_in_at_its_first_call_and_refreshes_when_the_token_has_expired() {
    let api = api();
    assert_eq!(api.generation().await.unwrap(), 1);
    assert_eq!(api.product(1).await.unwrap(), 200);
    api.world.pass(PAST_EXPIRY);
    assert_eq!(api.product(1).await.unwrap(), 200);
    assert_eq!(api.generation().await.unwrap(), 2);
    let stats = api.world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.rejected), (1, 1, 0));
}

#[tokio::test]
async fn a_method_may_name_its_own_session_and_token_and_skipped_methods_are_left_alone() {
    let api = api();
    assert_eq!(api.skipped().await, 7);
    assert!(api.sync().starts_with("http://127.0.0.1"));
    assert_eq!(api.world.server.stats().logins, 0);
    assert_eq!(api.spare().await.unwrap(), 1);
    assert!(!api.session.is_ready());
    assert_eq!(free(&api.spare.session).await.unwrap(), 1);
    assert_eq!(api.world.server.stats().logins, 1);
}

#[tokio::test]
async fn a_failed_renewal_is_returned_in_the_methods_own_error_type() {
    let api = api();
    api.world.server.set_password(api.world.server.email(), "changed");
    let error = api.product(1).await.unwrap_err();
    assert!(error.downcast_ref::<Error>().is_some_and(|error| !error.is_transient()), "{error}");
}

/// A provider that is no session and implements only what it must.
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
async fn a_method_takes_its_token_from_any_provider() {
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

    let session = api().session;
    session.adopt(Tokens::new("captured").unwrap()).await.unwrap();
    let mut subject = NotSync { session, calls: 0.into() };
    assert_eq!(tokio::spawn(async move { subject.call().await }).await.unwrap().unwrap(), 1);
}
