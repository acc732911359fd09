//! Mistakes of the configuration, and everything that can be wrong with a server's answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use jwt_refresh::{Error, ErrorKind, HttpAuthenticator, HttpClient, Policy, Session};
use jwt_refresh_testkit::{Endpoint, Fault, Times};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::IN_LEEWAY;
use crate::support::{HOUR, PAST_EXPIRY, SECOND, World, free_port, login, test_command};

async fn login_error_at(url: String) -> Error {
    let authenticator = HttpAuthenticator::builder(url).field("email", "a").secret_field("password", "S3cret");
    Session::new(authenticator.build().unwrap()).token().await.unwrap_err()
}

#[tokio::test]
async fn a_wrong_password_is_final_and_the_error_names_the_endpoint_and_the_code() {
    let world = World::new();
    let authenticator = login(&world.server).secret_field("password", "S3cret").build().unwrap();
    let error = Session::new(authenticator).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    let shown = error.to_string();
    for part in ["the login was denied at http://127.0.0.1:", "/api/auth/login", "401", "invalid_credentials"] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[tokio::test]
async fn an_unreachable_host_is_a_transient_error_that_says_that_nothing_arrived() {
    let port = free_port();
    let error = login_error_at(format!("http://127.0.0.1:{port}/login")).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.is_transient() && error.to_string().contains(&format!("127.0.0.1:{port}/login")), "{error}");
}

#[tokio::test]
async fn the_time_out_of_each_policy_counts_and_the_error_names_the_endpoint() {
    let world = World::new();
    let login = Arc::new(login(&world.server).build().unwrap());
    for timeout in [Duration::from_millis(100), Duration::from_millis(700)] {
        world.server.inject(Endpoint::Login, Fault::Hang(HOUR), Times::Once);
        let session = Session::builder(Arc::clone(&login)).policy(Policy::default().login_timeout(timeout)).build();
        let begun = Instant::now();
        let error = session.token().await.unwrap_err();
        assert!(begun.elapsed() >= timeout, "{error}");
        let what = format!("the login was not answered within {} s at http://127.0.0.1:", timeout.as_secs_f32());
        assert!(error.to_string().starts_with(&what), "{error}");
    }
}

#[tokio::test]
async fn a_tls_handshake_that_fails_is_named_in_the_error() {
    let world = World::new();
    let error = login_error_at(world.server.url("/api/auth/login").replace("http://", "https://")).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("TLS"), "{error}");
    assert_eq!(world.server.stats().auth_requests, 0, "no credential was sent");
}

#[test]
fn plain_http_to_another_machine_is_refused_before_anything_is_sent() {
    let error = HttpAuthenticator::builder("http://api.example/login").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let shown = "credentials would go over plain http to another machine at http://api.example/login; use https, or \
                 `allow_plain_http`";
    assert!(error.to_string().ends_with(shown), "{error}");
    let refresh = HttpAuthenticator::builder("https://api.example/login").refresh_url("http://api.example/r").build();
    assert_eq!(refresh.unwrap_err().kind(), ErrorKind::Configuration);
}

/// Says of every name that it is another machine, and counts how often it is asked.
struct Elsewhere(Arc<AtomicU32>);

impl Resolve for Elsewhere {
    fn resolve(&self, _: Name) -> Resolving {
        self.0.fetch_add(1, Ordering::SeqCst);
        let addresses: Addrs = Box::new(std::iter::once(([127, 0, 0, 99], 0).into()));
        Box::pin(async { Ok(addresses) })
    }
}

#[tokio::test]
async fn the_names_of_this_machine_are_asked_of_nobody_whatever_client_the_user_brings() {
    let world = World::new();
    let asked = Arc::new(AtomicU32::new(0));
    for name in ["localhost", "login.localhost", "LOCALHOST.", "a.b.localhost"] {
        let at = |path: &str| world.server.url(path).replace("127.0.0.1", name);
        let asked = Arc::clone(&asked);
        let resolver = move || reqwest::Client::builder().dns_resolver(Elsewhere(Arc::clone(&asked)));
        let addresses = move || reqwest::Client::builder().resolve(&name.to_lowercase(), ([127, 0, 0, 99], 0).into());
        // Nothing listens there. A proxy would look the name up itself.
        let proxy = || reqwest::Client::builder().proxy(reqwest::Proxy::all("http://127.0.0.99:9").unwrap());
        for client in [HttpClient::default(), resolver.into(), addresses.into(), proxy.into()] {
            let login = HttpAuthenticator::builder(at("/api/auth/login"))
                .refresh_url(at("/api/auth/refresh"))
                .field("email", world.server.email())
                .secret_field("password", world.server.password())
                .client(client)
                .build()
                .unwrap();
            Session::new(login).token().await.unwrap();
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn plain_http_to_this_machine_does_not_go_through_a_proxy_of_the_environment() {
    let proxy = format!("http://127.0.0.1:{}", free_port());
    let with_proxy = test_command("concurrency::the_first_callers_of_a_session_share_one_login")
        .envs(["http_proxy", "HTTP_PROXY", "all_proxy"].map(|name| (name, &proxy)))
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&with_proxy.stdout);
    assert!(with_proxy.status.success() && shown.contains("1 passed"), "{shown}");
}

/// Everything that can be wrong with the answer to a refresh, the kind of error it is, and whether
/// the refresh token is in doubt after it: then the session logs in, and does not send it again.
fn faults(elsewhere: &World) -> Vec<(Fault, ErrorKind, bool)> {
    let (valid, in_doubt) = (false, true);
    vec![
        (Fault::DropConnection, ErrorKind::Unanswered, in_doubt),
        (Fault::DropAfterProcessing, ErrorKind::Unanswered, in_doubt),
        (Fault::CutBody, ErrorKind::Unanswered, in_doubt),
        (Fault::Status(500), ErrorKind::Unavailable, in_doubt),
        (Fault::Status(503), ErrorKind::Unavailable, valid),
        (Fault::Status(409), ErrorKind::BadAnswer, in_doubt),
        (Fault::TooManyRequests { retry_after: SECOND }, ErrorKind::Unavailable, valid),
        (Fault::Redirect(elsewhere.server.url("/api/auth/refresh")), ErrorKind::BadAnswer, valid),
        (Fault::Garbage, ErrorKind::BadAnswer, in_doubt),
        (Fault::HtmlPage, ErrorKind::BadAnswer, valid),
        (Fault::EmptyBody, ErrorKind::BadAnswer, in_doubt),
        (Fault::HugeBody(1 << 40), ErrorKind::BadAnswer, in_doubt),
        (Fault::MissingField("access_token"), ErrorKind::BadAnswer, in_doubt),
        (Fault::Body(r#"{"access_token":["evil"]}"#.into()), ErrorKind::BadAnswer, in_doubt),
        (Fault::Body(r#"{"access_token":"x","expires_in":0}"#.into()), ErrorKind::BadAnswer, valid),
    ]
}

#[tokio::test]
async fn after_any_bad_answer_to_a_refresh_a_live_token_is_served_to_its_end() {
    let elsewhere = World::new();
    for (fault, ..) in faults(&elsewhere) {
        let world = World::with_long_tokens();
        let session = world.session().connect().await.unwrap();
        world.server.inject(Endpoint::Refresh, fault.clone(), Times::Once);
        // The token is in its leeway, so callers wait for the refresh. After its failure they go on
        // with the token.
        world.pass(IN_LEEWAY);
        assert_eq!(session.token().await.unwrap().generation(), 1, "{fault:?}");
        assert_eq!(world.server.stats().faults, 1, "{fault:?}");
        assert_eq!(world.call(&session).await, 200, "{fault:?}");
    }
    assert_eq!(elsewhere.server.stats().auth_requests, 0, "no refresh token followed the redirect");
}

#[tokio::test]
async fn any_bad_answer_to_a_refresh_has_its_error_and_the_session_recovers_without_a_reuse() {
    let elsewhere = World::new();
    for (fault, kind, in_doubt) in faults(&elsewhere) {
        let world = World::new();
        let session = world.session().connect().await.unwrap();
        world.server.inject(Endpoint::Refresh, fault.clone(), Times::Once);
        world.pass(PAST_EXPIRY);
        let error = session.token().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        assert!(error.is_transient(), "{fault:?}: {error}");
        world.pass(SECOND);
        assert_eq!(world.call(&session).await, 200, "{fault:?} is over");
        let stats = world.server.stats();
        assert_eq!((stats.logins, stats.reuses), (1 + u64::from(in_doubt), 0), "{fault:?}");
    }
    assert_eq!(elsewhere.server.stats().auth_requests, 0, "no refresh token followed the redirect");
}

#[tokio::test]
async fn a_login_that_fails_leaves_the_tokens_held_as_they_were() {
    let elsewhere = World::new();
    for (fault, ..) in faults(&elsewhere) {
        let world = World::new();
        let session = world.session().connect().await.unwrap();
        world.server.inject(Endpoint::Login, fault.clone(), Times::Always);
        assert!(session.login().await.is_err(), "{fault:?}");
        assert_eq!(world.call(&session).await, 200, "{fault:?}");
        world.pass(PAST_EXPIRY);
        assert_eq!(world.call(&session).await, 200, "the refresh token is still held: {fault:?}");
    }
}
