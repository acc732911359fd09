//! API keys as accounts: no login, no expiry, no renewal.

use jwt_refresh::pool::{Account, Pool, QuarantineCause};
use jwt_refresh::prelude::*;
use jwt_refresh::{Error, ErrorKind};
use jwt_refresh_testkit::{Answer, ReceivedRequest, Route, TestServer};

use crate::policy;
use crate::support::{BoxError, HOUR, World};

/// A server that knows the keys `good` and `also good` as bearer tokens and in `x-api-key`.
fn server() -> TestServer {
    let answer = |request: &ReceivedRequest| {
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let known = bearer.or(request.header("x-api-key")).is_some_and(|key| key.ends_with("good"));
        Answer::new(if known { 200 } else { 401 })
    };
    TestServer::builder().route(Route::get("/orders", answer).public()).start()
}

struct Shop {
    http: reqwest::Client,
    server: TestServer,
    pool: Pool,
}

#[refresh_token(from = self.pool, token, retry)]
impl Shop {
    async fn orders(&self) -> Result<String, BoxError> {
        self.http.get(self.server.url("/orders")).bearer(&token).send().await?.error_for_status()?;
        Ok(token.account().to_owned())
    }
}

fn shop(accounts: impl IntoIterator<Item = Account>) -> Shop {
    let pool = Pool::builder().accounts(accounts).build().unwrap();
    Shop { http: reqwest::Client::new(), server: server(), pool }
}

#[tokio::test]
async fn a_key_serves_at_once_in_its_header_and_is_never_renewed() {
    let shop = shop([Account::api_key("bearer", "good"), Account::api_key("own", "also-good").header("X-Api-Key")]);
    assert_eq!(shop.pool.status().active, 2);
    for _ in 0..2 {
        shop.orders().await.unwrap();
    }
    let requests = shop.server.requests();
    let has = |header: &str, value: &str| requests.iter().filter(|one| one.header(header) == Some(value)).count();
    assert_eq!((requests.len(), has("authorization", "Bearer good"), has("x-api-key", "also-good")), (2, 1, 1));
    assert_eq!(requests.iter().filter(|one| one.header("authorization").is_some()).count(), 1);
}

#[tokio::test]
async fn a_lease_knows_header_and_value_of_its_key() {
    let shop = shop([Account::api_key("own", "also-good").header("x-api-key")]);
    let lease = shop.pool.lease().await.unwrap();
    assert_eq!((lease.header_name().as_str(), lease.expose()), ("x-api-key", "also-good"));
    assert_eq!(lease.header(), "also-good");
    assert!(lease.header().is_sensitive() && lease.expires_at().is_none());
}

#[tokio::test]
async fn a_key_lasts_however_long_the_pool_lives_and_takes_no_slot_of_an_exchange() {
    let world = World::new();
    // A pool that may not have any exchange under way.
    let keys = (0..3).map(|number| Account::api_key(format!("k{number}"), format!("{number}-good")));
    let pool = world.pool_of(keys).policy(policy().exchanges(0)).build().unwrap();
    for _ in 0..3 {
        world.pass(1000 * HOUR);
        let status = pool.status();
        assert_eq!((status.active, status.average_ttl, status.auth_overhead), (3, None, 0.0));
        pool.lease().await.unwrap();
    }
}

#[tokio::test]
async fn a_rejected_key_is_out_for_good_and_the_call_runs_again_with_another() {
    let world = World::new();
    let pool = world.pool_of([Account::api_key("bad", "bad"), Account::api_key("fine", "good")]).build().unwrap();
    let shop = Shop { http: reqwest::Client::new(), server: server(), pool };
    for _ in 0..4 {
        assert_eq!(shop.orders().await.unwrap(), "fine");
        world.pass(24 * HOUR);
    }
    let rejected =
        shop.server.requests().iter().filter(|one| one.header("authorization") == Some("Bearer bad")).count();
    assert_eq!(rejected, 1);
    let [ref one] = shop.pool.status().quarantined[..] else { panic!("{:?}", shop.pool.status()) };
    assert_eq!((&*one.account, one.cause, one.returns_in), ("bad", QuarantineCause::KeyRejected, None));
    assert!(one.cause.is_final());
    assert!(shop.pool.status().to_string().contains("never"), "{}", shop.pool.status());

    assert!(shop.pool.remove("fine"));
    let error = shop.pool.lease().await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::NoAccount, None));
    let text = error.to_string();
    assert!(text.contains("none returns by itself: \"bad\", for example (API key rejected)"), "{text}");

    assert!(shop.pool.remove("bad"));
    shop.pool.add(Account::api_key("bad", "now-good")).unwrap();
    assert_eq!(shop.orders().await.unwrap(), "bad");
}

#[tokio::test]
async fn a_key_that_is_rejected_while_it_rests_does_not_return_after_the_rest() {
    let world = World::new();
    let pool = world.pool_of([Account::api_key("bad", "bad").concurrency(2)]).build().unwrap();
    let (one, other) = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    one.rate_limited(Some(HOUR));
    other.rejected();
    world.pass(2 * HOUR);
    assert_eq!(pool.status().quarantined[0].cause, QuarantineCause::KeyRejected);
}

fn refused(accounts: impl IntoIterator<Item = Account>) -> Error {
    let error = Pool::builder().accounts(accounts).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("S3cret"), "{shown}");
    error
}

#[test]
fn what_cannot_be_said_of_a_key_is_refused_with_the_accounts_name() {
    let key = || Account::api_key("team-a", "S3cret");
    for (account, why) in [
        (Account::api_key("team-a", ""), "empty"),
        (Account::api_key("team-a", "S3cret\n"), "a character"),
        (Account::api_key("team-a", "S3cret\n").header("x-api-key"), "a character"),
        (Account::api_key("team-a", "S3cret\u{fc}").header("x-api-key"), "a character"),
        (key().header("x api key"), "the header of the API key"),
        (key().usage_cap(5), "usage cap"),
        (key().tokens(Tokens::new("a").unwrap()), "only token"),
        (Account::without_login("team-a").header("x-api-key"), "only an API key"),
    ] {
        let error = refused([account]).to_string();
        assert!(error.contains("\"team-a\"") && error.contains(why), "{why}: {error}");
    }
}

#[test]
fn a_key_that_is_given_twice_is_refused_with_both_names() {
    let twice = [Account::api_key("team-a", "S3cret"), Account::api_key("team-b", "S3cret").header("x-api-key")];
    let error = refused(twice).to_string();
    assert!(error.contains("\"team-a\"") && error.contains("\"team-b\""), "{error}");
}

#[tokio::test]
async fn a_key_can_be_given_again_after_its_account_was_removed() {
    let pool = Pool::builder().account(Account::api_key("team-a", "S3cret")).build().unwrap();
    pool.remove("team-a");
    pool.add(Account::api_key("team-b", "S3cret")).unwrap();
    assert_eq!(pool.lease().await.unwrap().account(), "team-b");
    let shown = format!("{pool:?} {:?}", pool.lease().await.unwrap());
    assert!(!shown.contains("S3cret"), "{shown}");
    assert!(!format!("{:?}", Account::api_key("team-c", "S3cret")).contains("S3cret"));
}
