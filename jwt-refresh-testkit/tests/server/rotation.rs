//! Refresh tokens: rotation, its grace period, reuse detection, revocation, and no rotation.

use std::time::Duration;

use jwt_refresh_testkit::{RefreshAnswer, Rotation, TestServer};
use reqwest::StatusCode;
use serde_json::json;

use crate::client::{Setup, Tokens, ok_json, setup, setup_with};

const MINUTE: Duration = Duration::from_secs(60);

fn setup_with_rotation(rotation: Rotation) -> Setup {
    setup_with(TestServer::builder().rotation(rotation))
}

#[tokio::test]
async fn a_refresh_returns_a_new_valid_token_pair() {
    let setup = setup();
    let first = setup.login().await;
    let second = setup.refresh(&first.refresh).await;

    assert_ne!(second.access, first.access);
    assert_ne!(second.refresh, first.refresh);
    assert_eq!(setup.api_status(&second.access).await, StatusCode::OK);
    assert_eq!(setup.refresh_status(&second.refresh).await, StatusCode::OK);
    assert_eq!(setup.server.stats().refreshes, 2);
}

#[tokio::test]
async fn the_old_access_token_stays_valid_after_a_refresh() {
    let setup = setup();
    let first = setup.login().await;
    setup.refresh(&first.refresh).await;
    assert_eq!(setup.api_status(&first.access).await, StatusCode::OK);
}

#[tokio::test]
async fn reuse_revokes_every_token_of_the_family_and_is_counted_once() {
    let setup = setup();
    let first = setup.login().await;
    let second = setup.refresh(&first.refresh).await;

    let reused = setup.try_refresh(&first.refresh).await.expect("an answer");
    assert_eq!(reused.status(), StatusCode::BAD_REQUEST);
    let error: serde_json::Value = reused.json().await.expect("JSON");
    assert_eq!(error, json!({ "error": "invalid_grant" }));

    for Tokens { access, refresh } in [&first, &second] {
        assert_eq!(setup.api_status(access).await, StatusCode::UNAUTHORIZED);
        assert_eq!(setup.refresh_status(refresh).await, StatusCode::BAD_REQUEST);
    }
    let stats = setup.server.stats();
    assert_eq!(stats.reuses, 1);
    assert_eq!(stats.refreshes, 1);
    assert_eq!(stats.failed_refreshes, 3);
}

#[tokio::test]
async fn reuse_does_not_affect_other_logins() {
    let setup = setup();
    let spent = setup.login().await;
    let other = setup.login().await;
    setup.refresh(&spent.refresh).await;
    setup.refresh_status(&spent.refresh).await;

    assert_eq!(setup.server.stats().reuses, 1);
    assert_eq!(setup.api_status(&other.access).await, StatusCode::OK);
    assert_eq!(setup.refresh_status(&other.refresh).await, StatusCode::OK);
}

#[tokio::test]
async fn within_the_grace_period_a_spent_refresh_token_is_accepted_again() {
    let setup = setup_with_rotation(Rotation::OnWithGrace(MINUTE));
    let first = setup.login().await;
    let second = setup.refresh(&first.refresh).await;
    let again = setup.refresh(&first.refresh).await;

    assert_ne!(again.refresh, second.refresh);
    for tokens in [&second, &again] {
        assert_eq!(setup.api_status(&tokens.access).await, StatusCode::OK);
        assert_eq!(setup.refresh_status(&tokens.refresh).await, StatusCode::OK);
    }
    assert_eq!(setup.server.stats().reuses, 0);
}

#[tokio::test]
async fn the_grace_period_starts_at_the_first_use() {
    let setup = setup_with_rotation(Rotation::OnWithGrace(MINUTE));
    let first = setup.login().await;
    setup.refresh(&first.refresh).await;
    setup.server.advance(MINUTE / 2);
    let last = setup.refresh(&first.refresh).await;
    setup.server.advance(MINUTE / 2);

    assert_eq!(setup.refresh_status(&first.refresh).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        setup.refresh_status(&last.refresh).await,
        StatusCode::BAD_REQUEST,
        "the grace's own pairs belong to the family"
    );
    assert_eq!(setup.server.stats().reuses, 1);
}

#[tokio::test]
async fn without_rotation_a_refresh_token_is_valid_many_times_and_not_sent_back() {
    let setup = setup_with_rotation(Rotation::Off);
    let first = setup.login().await;
    for _ in 0..3 {
        let answer = ok_json(setup.try_refresh(&first.refresh).await).await;
        assert_eq!(answer.get("refresh_token"), None);
    }
    assert_eq!(setup.server.stats().refreshes, 3);
    assert_eq!(setup.server.stats().reuses, 0);
}

#[tokio::test]
async fn without_rotation_the_same_refresh_token_is_sent_back_if_configured() {
    let builder = TestServer::builder().rotation(Rotation::Off).refresh_answer(RefreshAnswer::Same);
    let setup = setup_with(builder);
    let first = setup.login().await;
    assert_eq!(setup.refresh(&first.refresh).await.refresh, first.refresh);
}

#[tokio::test]
async fn an_expired_refresh_token_is_not_counted_as_reuse() {
    let setup = setup_with(TestServer::builder().refresh_lifetime(MINUTE));
    let live = setup.login().await;
    let spent = setup.login().await;
    setup.refresh(&spent.refresh).await;
    setup.server.advance(MINUTE);

    for tokens in [live, spent] {
        assert_eq!(setup.refresh_status(&tokens.refresh).await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(setup.server.stats().reuses, 0);
}

#[tokio::test]
async fn a_rotated_refresh_token_has_a_full_lifetime() {
    let setup = setup_with(TestServer::builder().refresh_lifetime(MINUTE));
    let first = setup.login().await;
    setup.server.advance(MINUTE / 2);
    let second = setup.refresh(&first.refresh).await;
    setup.server.advance(MINUTE / 2);
    assert_eq!(setup.refresh_status(&second.refresh).await, StatusCode::OK);
}

#[tokio::test]
async fn revoked_refresh_tokens_are_not_counted_as_reuse() {
    let setup = setup();
    let spent = setup.login().await;
    let live = setup.refresh(&spent.refresh).await;
    setup.server.revoke_refresh_tokens();

    for tokens in [&spent, &live] {
        assert_eq!(setup.refresh_status(&tokens.refresh).await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(setup.api_status(&live.access).await, StatusCode::OK);
    assert_eq!(setup.server.stats().reuses, 0);
}

#[tokio::test]
async fn revoking_a_refresh_token_revokes_its_login_and_an_unknown_token_is_no_error() {
    let setup = setup();
    let (gone, stays) = (setup.login().await, setup.login().await);
    for token in [gone.refresh.as_str(), "unknown"] {
        let form = format!("token={token}&token_type_hint=refresh_token");
        let request = setup.http.post(setup.server.url("/api/auth/revoke"));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        assert_eq!(request.send().await.expect("an answer").status(), StatusCode::OK);
    }
    assert_eq!(setup.refresh_status(&gone.refresh).await, StatusCode::BAD_REQUEST);
    assert_eq!(setup.api_status(&gone.access).await, StatusCode::UNAUTHORIZED);
    assert_eq!(setup.api_status(&stays.access).await, StatusCode::OK);
    assert_eq!((setup.server.stats().revocations, setup.server.stats().reuses), (1, 0));
}

#[tokio::test]
async fn a_malformed_refresh_is_refused_and_counted() {
    let setup = setup();
    let answer = setup.post("/api/auth/refresh", json!({ "token": "x" })).await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::BAD_REQUEST);
    assert_eq!(setup.server.stats().failed_refreshes, 1);
    assert_eq!(setup.server.stats().auth_requests, 1);
}

#[tokio::test]
async fn of_many_concurrent_refreshes_with_one_token_exactly_one_succeeds() {
    let setup = setup();
    let tokens = setup.login().await;
    let racers = (0..32).map(|_| setup.refresh_status(&tokens.refresh));
    let statuses = futures_util::future::join_all(racers).await;

    let won = statuses.iter().filter(|status| status.is_success()).count();
    assert_eq!(won, 1);
    assert_eq!(setup.server.stats().reuses, 1);
}
