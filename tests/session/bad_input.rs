use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use jwt_refresh::{Error, ErrorKind, HttpAuthenticator, Session};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use crate::World;

async fn login_at(url: String) -> Error {
    let authenticator = HttpAuthenticator::builder(url).field("email", "a").secret_field("password", "S3cret");
    Session::new(authenticator.build().unwrap()).token().await.unwrap_err()
}

#[tokio::test]
async fn a_wrong_password_is_final_and_names_the_endpoint_and_the_code() {
    let world = World::new();
    let error = world
        .authenticator()
        .secret_field("password", "S3cret")
        .build()
        .map(Session::new)
        .unwrap()
        .token()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    let shown = error.to_string();
    for part in ["the login was denied at http://127.0.0.1:", "/api/auth/login", "401", "invalid_credentials"] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_transient_and_says_that_nothing_arrived() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = login_at(format!("http://127.0.0.1:{port}/login")).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.is_transient() && error.to_string().contains(&format!("127.0.0.1:{port}/login")), "{error}");
}

#[tokio::test]
async fn a_tls_handshake_that_fails_says_so_in_its_cause() {
    let world = World::new();
    let error = login_at(world.server.url("/api/auth/login").replace("http://", "https://")).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("TLS"), "{error}");
    assert_eq!(world.server.stats().auth_requests, 0, "no credential was sent");
}

#[test]
fn plain_http_to_another_machine_is_refused_before_anything_is_sent() {
    let error = HttpAuthenticator::builder("http://api.example/login").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("allow_plain_http"), "{error}");
    let refresh = HttpAuthenticator::builder("https://api.example/login").refresh_url("http://api.example/r").build();
    assert_eq!(refresh.unwrap_err().kind(), ErrorKind::Configuration);
}

#[test]
fn plain_http_to_this_machine_does_not_go_through_a_proxy_of_the_environment() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let a_login = "single_flight::many_tasks_at_a_session_that_never_logged_in_make_one_login";
    let with_proxy = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", a_login])
        .envs(["http_proxy", "HTTP_PROXY", "all_proxy"].map(|name| (name, format!("http://127.0.0.1:{port}"))))
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&with_proxy.stdout);
    assert!(with_proxy.status.success() && shown.contains("1 passed"), "{shown}");
}

/// Everything that can be wrong with an answer, and the kind of error it is.
fn faults(elsewhere: &World) -> Vec<(Fault, ErrorKind)> {
    vec![
        (Fault::DropConnection, ErrorKind::Unanswered),
        (Fault::DropAfterProcessing, ErrorKind::Unanswered),
        (Fault::CutBody, ErrorKind::Unanswered),
        (Fault::Status(500), ErrorKind::Unavailable),
        (Fault::Status(404), ErrorKind::BadAnswer),
        (Fault::TooManyRequests { retry_after: Duration::from_secs(1) }, ErrorKind::Unavailable),
        (Fault::Redirect(elsewhere.server.url("/api/auth/refresh")), ErrorKind::BadAnswer),
        (Fault::Garbage, ErrorKind::BadAnswer),
        (Fault::HtmlPage, ErrorKind::BadAnswer),
        (Fault::EmptyBody, ErrorKind::BadAnswer),
        (Fault::HugeBody(1 << 40), ErrorKind::BadAnswer),
        (Fault::MissingField("access_token"), ErrorKind::BadAnswer),
        (Fault::Body(r#"{"access_token":"x","expires_in":"evil"}"#.into()), ErrorKind::BadAnswer),
        (Fault::Body(r#"{"access_token":"x","expires_in":0}"#.into()), ErrorKind::BadAnswer),
    ]
}

#[tokio::test]
async fn whatever_a_refresh_answers_the_token_that_lives_is_served_to_its_end() {
    let elsewhere = World::new();
    for (fault, _) in faults(&elsewhere) {
        let world = World::new();
        let session = world.logged_in().await;
        world.server.inject(Endpoint::Refresh, fault.clone(), Times::Once);
        // Due: callers wait for this refresh, and go on with the old token when it has failed.
        world.pass(Duration::from_secs(58));
        assert_eq!(session.token().await.unwrap().generation(), 1, "{fault:?}");
        assert_eq!(world.server.stats().faults, 1, "{fault:?}");
        assert_eq!(world.call(&session).await, 200, "{fault:?}");
    }
    assert_eq!(elsewhere.server.stats().auth_requests, 0, "no refresh token followed the redirect");
}

#[tokio::test]
async fn whatever_a_refresh_answers_the_error_says_what_and_where_and_the_session_recovers() {
    let elsewhere = World::new();
    for (fault, kind) in faults(&elsewhere) {
        let world = World::new();
        let session = world.logged_in().await;
        world.server.inject(Endpoint::Refresh, fault.clone(), Times::Once);
        world.pass(Duration::from_secs(61));
        let error = session.token().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        assert!(error.is_transient(), "{fault:?}: {error}");
        world.pass(Duration::from_secs(1));
        assert_eq!(world.call(&session).await, 200, "{fault:?} is over");
        assert_eq!(world.server.stats().reuses, 0, "{fault:?}");
    }
    assert_eq!(elsewhere.server.stats().auth_requests, 0, "no refresh token followed the redirect");
}

#[tokio::test]
async fn a_login_that_fails_leaves_the_tokens_held_as_they_were() {
    let elsewhere = World::new();
    for (fault, _) in faults(&elsewhere) {
        let world = World::new();
        let session = world.logged_in().await;
        world.server.inject(Endpoint::Login, fault.clone(), Times::Always);
        assert!(session.login().await.is_err(), "{fault:?}");
        assert_eq!(world.call(&session).await, 200, "{fault:?}");
        world.pass(Duration::from_secs(61));
        assert_eq!(world.call(&session).await, 200, "the refresh token is still held: {fault:?}");
    }
}
