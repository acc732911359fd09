//! What the answers of a server without tokens mean for a session: the table in DESIGN.md.

use jwt_refresh::store::MemoryStore;
use jwt_refresh::{Authenticator, Error, ErrorKind, RefreshToken, Secret, Session, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, RefreshAnswer, Rotation, TestServer, Times};

use crate::support::{HOUR, PAST_EXPIRY, SECOND, World};

const JSON: &str = "application/json";
const PAGE: &str = "<!DOCTYPE html><title>Nope</title>";

fn answer(status: u16, content_type: &'static str, body: &'static str) -> Fault {
    Fault::Answer { status, content_type, body }
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_is_dead_and_costs_one_login() {
    let mut refusals = vec![
        answer(500, JSON, r#"{"error":"invalid_grant"}"#),
        answer(200, JSON, r#"{"error":"invalid_grant"}"#),
        answer(200, JSON, r#"{"error":{"message":"Your session has ended"}}"#),
    ];
    for status in [400, 401, 403, 404, 405, 410, 422] {
        refusals.push(answer(status, JSON, r#"{"message":"no such token"}"#));
        refusals.push(answer(status, "text/html", ""));
        refusals.push(answer(status, "text/plain", "Unauthorized"));
    }
    for refusal in refusals {
        let world = World::new();
        let session = world.session().connect().await.unwrap();
        world.server.inject(Endpoint::Refresh, refusal.clone(), Times::Once);
        world.pass(PAST_EXPIRY);
        assert_eq!(world.call(&session).await, 200, "{refusal:?}");
        let stats = world.server.stats();
        assert_eq!((stats.logins, stats.auth_requests, stats.reuses), (2, 3, 0), "{refusal:?}");
    }
}

/// Fails a refresh once, and counts the logins and the refreshes that it takes to be well again.
async fn recovers(fault: Fault) -> (u64, u64) {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let before = world.server.stats();
    world.server.inject(Endpoint::Refresh, fault.clone(), Times::Once);
    world.pass(PAST_EXPIRY);
    let error = session.token().await.unwrap_err();
    assert!(error.is_transient(), "{fault:?}: {error}");
    world.pass(SECOND);
    assert_eq!(world.call(&session).await, 200, "{fault:?}");
    let stats = world.server.stats().since(&before);
    assert_eq!(stats.reuses, 0, "{fault:?}");
    (stats.logins, stats.refreshes)
}

#[tokio::test]
async fn a_page_is_a_gateways_and_leaves_the_refresh_token_valid() {
    for status in [200, 400, 401, 403, 404, 405, 410, 422] {
        for content_type in ["text/html", "text/plain"] {
            assert_eq!(recovers(answer(status, content_type, PAGE)).await, (0, 1), "{status}");
        }
    }
}

#[tokio::test]
async fn a_refresh_token_that_may_be_spent_is_in_doubt_and_one_that_is_not_spent_is_sent_again() {
    for status in [500, 502, 504, 520, 522, 524] {
        assert_eq!(recovers(Fault::Status(status)).await, (1, 0), "{status}");
        assert_eq!(recovers(answer(status, "text/html", PAGE)).await, (1, 0), "{status}");
    }
    for status in [429, 503, 521, 523, 525, 526] {
        assert_eq!(recovers(Fault::Status(status)).await, (0, 1), "{status}");
        assert_eq!(recovers(answer(status, "text/html", PAGE)).await, (0, 1), "{status}");
    }
}

#[tokio::test]
async fn a_refused_login_is_final_and_the_password_is_not_tried_again() {
    let mut refusals = vec![
        answer(500, JSON, r#"{"error":"invalid_grant"}"#),
        answer(200, JSON, r#"{"error":"Wrong password"}"#),
        answer(400, JSON, r#"{"error":"invalid_client"}"#),
    ];
    for status in [400, 401, 403, 422] {
        refusals.extend([answer(status, JSON, r#"{"message":"no"}"#), answer(status, JSON, "")]);
    }
    for refusal in refusals {
        let world = World::new();
        let session = world.session().build();
        world.server.inject(Endpoint::Login, refusal.clone(), Times::Once);
        for _ in 0..10 {
            let error = session.token().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired, "{refusal:?}: {error}");
            world.pass(HOUR);
        }
        assert_eq!(world.server.stats().auth_requests, 1, "{refusal:?}");
        session.login().await.unwrap();
        assert_eq!(world.call(&session).await, 200, "{refusal:?}");
    }
}

#[tokio::test]
async fn a_login_that_the_server_does_not_know_is_a_matter_of_the_set_up() {
    for status in [404, 405, 415] {
        let world = World::new();
        let session = world.session().build();
        world.server.inject(Endpoint::Login, answer(status, JSON, ""), Times::Once);
        let error = session.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("/api/auth/login"), "{error}");
        world.pass(SECOND);
        assert_eq!(world.call(&session).await, 200, "{status}");
    }
}

#[tokio::test]
async fn a_login_that_a_gateway_answers_with_a_page_is_tried_again() {
    for status in [200, 400, 401, 403, 404, 422] {
        let world = World::new();
        let session = world.session().build();
        world.server.inject(Endpoint::Login, answer(status, "text/html", PAGE), Times::Once);
        assert!(session.token().await.unwrap_err().is_transient(), "{status}");
        world.pass(SECOND);
        assert_eq!(world.call(&session).await, 200, "{status}");
    }
}

#[tokio::test]
async fn json_sent_to_a_form_endpoint_does_not_read_as_a_bad_password() {
    for refusal in [
        answer(400, JSON, r#"{"error":"invalid_request","error_description":"grant_type is missing"}"#),
        answer(400, JSON, r#"{"error":"unsupported_grant_type"}"#),
        answer(401, JSON, r#"{"error":"invalid_request"}"#),
        answer(415, "text/plain", "Unsupported Media Type"),
    ] {
        let world = World::new();
        world.server.inject(Endpoint::Login, refusal.clone(), Times::Once);
        let shown = world.session().build().token().await.unwrap_err().to_string();
        for part in ["the server did not understand the login at http://127.0.0.1:", "sent as JSON", "form"] {
            assert!(shown.contains(part), "{refusal:?}: {shown}");
        }
        assert!(!shown.contains("credentials") && !shown.contains("denied"), "{shown}");
    }
    // Where it may be the one or the other, both are said.
    for refusal in [answer(400, JSON, ""), answer(422, JSON, r#"{"detail":[]}"#)] {
        let world = World::new();
        world.server.inject(Endpoint::Login, refusal.clone(), Times::Once);
        let shown = world.session().build().token().await.unwrap_err().to_string();
        assert!(shown.contains("the login was denied") && shown.contains("JSON"), "{refusal:?}: {shown}");
    }
}

/// Posts JSON itself, and has reqwest judge the answer by its status.
struct ByStatus {
    http: reqwest::Client,
    base: String,
    email: String,
    password: Secret,
}

impl ByStatus {
    async fn post(&self, path: &str, body: serde_json::Value) -> Result<Tokens, Error> {
        let answer = self.http.post(format!("{}{path}", self.base)).json(&body).send().await?.error_for_status()?;
        Tokens::from_json(&answer.bytes().await?)
    }
}

impl Authenticator for ByStatus {
    async fn login(&self) -> Result<Tokens, Error> {
        let body = serde_json::json!({ "email": self.email, "password": self.password.expose() });
        self.post("/api/auth/login", body).await
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        self.post("/api/auth/refresh", serde_json::json!({ "refresh_token": token.expose() })).await
    }
}

#[tokio::test]
async fn the_table_holds_for_an_authenticator_of_the_users_own_as_far_as_reqwest_keeps_the_answer() {
    for (status, logins, refreshes) in [(401, 1, 0), (404, 1, 0), (422, 1, 0), (500, 1, 0), (524, 1, 0), (503, 0, 1)] {
        let world = World::new();
        let authenticator = ByStatus {
            http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap(),
            base: world.server.base_url().to_owned(),
            email: world.server.email().to_owned(),
            password: world.server.password().into(),
        };
        let session = Session::builder(authenticator).clock(&world.clock).build();
        world.server.inject(Endpoint::Login, Fault::Status(404), Times::Once);
        let error = session.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        world.pass(SECOND);
        session.login().await.unwrap();

        let before = world.server.stats();
        world.server.inject(Endpoint::Refresh, Fault::Status(status), Times::Once);
        world.pass(PAST_EXPIRY);
        let _ = session.token().await;
        world.pass(SECOND);
        assert_eq!(world.call(&session).await, 200, "{status}");
        let stats = world.server.stats().since(&before);
        assert_eq!((stats.logins, stats.refreshes, stats.reuses), (logins, refreshes, 0), "{status}");
    }
}

/// A session on a server that does not replace refresh tokens, which it has seen once.
async fn refreshed_by_a_server_that_reuses(answer: RefreshAnswer) -> (World, Session) {
    let world = World::with(TestServer::builder().rotation(Rotation::Off).refresh_answer(answer).start());
    let session = world.session().connect().await.unwrap();
    world.pass(PAST_EXPIRY);
    assert_eq!(world.call(&session).await, 200);
    (world, session)
}

#[tokio::test]
async fn a_refresh_token_that_the_server_does_not_replace_is_sent_again_after_a_lost_answer() {
    let lost = [500, 502, 504, 520, 522, 524].map(Fault::Status).into_iter();
    for fault in lost.chain([Fault::DropAfterProcessing, Fault::CutBody]) {
        for answer in [RefreshAnswer::Omit, RefreshAnswer::Same] {
            let (world, session) = refreshed_by_a_server_that_reuses(answer).await;
            world.server.inject(Endpoint::Refresh, fault.clone(), Times::Once);
            world.pass(PAST_EXPIRY);
            assert!(session.token().await.unwrap_err().is_transient(), "{fault:?}");
            world.pass(SECOND);
            assert_eq!(world.call(&session).await, 200, "{fault:?}");
            assert_eq!(world.server.stats().logins, 1, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_login_at_a_server_that_does_not_replace_refresh_tokens_keeps_that_in_mind() {
    let (world, session) = refreshed_by_a_server_that_reuses(RefreshAnswer::Omit).await;
    world.server.revoke_refresh_tokens();
    world.pass(PAST_EXPIRY);
    assert_eq!(world.call(&session).await, 200);
    world.server.inject(Endpoint::Refresh, Fault::Status(502), Times::Once);
    world.pass(PAST_EXPIRY);
    session.token().await.unwrap_err();
    world.pass(SECOND);
    assert_eq!(world.call(&session).await, 200);
    assert_eq!(world.server.stats().logins, 2, "one of them because the refresh token was dead");
}

#[tokio::test]
async fn that_a_server_does_not_replace_refresh_tokens_is_kept_in_the_store() {
    let (world, session) = refreshed_by_a_server_that_reuses(RefreshAnswer::Omit).await;
    drop(session);
    let store = MemoryStore::new();
    let first = world.session().store(store.clone(), "ada").connect().await.unwrap();
    world.pass(PAST_EXPIRY);
    assert_eq!(world.call(&first).await, 200);
    drop(first);

    let before = world.server.stats();
    let second = world.session().store(store, "ada").build();
    assert_eq!(world.call(&second).await, 200);
    world.server.inject(Endpoint::Refresh, Fault::DropAfterProcessing, Times::Once);
    world.pass(PAST_EXPIRY);
    second.token().await.unwrap_err();
    world.pass(SECOND);
    assert_eq!(world.call(&second).await, 200);
    assert_eq!(world.server.stats().since(&before).logins, 0);
}

#[tokio::test]
async fn a_server_that_fails_at_a_refresh_token_for_good_costs_a_login_all_the_same() {
    let (world, session) = refreshed_by_a_server_that_reuses(RefreshAnswer::Omit).await;
    world.server.inject(Endpoint::Refresh, Fault::Status(500), Times::Always);
    world.pass(PAST_EXPIRY);
    for _ in 0..3 {
        session.token().await.unwrap_err();
        world.pass(PAST_EXPIRY);
    }
    assert_eq!(world.call(&session).await, 200);
    assert_eq!(world.server.stats().logins, 2);
}

#[tokio::test]
async fn a_refused_password_is_not_tried_again_while_a_refresh_token_in_doubt_is() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.server.inject(Endpoint::Refresh, Fault::DropAfterProcessing, Times::Once);
    world.pass(PAST_EXPIRY);
    session.token().await.unwrap_err();
    world.server.set_password(world.server.email(), "changed");
    world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Always);
    for _ in 0..5 {
        world.pass(PAST_EXPIRY);
        assert!(session.token().await.unwrap_err().is_transient(), "the refresh token may still be good");
    }
    let stats = world.server.stats();
    assert_eq!((stats.failed_logins, stats.failed_refreshes), (1, 5));

    world.server.clear_faults();
    world.pass(PAST_EXPIRY);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::ReauthenticationRequired);
    assert_eq!(world.server.stats().failed_logins, 1);
}

#[tokio::test]
async fn a_password_that_an_explicit_login_found_refused_is_not_tried_when_the_refresh_token_is_dead() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.server.set_password(world.server.email(), "changed");
    session.login().await.unwrap_err();
    world.server.revoke_refresh_tokens();
    world.pass(PAST_EXPIRY);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::ReauthenticationRequired);
    assert_eq!(world.server.stats().failed_logins, 1);

    world.server.set_password(world.server.email(), world.server.password());
    session.login().await.unwrap();
    world.server.revoke_refresh_tokens();
    world.pass(PAST_EXPIRY);
    assert_eq!(world.call(&session).await, 200, "a login that succeeded is news");
}

#[tokio::test]
async fn a_refresh_token_in_doubt_is_tried_where_the_server_knows_no_login() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.server.inject(Endpoint::Refresh, Fault::DropConnection, Times::Once);
    world.pass(PAST_EXPIRY);
    session.token().await.unwrap_err();
    world.server.inject(Endpoint::Login, Fault::Status(404), Times::Always);
    world.pass(SECOND);
    assert_eq!(world.call(&session).await, 200);
    assert_eq!(world.server.stats().refreshes, 1);
}
