//! A trial of each description says what its server does.

use jwt_refresh::LoginTrial;

use crate::scenario::{CLIENT, JWT, OPAQUE, SLIDING, Scenario, simplejwt};
use crate::server::{Rotation, Server};

async fn assert_tells(scenario: Scenario, parts: &[&str]) {
    let server = Server::start(scenario.software).await;
    let shown = LoginTrial::run(scenario.authenticator(&server)).await.unwrap().to_string();
    for part in parts {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("eyJ") && !shown.contains("lovelace"), "{shown}");
}

#[tokio::test]
async fn a_trial_tells_opaque_tokens_from_jwts_and_how_long_they_live() {
    let by_lifetime = "access token: opaque; it lives for 10 s (the answer states 10 s as a lifetime)";
    assert_tells(OPAQUE, &[by_lifetime, "a refresh replaces the refresh token", "callers wait for it after 9.5 s"])
        .await;
    // Its `exp` is in whole seconds.
    let by_both = "(the answer states 10 s as a lifetime and `exp` in the JWT)";
    assert_tells(JWT, &["access token: a JWT", by_both, "a refresh replaces the refresh token"]).await;
    assert_tells(CLIENT, &["refresh: not tried", "renews the token by a login"]).await;
}

#[tokio::test]
async fn a_trial_tells_whether_refresh_tokens_are_replaced() {
    let fields = "answer: {access: string, refresh: string}";
    let replaced = "a refresh replaces the refresh token";
    assert_tells(simplejwt(Rotation::ReplacedAndBlacklisted), &[fields, replaced]).await;
    assert_tells(simplejwt(Rotation::Kept), &[fields, "a refresh keeps the refresh token", "`exp` in the JWT"]).await;
    // Two sliding tokens of the same second are equal, so there may be nothing that is replaced.
    assert_tells(SLIDING, &["answer: {token: string}", "renews the token by a refresh"]).await;
}
