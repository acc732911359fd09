//! Limits that servers tell in their answers.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use jwt_refresh::pool::{Account, Lease, Limit, Pool, QuarantineCause};
use jwt_refresh::prelude::*;
use jwt_refresh::{Error, ManualClock};
use jwt_refresh_testkit::{Answer, ReceivedRequest, Route, TestServer};

use crate::support::{BoxError, HOUR, MINUTE, SECOND, World};
use crate::{policy, run_other_tasks};

fn key(name: &str) -> Account {
    Account::api_key(name, format!("key-of-{name}"))
}

fn pool(accounts: impl IntoIterator<Item = Account>) -> (Pool, ManualClock) {
    let clock = ManualClock::new();
    (Pool::builder().clock(&clock).policy(policy()).accounts(accounts).build().unwrap(), clock)
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

/// What remains of calls, of what quota, and seconds to the reset.
fn calls(remaining: u64, quota: u64, reset: &str) -> HeaderMap {
    let (remaining, quota) = (remaining.to_string(), quota.to_string());
    headers(&[("x-ratelimit-remaining", &remaining), ("x-ratelimit-limit", &quota), ("x-ratelimit-reset", reset)])
}

async fn at_once(pool: &Pool, cost: u64) -> Option<Lease> {
    pool.lease().cost(cost).within(Duration::ZERO).await.ok()
}

/// Takes leases for as long as there is one at once, and returns how many.
async fn lease_all(pool: &Pool) -> usize {
    let mut held = Vec::new();
    while let Some(lease) = at_once(pool, 1).await {
        held.push(lease);
        assert!(held.len() < 1000, "there is no limit");
    }
    held.len()
}

#[tokio::test]
async fn no_more_calls_go_out_than_the_server_says_remain_until_its_reset() {
    let (pool, clock) = pool([key("a")]);
    at_once(&pool, 1).await.unwrap().observe(&calls(3, 20, "4.0"));
    assert_eq!(lease_all(&pool).await, 3);
    clock.advance(399 * SECOND / 100);
    assert_eq!(lease_all(&pool).await, 0);
    clock.advance(SECOND / 100);
    assert_eq!(lease_all(&pool).await, 20, "the quota is full again");
}

#[tokio::test]
async fn callers_wait_in_line_for_a_reset_that_is_near_and_the_account_rests_until_one_that_is_far() {
    let (pool, clock) = pool([key("a")]);
    at_once(&pool, 1).await.unwrap().observe(&calls(0, 20, "4.0"));
    let waits = tokio::spawn({
        let pool = pool.clone();
        async move { pool.lease().await.map(drop) }
    });
    run_other_tasks().await;
    clock.advance(4 * SECOND);
    waits.await.unwrap().unwrap();
    at_once(&pool, 1).await.unwrap().observe(&calls(0, 20, "90.0"));
    let status = pool.status();
    assert_eq!(status.quarantined[0].cause, QuarantineCause::RateLimited);
    assert_eq!(status.quarantined[0].returns_in, Some(90 * SECOND));
    assert!(pool.lease().await.unwrap_err().retry_after().is_some());
    clock.advance(90 * SECOND);
    assert_eq!(pool.status().active, 1);
}

#[tokio::test]
async fn a_reset_that_is_never_is_believed_for_as_long_as_the_policy_says_and_then_one_call_finds_out() {
    let (pool, clock) = pool([key("a")]);
    at_once(&pool, 1).await.unwrap().observe(&calls(0, 20, "9999-12-31T23:59:59Z"));
    clock.advance(10 * MINUTE);
    let finds_out = at_once(&pool, 1).await.unwrap();
    assert!(at_once(&pool, 1).await.is_none());
    finds_out.observe(&calls(20, 20, "60.0"));
    assert_eq!(lease_all(&pool).await, 20);
}

#[tokio::test]
async fn calls_and_cost_are_learnt_apart_and_the_tighter_rules() {
    let (pool, clock) = pool([key("a")]);
    let lease = at_once(&pool, 1).await.unwrap();
    lease.observe(&headers(&[
        ("x-ratelimit-remaining-requests", "10"),
        ("x-ratelimit-reset-requests", "1m0s"),
        ("x-ratelimit-remaining-tokens", "1000"),
        ("x-ratelimit-limit-tokens", "5000"),
        ("x-ratelimit-reset-tokens", "3s"),
    ]));
    drop(lease);
    assert!(at_once(&pool, 1001).await.is_none());
    drop(at_once(&pool, 700).await.unwrap());
    assert!(at_once(&pool, 301).await.is_none());
    drop(at_once(&pool, 300).await.unwrap());
    clock.advance(3 * SECOND);
    assert_eq!(lease_all(&pool).await, 8, "the calls have not been reset");
}

#[tokio::test]
async fn a_learnt_limit_holds_beside_a_declared_one() {
    let (pool, clock) = pool([key("a").limit(Limit::requests(5, MINUTE).strict())]);
    at_once(&pool, 1).await.unwrap().observe(&calls(100, 100, "60.0"));
    assert_eq!(lease_all(&pool).await, 4);
    clock.advance(HOUR);
    at_once(&pool, 1).await.unwrap().observe(&calls(2, 100, "60.0"));
    assert_eq!(lease_all(&pool).await, 2);
}

#[tokio::test]
async fn a_call_that_costs_more_than_a_learnt_quota_goes_when_that_is_full() {
    let (pool, clock) = pool([key("a")]);
    let tokens = [
        ("x-ratelimit-remaining-tokens", "50"),
        ("x-ratelimit-limit-tokens", "100"),
        ("x-ratelimit-reset-tokens", "2.0"),
    ];
    at_once(&pool, 1).await.unwrap().observe(&headers(&tokens));
    let waits = tokio::spawn({
        let pool = pool.clone();
        async move { pool.lease().cost(5000).await.map(drop) }
    });
    run_other_tasks().await;
    clock.advance(2 * SECOND);
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn headers_that_make_no_sense_change_nothing() {
    let (pool, _clock) = pool([key("a")]);
    for lines in [
        &[("x-ratelimit-remaining", "many"), ("x-ratelimit-reset", "soon")][..],
        &[("x-ratelimit-remaining", "0")],
        &[("ratelimit", "\"default\";r=;t=x"), ("ratelimit-policy", ";;;\"")],
        &[("x-ratelimit-limit", "-1"), ("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "60")],
    ] {
        at_once(&pool, 1).await.unwrap().observe(&headers(lines));
        assert!(at_once(&pool, 1).await.is_some(), "{lines:?}");
    }
}

/// A server with a quota of calls, which it tells. Each call says which one it is.
fn server(quota: usize) -> TestServer {
    let answer = move |request: &ReceivedRequest| {
        let number = request.header("x-number").unwrap().parse::<usize>().unwrap();
        Answer::new(if number > quota { 429 } else { 200 })
            .header("x-ratelimit-limit", &quota.to_string())
            .header("x-ratelimit-remaining", &quota.saturating_sub(number).to_string())
            .header("x-ratelimit-reset", "60.0")
    };
    TestServer::builder().route(Route::get("/orders", answer).public()).start()
}

struct Api {
    http: reqwest::Client,
    server: TestServer,
    pool: Pool,
}

#[refresh_token(from = self.pool, token, retry)]
impl Api {
    /// Returns the response itself, so that nothing need be said of it.
    async fn response(&self, number: usize) -> Result<reqwest::Response, Error> {
        let request = self.http.get(self.server.url("/orders")).header("x-number", number);
        request.bearer(&token).send().await.map_err(Error::other)
    }

    async fn text(&self, number: usize) -> Result<String, BoxError> {
        let request = self.http.get(self.server.url("/orders")).header("x-number", number);
        request.bearer(&token).send().await?.observed(&token).error_for_status()?;
        Ok(token.account().to_owned())
    }
}

fn api(quota: usize, accounts: impl IntoIterator<Item = Account>, rerun: bool) -> Api {
    let pool = Pool::builder().accounts(accounts).policy(policy().rerun_rate_limited(rerun)).build().unwrap();
    Api { http: reqwest::Client::new(), server: server(quota), pool }
}

#[tokio::test]
async fn retry_learns_from_the_response_that_a_method_returns() {
    let api = api(5, [key("a")], false);
    api.response(3).await.unwrap();
    assert_eq!(lease_all(&api.pool).await, 2);
}

#[tokio::test]
async fn observed_learns_from_an_answer_and_reports_a_429() {
    let api = api(5, [key("a")], false);
    api.text(3).await.unwrap();
    assert_eq!(lease_all(&api.pool).await, 2);
    let api = self::api(5, [key("a"), key("b")], false);
    assert!(api.text(6).await.is_err());
    let accounts: Vec<_> = [api.text(0).await.unwrap(), api.text(0).await.unwrap()].into();
    assert_eq!(accounts[0], accounts[1], "the other one rests");
}

#[tokio::test]
async fn a_429_runs_the_body_again_on_another_account_if_the_policy_says_so_and_once_only() {
    let api = api(5, [key("a"), key("b"), key("c")], true);
    assert!(api.text(6).await.is_err());
    assert_eq!(api.server.requests().len(), 2);
    let tried: std::collections::BTreeSet<_> =
        api.server.requests().iter().map(|one| one.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(tried.len(), 2, "{tried:?}");
    assert_eq!(api.response(6).await.unwrap().status(), 429, "there is no third account that could run it again");
    assert_eq!(api.server.requests().len(), 3);
}

#[tokio::test]
async fn the_token_of_a_session_takes_an_answer_too() {
    let world = World::new();
    let session = world.session().build();
    let token = session.token().await.unwrap();
    let answer = http::Response::builder().status(429).body(()).unwrap();
    assert_eq!(answer.observed(&token).status(), 429);
    let lost: Result<http::Response<()>, &str> = Err("lost");
    assert_eq!(lost.observed(&token).unwrap_err(), "lost");
}
