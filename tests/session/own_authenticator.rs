//! An authenticator of the user's own has the same care at hand as the ready-made one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwt_refresh::{Authenticator, Error, ErrorKind, RefreshToken, Secret, Session, TokenFields, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use crate::support::{MINUTE, PAST_EXPIRY, SECOND, World};

/// Posts JSON itself, and notes the tokens that it reads.
struct Own {
    http: reqwest::Client,
    base: String,
    email: String,
    password: Secret,
    read: Arc<Mutex<Option<Tokens>>>,
}

impl Own {
    fn new(world: &World) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap(),
            base: world.server.base_url().to_owned(),
            email: world.server.email().to_owned(),
            password: world.server.password().into(),
            read: Arc::default(),
        }
    }

    async fn post(&self, path: &str, body: serde_json::Value) -> Result<Tokens, Error> {
        let answer = self.http.post(format!("{}{path}?api_key=S3cret", self.base)).json(&body).send().await?;
        let tokens = Tokens::from_response(answer, &TokenFields::default()).await?;
        *self.read.lock().unwrap() = Some(tokens.clone());
        Ok(tokens)
    }
}

impl Authenticator for Own {
    async fn login(&self) -> Result<Tokens, Error> {
        let body = serde_json::json!({ "email": self.email, "password": self.password.expose() });
        self.post("/api/auth/login", body).await
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        self.post("/api/auth/refresh", serde_json::json!({ "refresh_token": token.expose() })).await
    }
}

async fn login_with(fault: Fault) -> Error {
    let world = World::new();
    world.server.inject(Endpoint::Login, fault, Times::Once);
    Session::new(Own::new(&world)).token().await.unwrap_err()
}

#[tokio::test]
async fn the_error_keeps_the_code_and_retry_after_and_names_the_endpoint_without_its_query() {
    let error = login_with(Fault::TooManyRequests { retry_after: Duration::from_secs(59) }).await;
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(Duration::from_secs(59))));
    assert_eq!(error.code(), Some("temporarily_unavailable"));
    assert!(error.endpoint().unwrap().ends_with("/api/auth/login"), "{error}");

    let error = login_with(Fault::InvalidGrant).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::ReauthenticationRequired, Some("invalid_grant")));
    assert!(error.to_string().starts_with("the login was denied at http://127.0.0.1:"), "{error}");
    assert!(login_with(Fault::HugeBody(1 << 40)).await.to_string().contains("256 KiB"));
    assert_eq!(login_with(Fault::CutBody).await.kind(), ErrorKind::Unanswered);
}

#[tokio::test]
async fn a_pause_that_the_server_asked_for_is_kept() {
    let world = World::new();
    let session = Session::builder(Own::new(&world)).clock(&world.clock).build();
    let busy = Fault::TooManyRequests { retry_after: Duration::from_secs(59) };
    world.server.inject(Endpoint::Login, busy, Times::Once);
    session.token().await.unwrap_err();
    world.pass(SECOND * 55);
    session.token().await.unwrap_err();
    assert_eq!(world.server.stats().auth_requests, 1);
    world.pass(SECOND * 5);
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn the_table_holds_for_it_in_full() {
    let page = Fault::Answer { status: 403, content_type: "text/html", body: "<h1>Forbidden</h1>" };
    let inside = Fault::Body(r#"{"error":"Your session has ended"}"#.into());
    for (fault, logins, refreshes) in
        [(page, 0, 1), (inside, 1, 0), (Fault::Status(422), 1, 0), (Fault::Status(524), 1, 0)]
    {
        let world = World::new();
        let session = Session::builder(Own::new(&world)).clock(&world.clock).connect().await.unwrap();
        let before = world.server.stats();
        world.server.inject(Endpoint::Refresh, fault.clone(), Times::Once);
        world.pass(PAST_EXPIRY);
        let _ = session.token().await;
        world.pass(SECOND);
        assert_eq!(world.call(&session).await, 200, "{fault:?}");
        let stats = world.server.stats().since(&before);
        assert_eq!((stats.logins, stats.refreshes, stats.reuses), (logins, refreshes, 0), "{fault:?}");
    }
}

#[tokio::test]
async fn what_was_read_can_be_looked_at_and_what_was_not_read_too() {
    let world = World::new();
    let own = Own::new(&world);
    let read = Arc::clone(&own.read);
    let answer = r#"{"access_token":"AccessS3cret","refresh_token":"RefreshS3cret","expires_in":60,
        "refresh_expires_in":1800,"id_token":"IdS3cret","instance_url":"https://eu.api.example"}"#;
    world.server.inject(Endpoint::Login, Fault::Body(answer.into()), Times::Once);
    Session::new(own).token().await.unwrap();
    let tokens = read.lock().unwrap().clone().unwrap();
    assert_eq!(tokens.access().expose(), "AccessS3cret");
    assert_eq!(tokens.refresh().unwrap().expose(), "RefreshS3cret");
    assert_eq!(tokens.lifetime(), Some(MINUTE));
    assert_eq!(tokens.refresh_lifetime(), Some(30 * MINUTE));
    assert!(tokens.server_date().is_some() && tokens.expiry().is_none());
    assert_eq!(tokens.extra("id_token").unwrap(), "IdS3cret");
    assert_eq!(tokens.extra("instance_url").unwrap(), "https://eu.api.example");
    assert!(!format!("{tokens:?} {tokens:#?}").contains("S3cret"));
}
