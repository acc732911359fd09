//! No secret is shown by `Debug`, by an error, or in the log of any crate that takes part, at any
//! level.

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};

use jwt_refresh::jwt::Jwt;
use jwt_refresh::{
    Authenticator, Clock, Error, HttpAuthenticator, HttpClient, HttpRequest, Policy, RefreshToken, Secret, Session,
    TokenFields, TokenProvider, Tokens,
};
use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};

use support::{PAST_EXPIRY, SECOND, World};

/// Everything that was logged, and every secret that was used.
#[derive(Clone, Default)]
struct Record {
    log: Arc<Mutex<Vec<u8>>>,
    secrets: Arc<Mutex<Vec<String>>>,
}

impl Record {
    fn secret(&self, secret: &str) {
        self.secrets.lock().unwrap().push(secret.to_owned());
    }

    fn assert_hidden_in(&self, what: &str, shown: &str) {
        for secret in self.secrets.lock().unwrap().iter() {
            assert!(!shown.contains(secret.as_str()), "{what} shows {secret}: {shown}");
            // Half a secret is too much as well. All JWTs begin alike.
            let half: String = secret.chars().take(secret.len() / 2).collect();
            let is_common = half.len() < 8 || half.starts_with("eyJ");
            assert!(is_common || !shown.contains(&half), "{what} shows the beginning of {secret}: {shown}");
        }
    }
}

impl Write for Record {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.log.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Records every refresh token that is sent.
struct RecordsRefreshTokens {
    inner: HttpAuthenticator,
    record: Record,
}

impl Authenticator for RecordsRefreshTokens {
    async fn login(&self) -> Result<Tokens, Error> {
        self.inner.login().await
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        self.record.secret(token.expose());
        self.inner.refresh(token).await
    }
}

fn authenticator(server: &TestServer, password: &str) -> HttpAuthenticator {
    HttpAuthenticator::builder(server.url("/api/auth/login?api_key=S3cretInQuery"))
        .refresh_url(server.url("/api/auth/refresh?api_key=S3cretInQuery"))
        .field("email", server.email())
        .secret_field("password", password)
        .build()
        .unwrap()
}

fn assert_error_hides(record: &Record, error: &Error) {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        record.assert_hidden_in("an error", &format!("{error} {error:?} {error:#?}"));
        next = error.source();
    }
}

/// Logs in, renews and fails in all ways that could show a secret.
async fn use_a_session(record: &Record) {
    let world = World::new();
    let server = &world.server;
    record.secret(server.password());
    record.secret("S3cretInQuery");
    record.secret("N0tThePassword");

    let recording = RecordsRefreshTokens { inner: authenticator(server, server.password()), record: record.clone() };
    let session = Session::builder(recording).clock(&world.clock).connect().await.unwrap();
    let token = session.token().await.unwrap();
    record.secret(token.expose());
    record.secret(token.jwt().unwrap().signature());

    world.pass(PAST_EXPIRY);
    record.secret(session.token().await.unwrap().expose());
    for fault in [
        Fault::DropAfterProcessing,
        Fault::Status(500),
        Fault::Garbage,
        Fault::Redirect("https://api.example/?token=S3cretInQuery".into()),
        Fault::MissingField("access_token"),
        Fault::InvalidGrant,
    ] {
        world.pass(PAST_EXPIRY);
        server.inject(Endpoint::Any, fault, Times::Once);
        if let Err(error) = session.token().await {
            assert_error_hides(record, &error);
        }
        world.pass(2 * SECOND);
        let token = session.token().await.unwrap();
        record.secret(token.expose());
        assert_eq!(world.call_with(&token).await, 200);
    }
    let rejected = session.rejected(&session.token().await.unwrap()).await.unwrap();
    record.secret(rejected.expose());

    let wrong = Session::new(authenticator(server, "N0tThePassword"));
    assert_error_hides(record, &wrong.token().await.unwrap_err());
}

/// Logs in, refreshes and fails by a description with a secret in every place that can hold one.
async fn use_a_description(record: &Record) {
    let server = TestServer::start();
    let key = "KeyS3cret/with space";
    record.secret(key);
    record.secret("KeyS3cret%2Fwith%20space");
    let login = |path: &str| {
        HttpRequest::post(server.url(path))
            .basic_auth("{key}", "{key}")
            .header("x-key", "{key}")
            .cookie("key", "{key}")
            .json_field("email", server.email())
            .json_field("password", "{password}")
            .capture("carried", "access_token")
    };
    let refresh = HttpRequest::post(server.url("/api/auth/refresh?k={key}"))
        .header("x-carried", "{carried}")
        .json_field("refresh_token", "{refresh_token}");
    let api = |path: &str| {
        HttpAuthenticator::builder(login(path))
            .refresh(refresh.clone())
            .secret("key", key)
            .secret("password", server.password())
    };
    let works = api("/api/auth/login?k={key}").build().unwrap();
    let tokens = works.login().await.unwrap();
    record.secret(tokens.access().expose());
    record.secret(tokens.refresh().unwrap().expose());
    let renewed = works.refresh(tokens.refresh().unwrap()).await.unwrap();
    record.secret(renewed.refresh().unwrap().expose());
    assert_error_hides(record, &works.refresh(tokens.refresh().unwrap()).await.unwrap_err());
    assert_error_hides(record, &api("/{key}/login").build().unwrap().login().await.unwrap_err());
    let unlike = TokenFields::default().access_token("header:x-key");
    let unlike = api("/api/auth/login?k={key}").answer(unlike).build().unwrap();
    assert_error_hides(record, &unlike.login().await.unwrap_err());
    let unreadable = api("/api/auth/login").secret("key", "KeyS3cret\n").build().unwrap();
    assert_error_hides(record, &unreadable.login().await.unwrap_err());
    record.assert_hidden_in("a description", &format!("{works:?} {:?} {tokens:?}", api("/{key}")));
}

#[test]
fn no_log_line_of_any_crate_at_any_level_holds_a_secret() {
    let record = Record::default();
    let writer = record.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tracing_log::LogTracer::init().unwrap();
    log::set_max_level(log::LevelFilter::Trace);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(use_a_session(&record));
    runtime.block_on(use_a_description(&record));

    let log = String::from_utf8(record.log.lock().unwrap().clone()).unwrap();
    assert!(log.contains("jwt_refresh.renew") && log.contains("refresh"), "nothing was captured: {log}");
    assert!(record.secrets.lock().unwrap().len() > 15);
    record.assert_hidden_in("the log", &log);
}

#[test]
fn no_public_type_shows_a_secret_in_debug() {
    let server = TestServer::start();
    let record = Record::default();
    for secret in ["AccessS3cret", "RefreshS3cret", "PasswordS3cret", "S3cretInQuery", "c2lnbmF0dXJl"] {
        record.secret(secret);
    }
    let http = authenticator(&server, "PasswordS3cret");
    let headers: http::HeaderMap =
        [(http::header::USER_AGENT, http::HeaderValue::from_static("PasswordS3cret"))].into_iter().collect();
    let client = HttpClient::new(move || reqwest::Client::builder().default_headers(headers.clone()));
    let with_headers = HttpAuthenticator::builder("https://a.example").client(client.clone()).build().unwrap();
    let tokens = Tokens::new("AccessS3cret").unwrap().refresh_token("RefreshS3cret");
    let builder = Session::builder(http.clone()).tokens(tokens.clone());
    let builder_shown = format!("{builder:?}");
    let session = builder.build();
    let jwt = Jwt::decode("eyJhbGciOiJub25lIn0.eyJwdyI6IlBhc3N3b3JkUzNjcmV0In0.c2lnbmF0dXJl").unwrap();
    for shown in [
        builder_shown,
        format!("{http:?} {http:#?}"),
        format!("{client:?} {with_headers:?}"),
        format!(
            "{:?}",
            HttpAuthenticator::builder("https://ada:PasswordS3cret@a.example/?k=S3cretInQuery")
                .secret_field("password", "PasswordS3cret")
        ),
        format!("{tokens:?} {tokens:#?}"),
        format!("{:?}", Tokens::from_json(br#"{"access_token":"a","id_token":"AccessS3cret"}"#).unwrap()),
        format!("{session:?} {session:#?}"),
        format!("{:?} {:?}", session.ready().unwrap(), session.ready().unwrap().header()),
        format!("{:?}", RefreshToken::from("RefreshS3cret")),
        format!("{:?} {:#?}", Secret::from("PasswordS3cret"), Secret::from("PasswordS3cret")),
        format!("{jwt:?} {:?} {:?}", jwt.claims(), jwt.header()),
        format!("{:?}", Jwt::decode("AccessS3cret.PasswordS3cret.c2lnbmF0dXJl").unwrap_err()),
        format!("{:?}", Tokens::new("AccessS3cret\n").unwrap_err()),
        format!("{:?} {:?} {:?}", Policy::default(), Clock::system(), TokenFields::default()),
    ] {
        record.assert_hidden_in("`{:?}`", &shown);
    }
}
