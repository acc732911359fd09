//! Rate limits and quotas of accounts, and the counters of each account.

use std::time::Duration;

use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::client::{Setup, Tokens, ok_json, setup, setup_with};

const HOUR: Duration = Duration::from_secs(3600);
const BOB: &str = "bob@example.com";

/// Starts a server with two accounts, each of which may make `requests` calls an hour.
fn two_accounts_with_limit(requests: u32) -> Setup {
    setup_with(TestServer::builder().account(BOB, "hunter2").access_lifetime(48 * HOUR).rate_limit(requests, HOUR))
}

async fn login_of_bob(setup: &Setup) -> Tokens {
    let body = json!({ "email": BOB, "password": "hunter2" });
    Tokens::from(&ok_json(setup.post("/api/auth/login", body).await).await)
}

/// Makes a call that is refused. Returns its status, `Retry-After` and `error`.
async fn refusal(setup: &Setup, token: &str) -> (u16, String, String) {
    let answer = setup.call(Method::GET, "/api/v1/products/1", token).await;
    let retry_after = answer.headers()[header::RETRY_AFTER].to_str().expect("ASCII").to_owned();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.expect("JSON");
    (status, retry_after, body["error"].as_str().expect("text").to_owned())
}

#[tokio::test]
async fn each_account_has_a_bucket_of_calls_that_fills_evenly() {
    let setup = two_accounts_with_limit(4);
    let (ada, bob) = (setup.login().await.access, login_of_bob(&setup).await.access);
    for _ in 0..4 {
        assert_eq!(setup.api_status(&ada).await, StatusCode::OK);
    }
    let (status, retry_after, error) = refusal(&setup, &ada).await;
    let wait: u64 = retry_after.parse().expect("seconds");
    assert!(status == 429 && error == "rate_limited" && (800..=900).contains(&wait), "{status} {wait} {error}");
    assert_eq!(setup.api_status(&bob).await, StatusCode::OK, "each has its own");

    setup.server.advance(HOUR / 4);
    assert_eq!(setup.api_status(&ada).await, StatusCode::OK);
    assert_eq!(setup.api_status(&ada).await, StatusCode::TOO_MANY_REQUESTS);
    let seen = setup.server.account_stats(setup.server.email());
    assert_eq!((seen.api_calls, seen.limited, seen.most_in_a_period), (5, 2, 7));
    assert_eq!(setup.server.account_stats(BOB).most_in_a_period, 1);
    assert_eq!(setup.server.stats().limited, 2);
}

#[tokio::test]
async fn a_used_up_rate_recovers_evenly() {
    let setup = two_accounts_with_limit(4);
    let ada = setup.login().await.access;
    setup.server.use_up_rate(setup.server.email());
    let (status, retry_after, _) = refusal(&setup, &ada).await;
    assert_eq!((status, retry_after.as_str()), (429, "900"));
    setup.server.advance(HOUR / 4);
    assert_eq!(setup.api_status(&ada).await, StatusCode::OK);
    assert_eq!(setup.api_status(&ada).await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_new_token_does_not_refill_the_bucket_and_a_revoked_one_takes_nothing_from_it() {
    let setup = two_accounts_with_limit(2);
    let tokens = setup.login().await;
    assert_eq!(setup.api_status(&tokens.access).await, StatusCode::OK);
    setup.server.revoke_access_tokens_of(setup.server.email());
    for _ in 0..3 {
        assert_eq!(setup.api_status(&tokens.access).await, StatusCode::UNAUTHORIZED);
    }
    let renewed = setup.refresh(&tokens.refresh).await.access;
    assert_eq!(setup.api_status(&renewed).await, StatusCode::OK);
    assert_eq!(setup.api_status(&renewed).await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_used_up_quota_is_reported_until_its_reset() {
    let setup = setup_with(TestServer::builder().account(BOB, "hunter2").access_lifetime(48 * HOUR));
    let (ada, bob) = (setup.login().await, login_of_bob(&setup).await.access);
    let email = setup.server.email();
    setup.server.use_up_quota(email, 2 * HOUR);
    let (status, retry_after, error) = refusal(&setup, &ada.access).await;
    assert_eq!((status, retry_after.as_str(), error.as_str()), (403, "7200", "quota_exceeded"));
    let renewed = setup.refresh(&ada.refresh).await.access;
    assert_eq!(setup.api_status(&renewed).await, StatusCode::FORBIDDEN, "a new token does not bring it back");
    assert_eq!(setup.api_status(&bob).await, StatusCode::OK);

    setup.server.advance(2 * HOUR);
    assert_eq!(setup.api_status(&renewed).await, StatusCode::OK);
    setup.server.use_up_quota(email, HOUR);
    setup.server.restore_quota(email);
    assert_eq!(setup.api_status(&renewed).await, StatusCode::OK);
    let seen = setup.server.account_stats(email);
    assert_eq!((seen.over_quota, seen.forbidden, seen.api_calls), (2, 0, 2));
}

#[tokio::test]
async fn the_tokens_of_one_account_can_be_revoked() {
    let setup = setup_with(TestServer::builder().account(BOB, "hunter2"));
    let (ada, bob) = (setup.login().await, login_of_bob(&setup).await);
    setup.server.revoke_access_tokens_of(BOB);
    assert_eq!(setup.api_status(&bob.access).await, StatusCode::UNAUTHORIZED);
    assert_eq!(setup.api_status(&ada.access).await, StatusCode::OK);
    let bob = setup.refresh(&bob.refresh).await;
    setup.server.revoke_refresh_tokens_of(BOB);
    assert_eq!(setup.refresh_status(&bob.refresh).await, StatusCode::BAD_REQUEST);
    assert_eq!(setup.api_status(&bob.access).await, StatusCode::OK);
    assert_eq!(setup.refresh_status(&ada.refresh).await, StatusCode::OK);
    assert_eq!(setup.server.stats().reuses, 0);
}

#[tokio::test]
async fn requests_are_counted_for_their_account_even_if_they_are_refused() {
    let setup = setup_with(TestServer::builder().account(BOB, "hunter2"));
    setup.login().await;
    let tokens = login_of_bob(&setup).await;
    let tokens = setup.refresh(&tokens.refresh).await;
    setup.api_status(&tokens.access).await;
    setup.call(Method::DELETE, "/api/v1/products/1", &tokens.access).await;
    setup.server.ban(BOB);
    setup.api_status(&tokens.access).await;
    setup.refresh_status(&tokens.refresh).await;
    let wrong = json!({ "email": BOB, "password": "wrong" });
    for body in [wrong, json!({ "email": BOB, "password": "hunter2" })] {
        assert!(setup.post("/api/auth/login", body).await.expect("an answer").status().is_client_error());
    }
    setup.server.inject(Endpoint::Api, Fault::Status(500), Times::Once);
    setup.api_status(&tokens.access).await;

    let stats = setup.server.account_stats(BOB);
    assert_eq!((stats.logins, stats.failed_logins), (1, 2));
    assert_eq!((stats.refreshes, stats.failed_refreshes), (1, 1));
    assert_eq!((stats.api_calls, stats.rejected, stats.forbidden), (1, 1, 1));
    assert_eq!((stats.limited, stats.over_quota, stats.most_in_a_period), (0, 0, 0));
    assert_eq!(setup.server.account_stats(setup.server.email()).logins, 1);
}

#[test]
#[should_panic(expected = "lets nothing through")]
fn a_rate_limit_of_zero_requests_panics() {
    drop(TestServer::builder().rate_limit(0, HOUR));
}

#[tokio::test]
#[should_panic(expected = "no account \"eve\"")]
async fn the_counters_of_an_unknown_account_panic() {
    setup().server.account_stats("eve");
}
