//! Where secrets come from, and that they are shown to nobody.

use std::path::Path;
use std::time::Duration;

use jwt_refresh::{
    Authenticator, ClientAuth, ErrorKind, HttpAuthenticator, HttpRequest, ManualClock, Policy, SecretSource, Session,
    Tokens,
};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::server::Server;

const PAST_EXPIRY: Duration = Duration::from_secs(61);

fn numbered() -> Server {
    Server::start(|_, before| {
        Answer::from(json!({"access_token": format!("a{before}"), "refresh_token": "r", "expires_in": 60}))
    })
}

/// Logs in and refreshes with the key in the file at `path`.
fn keyed(server: &Server, path: &Path) -> HttpAuthenticator {
    let refresh = HttpRequest::post(server.url("/refresh")).json_field("t", "{refresh_token}").header("x-key", "{key}");
    let login = HttpAuthenticator::builder(server.url("/login")).secret_field("key", SecretSource::file(path));
    login.refresh(refresh).build().unwrap()
}

#[tokio::test]
async fn a_secret_file_that_is_replaced_while_a_session_runs_is_used_at_the_next_exchange() {
    let (server, folder) = (numbered(), tempfile::tempdir().unwrap());
    let path = folder.path().join("secret");
    std::fs::write(&path, "first\r\n").unwrap();
    let clock = ManualClock::new();
    let session = Session::builder(keyed(&server, &path)).clock(&clock).connect().await.unwrap();
    std::fs::write(folder.path().join("new"), "second\n").unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    clock.advance(PAST_EXPIRY);
    session.token().await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].json(), json!({"key": "first"}));
    assert_eq!((seen[1].path(), seen[1].header("x-key")), ("/refresh", "second"));
}

#[tokio::test]
async fn a_secret_file_that_is_gone_is_named_and_loses_neither_the_token_nor_the_refresh_token() {
    let (server, folder) = (numbered(), tempfile::tempdir().unwrap());
    let path = folder.path().join("secret");
    std::fs::write(&path, "S3cret").unwrap();
    let clock = ManualClock::new();
    let session = Session::builder(keyed(&server, &path)).clock(&clock).connect().await.unwrap();
    server.seen();
    std::fs::remove_file(&path).unwrap();
    session.refresh_now().await.unwrap_err();
    assert_eq!(session.token().await.unwrap().expose(), "a0", "the token that lives is served");
    clock.advance(PAST_EXPIRY);
    let error = session.token().await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::SecretUnavailable, true));
    let shown = error.to_string();
    assert!(shown.contains("the secret `key`") && shown.contains(path.to_str().unwrap()), "{shown}");
    assert!(server.seen().is_empty(), "nothing was sent");
    std::fs::write(&path, "back").unwrap();
    clock.advance(PAST_EXPIRY);
    session.token().await.unwrap();
    let seen = server.seen();
    assert_eq!((seen[0].path(), seen[0].json()), ("/refresh", json!({"t": "r"})), "the refresh token was kept");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_named_with_its_source_and_nothing_is_sent() {
    let (server, folder) = (numbered(), tempfile::tempdir().unwrap());
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        SecretSource::file(path)
    };
    for (source, named) in [
        (
            SecretSource::env("JWT_REFRESH_TEST_UNSET"),
            "the environment variable `JWT_REFRESH_TEST_UNSET`: it is not set",
        ),
        (SecretSource::file(folder.path()), folder.path().to_str().unwrap()),
        (file("empty", b"\n"), "it is empty"),
        (file("binary", b"\xff\xfe"), "UTF-8"),
        (file("huge", &vec![b'x'; 70_000]), "longer than 64 KiB"),
    ] {
        let api = HttpAuthenticator::builder(server.url("/login")).secret_field("password", source).build().unwrap();
        for error in [api.check_secrets().await.unwrap_err(), api.login().await.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::SecretUnavailable);
            assert!(
                error.to_string().contains("the secret `password`") && error.to_string().contains(named),
                "{error}"
            );
        }
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_secret_can_come_from_the_environment() {
    let server = numbered();
    // Every build of this test has it.
    let api =
        HttpAuthenticator::builder(server.url("/login")).secret_field("name", SecretSource::env("CARGO_PKG_NAME"));
    api.build().unwrap().login().await.unwrap();
    assert_eq!(server.seen()[0].json(), json!({"name": std::env::var("CARGO_PKG_NAME").unwrap()}));
}

#[cfg(feature = "keyring")]
#[tokio::test]
async fn a_secret_can_come_from_the_keyring_and_one_that_is_not_there_is_named() {
    use std::sync::Arc;

    let credentials: Arc<keyring_core::CredentialStore> = keyring_core::mock::Store::new().unwrap();
    credentials.build("catalog", "ada", None).unwrap().set_password("from-keyring").unwrap();
    let server = numbered();
    let with = |user: &str| {
        let source = SecretSource::keyring_in(Arc::clone(&credentials), "catalog", user);
        HttpAuthenticator::builder(server.url("/login")).secret_field("password", source).build().unwrap()
    };
    with("ada").login().await.unwrap();
    assert_eq!(server.seen()[0].json(), json!({"password": "from-keyring"}));
    let error = with("bob").login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SecretUnavailable);
    assert!(error.to_string().contains(r#"the keyring ("bob" of "catalog"): there is no such credential"#), "{error}");
}

#[test]
fn no_debug_output_of_a_description_shows_a_value_of_it() {
    let request = HttpRequest::post("https://ada:S3cret@api.example/login?key=S3cret")
        .json(json!({"password": "S3cret", "nested": {"key": "S3cret"}}))
        .header("x-key", "S3cret")
        .cookie("c", "S3cret")
        .basic_auth("ada", "S3cret");
    let form = HttpRequest::post("https://api.example/login").form_field("password", "S3cret");
    let client = ClientAuth::basic("id", "S3cret");
    let builder = HttpAuthenticator::builder(request.clone())
        .then(form.clone())
        .secret("key", "S3cret")
        .client_auth(client.clone());
    let shown = format!("{request:?} {form:?} {client:?} {:?} {builder:?}", SecretSource::from("S3cret"));
    let shown = format!("{shown} {:?}", builder.build().unwrap());
    assert!(!shown.contains("S3cret"), "{shown}");
    assert!(shown.contains("password") && shown.contains("x-key"), "names are shown: {shown}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_secret_whose_read_hangs_ends_the_exchange_before_its_timeout_and_costs_no_refresh_token() {
    let (server, folder) = (numbered(), tempfile::tempdir().unwrap());
    let path = folder.path().join("pipe");
    // Opening a pipe for reading waits until it is opened for writing.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let refresh = HttpRequest::post(server.url("/refresh")).json_field("t", "{refresh_token}").header("x-key", "{key}");
    let api =
        HttpAuthenticator::without_login().refresh(refresh).secret("key", SecretSource::file(&path)).build().unwrap();
    let clock = ManualClock::new();
    let policy = Policy::default().refresh_timeout(Duration::from_millis(200));
    let tokens = Tokens::new("old").unwrap().refresh_token("r").expires_in(Duration::from_secs(60));
    let session = Session::builder(api).clock(&clock).policy(policy).tokens(tokens).build();
    clock.advance(PAST_EXPIRY);
    let error = session.token().await.unwrap_err();
    // Lets the reader go.
    drop(std::fs::OpenOptions::new().write(true).open(&path).unwrap());
    assert_eq!(error.kind(), ErrorKind::SecretUnavailable);
    let shown = error.to_string();
    assert!(shown.contains("the secret `key`") && shown.contains("was not read within 0.1 s"), "{shown}");
    assert!(server.seen().is_empty(), "nothing was sent");
}
