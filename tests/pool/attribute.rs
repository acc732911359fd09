//! Annotated methods that take their tokens from a pool.

use jwt_refresh::pool::{Pool, QuarantineCause};
use jwt_refresh::prelude::*;
use jwt_refresh::{Error, ErrorKind};

use crate::active;
use crate::support::{BoxError, World};

struct Api {
    http: reqwest::Client,
    world: World,
    pool: Pool,
}

#[refresh_token(from = self.pool, token, retry)]
impl Api {
    async fn product(&self, id: u64) -> Result<String, BoxError> {
        let request = self.http.get(self.world.server.url(&format!("/api/v1/products/{id}")));
        Ok(request.bearer(&token).send().await?.error_for_status()?.text().await?)
    }

    async fn account(&self) -> Result<String, Error> {
        Ok(token.account().to_owned())
    }
}

fn api(accounts: usize) -> Api {
    let world = World::with_accounts(accounts);
    let pool = world.pool(accounts).build().unwrap();
    Api { http: reqwest::Client::new(), world, pool }
}

#[tokio::test]
async fn an_annotated_method_runs_with_a_lease() {
    let api = api(2);
    active(&api.pool, 2).await;
    api.product(1).await.unwrap();
    assert_ne!(api.account().await.unwrap(), api.account().await.unwrap(), "calls take turns");
    assert_eq!(api.world.server.stats().api_calls, 1);
}

#[tokio::test]
async fn a_rejected_token_is_renewed_in_the_background_and_the_call_is_retried() {
    let api = api(1);
    active(&api.pool, 1).await;
    api.world.server.rotate_signing_key();
    api.product(1).await.unwrap();
    let stats = api.world.server.stats();
    assert_eq!((stats.rejected, stats.api_calls, stats.logins, stats.refreshes), (1, 1, 1, 1));
}

#[tokio::test]
async fn a_rejected_lease_frees_its_slot_for_the_retry() {
    let world = World::with_accounts(1);
    let pool = world.pool_of([world.account(0).concurrency(1)]).build().unwrap();
    let api = Api { http: reqwest::Client::new(), world, pool };
    active(&api.pool, 1).await;
    api.world.server.rotate_signing_key();
    api.product(1).await.unwrap();
}

#[tokio::test]
async fn callers_never_log_in_but_wait_for_the_scheduler() {
    let api = api(3);
    let calls = futures_util::future::join_all((0..20).map(|id| api.product(id))).await;
    assert!(calls.iter().all(Result::is_ok));
    active(&api.pool, 3).await;
    assert_eq!(api.world.server.stats().logins, 3);
}

#[tokio::test]
async fn an_account_whose_fresh_token_is_rejected_is_quarantined_after_one_call() {
    let api = api(1);
    active(&api.pool, 1).await;
    api.world.server.reject_access_tokens(true);
    let error = api.product(1).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::RejectedAsIssued));
    let status = api.pool.status();
    let [one] = &status.quarantined[..] else { panic!("{status}") };
    assert!(one.cause == QuarantineCause::Rejected && one.returns_in.is_some(), "{one:?}");
    let counted = api.world.server.stats();
    assert_eq!((counted.rejected, counted.logins, counted.refreshes), (2, 1, 1), "no further request to the server");
}

#[cfg(feature = "blocking")]
#[tokio::test]
async fn a_blocking_method_reports_the_second_rejection_too() {
    struct Plain(Pool);

    impl Plain {
        #[refresh_token(from = self.0, token, retry_if = always)]
        fn call(&self) -> Result<String, Error> {
            Ok(token.account().to_owned())
        }
    }

    fn always(_: &Result<String, Error>) -> bool {
        true
    }

    let api = api(1);
    active(&api.pool, 1).await;
    Plain(api.pool.clone()).call().unwrap_err();
    let status = api.pool.status();
    assert!(
        status.quarantined.iter().all(|one| one.cause == QuarantineCause::Rejected && one.returns_in.is_some()),
        "{status}"
    );
    assert_eq!(status.active, 0);
}
