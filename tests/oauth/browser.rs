//! Logins by a person in a browser.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_refresh::oauth::{AuthorizationCode, OAuth, OAuthBuilder, Server as Issuer};
use jwt_refresh::{Authenticator, ClientAuth, Error, ErrorKind, Policy, Session};
use jwt_refresh_testkit::Answer;
use serde_json::{Value, json};
use url::Url;

use crate::key::Key;
use crate::provider::{OPENID, document, for_tokens, issuer, provider, refusal, tokens, value};
use crate::server::Server;
use crate::support::free_port;

/// What the browser was sent to the server with.
pub(crate) type Sent = HashMap<String, String>;

/// A browser that fetches, one after the other, the URLs that `visits` makes of what it was sent
/// with, and keeps the statuses of the answers.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    opened: Arc<Mutex<Vec<Sent>>>,
    statuses: Arc<Mutex<Vec<u16>>>,
}

impl Browser {
    pub(crate) fn grant(&self, visits: impl Fn(&Sent) -> Vec<String> + Send + Sync + 'static) -> AuthorizationCode {
        let browser = self.clone();
        AuthorizationCode::new(move |url| {
            let sent: Sent = Url::parse(url).unwrap().query_pairs().into_owned().collect();
            let (statuses, visits) = (Arc::clone(&browser.statuses), visits(&sent));
            browser.opened.lock().unwrap().push(sent);
            std::thread::spawn(move || {
                for url in visits {
                    let answer = ureq::get(&url).config().http_status_as_error(false).build().call().unwrap();
                    statuses.lock().unwrap().push(answer.status().as_u16());
                }
            });
            Ok(())
        })
    }

    pub(crate) fn opened(&self) -> Vec<Sent> {
        self.opened.lock().unwrap().clone()
    }

    async fn has_seen(&self, statuses: &[u16]) {
        crate::support::until("the browser has its pages", async || self.statuses.lock().unwrap()[..] == *statuses)
            .await;
    }
}

/// The URL to which the server sends the browser back.
fn back(sent: &Sent, parameters: &str) -> String {
    format!("{}?{parameters}&state={}", sent["redirect_uri"], sent["state"])
}

pub(crate) fn logged_in(sent: &Sent) -> Vec<String> {
    vec![back(sent, "code=c0de")]
}

pub(crate) fn builder(server: &Server, grant: AuthorizationCode) -> OAuthBuilder {
    OAuth::builder(server.url(""), grant).client_auth(ClientAuth::public("cli"))
}

fn session(builder: OAuthBuilder) -> Session {
    let policy = Policy::default().login_timeout(Duration::from_secs(60));
    Session::builder(builder.build().unwrap()).policy(policy).build()
}

#[tokio::test]
async fn a_person_logs_in_once_and_the_session_goes_on_without_the_browser() {
    let server = provider(|_, number| tokens(number));
    let browser = Browser::default();
    let builder = builder(&server, browser.grant(logged_in)).scope("read offline_access");
    let session = session(builder.audience("https://api.example/?a=1&b").resource("https://one.example/"));
    assert_eq!(session.token().await.unwrap().expose(), "access-0");
    assert_eq!(session.refresh_now().await.unwrap().expose(), "access-1");

    let [sent] = &browser.opened()[..] else { panic!() };
    for (name, expected) in [
        ("response_type", "code"),
        ("client_id", "cli"),
        ("scope", "read offline_access"),
        ("audience", "https://api.example/?a=1&b"),
        ("resource", "https://one.example/"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(sent.get(name).map(String::as_str), Some(expected), "{name}");
    }
    let redirect = Url::parse(&sent["redirect_uri"]).unwrap();
    assert_eq!((redirect.host_str(), redirect.path()), (Some("127.0.0.1"), "/callback"));
    assert!(sent["state"].len() >= 22, "at least 128 bits");

    let seen = server.seen();
    let [exchange, refresh] = for_tokens(&seen)[..] else { panic!("{seen:?}") };
    assert_eq!(value(exchange, "grant_type").unwrap(), "authorization_code");
    assert_eq!(value(exchange, "code").unwrap(), "c0de");
    assert_eq!(value(exchange, "client_id").unwrap(), "cli");
    assert_eq!(value(exchange, "redirect_uri").unwrap(), sent["redirect_uri"]);
    assert_eq!(value(exchange, "resource").unwrap(), "https://one.example/");
    let verifier = value(exchange, "code_verifier").unwrap();
    let challenge = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    assert_eq!(URL_SAFE_NO_PAD.encode(challenge), sent["code_challenge"]);
    assert_eq!(value(refresh, "refresh_token").unwrap(), "refresh-0");
    browser.has_seen(&[200]).await;
}

/// The error of a login in which the browser fetches these pages. The server is asked for nothing.
async fn failed(visits: fn(&Sent) -> Vec<String>, statuses: &[u16]) -> Error {
    let server = provider(|_, number| tokens(number));
    let browser = Browser::default();
    let api = builder(&server, browser.grant(visits)).build().unwrap();
    let error = api.login().await.unwrap_err();
    browser.has_seen(statuses).await;
    assert!(for_tokens(&server.seen()).is_empty(), "{error}");
    assert!(!format!("{error} {error:?}").contains("c0de"), "{error:?}");
    error
}

#[tokio::test]
async fn a_redirect_with_another_state_is_named_and_its_code_is_not_used() {
    let visits: [fn(&Sent) -> Vec<String>; 3] = [
        |sent| vec![format!("{}?code=c0de&state=other", sent["redirect_uri"])],
        |sent| vec![format!("{}?code=c0de", sent["redirect_uri"])],
        |sent| vec![format!("{}?error=access_denied&state=other", sent["redirect_uri"])],
    ];
    for visits in visits {
        let error = failed(visits, &[400]).await;
        assert_eq!(error.kind(), ErrorKind::LoginUnavailable);
        assert!(error.to_string().contains("`state`"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_without_code_and_error_is_named() {
    let error = failed(|sent| vec![back(sent, "session=1")], &[400]).await;
    assert_eq!(error.kind(), ErrorKind::LoginUnavailable);
    assert!(error.to_string().contains("neither a code nor an error"), "{error}");
}

#[tokio::test]
async fn a_redirect_of_another_issuer_is_refused_where_the_server_promises_to_name_itself() {
    let server = Server::start(|request, number| match request.path() {
        OPENID => document(request, &json!({ "authorization_response_iss_parameter_supported": true })),
        _ => tokens(number),
    });
    let browser = Browser::default();
    let api = builder(&server, browser.grant(|sent| vec![back(sent, "code=c0de&iss=https://evil.example")]));
    let error = api.build().unwrap().login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginUnavailable);
    assert!(error.to_string().contains("RFC 9207") && !error.to_string().contains("evil"), "{error}");
    assert!(for_tokens(&server.seen()).is_empty());
}

#[tokio::test]
async fn a_person_who_says_no_and_a_server_that_cannot_are_told_apart() {
    for (code, kind) in [
        ("access_denied", ErrorKind::Denied),
        ("invalid_scope", ErrorKind::Denied),
        ("temporarily_unavailable", ErrorKind::Unavailable),
        ("server_error", ErrorKind::Unavailable),
    ] {
        let server = provider(|_, number| tokens(number));
        let browser = Browser::default();
        let grant = browser.grant(move |sent| vec![back(sent, &format!("error={code}&error_description=S3cret"))]);
        let error = builder(&server, grant).build().unwrap().login().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, Some(code)));
        assert!(!format!("{error} {error:?}").contains("S3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn what_else_connects_holds_up_no_login() {
    let server = provider(|_, number| tokens(number));
    let browser = Browser::default();
    let silent = Arc::new(Mutex::new(Vec::new()));
    let held = Arc::clone(&silent);
    let grant = browser.grant(move |sent| {
        let address = sent["redirect_uri"].strip_prefix("http://").unwrap().strip_suffix("/callback").unwrap();
        let mut streams = held.lock().unwrap();
        // Connections in advance, what is no HTTP, and what is longer than any redirect.
        streams.extend((0..3).map(|_| TcpStream::connect(address).unwrap()));
        for text in [b"\x16\x03\x01\r\n\r\n".to_vec(), b"POST /callback HTTP/1.1\r\n\r\n".to_vec(), vec![b'a'; 40_000]]
        {
            let mut stream = TcpStream::connect(address).unwrap();
            let _ = stream.write_all(&text);
            streams.push(stream);
        }
        vec![format!("http://{address}/favicon.ico"), back(sent, "code=c0de")]
    });
    builder(&server, grant).build().unwrap().login().await.unwrap();
    browser.has_seen(&[404, 200]).await;
}

#[tokio::test]
async fn a_code_that_is_refused_is_a_login_that_is_denied() {
    let server = provider(|_, _| refusal("invalid_grant"));
    let browser = Browser::default();
    let error = builder(&server, browser.grant(logged_in)).build().unwrap().login().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, Some("invalid_grant")));
    browser.has_seen(&[400]).await;
}

#[tokio::test]
async fn a_browser_that_nobody_comes_back_with_is_opened_once_until_a_login_is_asked_for() {
    let server = provider(|_, number| tokens(number));
    let browser = Browser::default();
    let comes = Arc::new(AtomicUsize::new(0));
    let has_come = Arc::clone(&comes);
    let grant = browser.grant(move |sent| match has_come.fetch_add(1, Ordering::AcqRel) {
        0 => Vec::new(),
        _ => logged_in(sent),
    });
    let policy = Policy::default().login_timeout(Duration::from_secs(1));
    let first = Session::builder(builder(&server, grant).build().unwrap()).policy(policy).build();
    for _ in 0..3 {
        let error = first.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired, "{error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("nobody finished the login in the browser"), "{shown}");
    }
    assert_eq!(browser.opened().len(), 1);
    crate::support::until("a login", async || first.login().await.is_ok()).await;
    assert!(browser.opened().len() >= 2);
}

#[tokio::test]
async fn a_session_whose_refresh_token_dies_opens_the_browser_again_and_says_what_came_of_it() {
    let server = provider(|request, number| match value(request, "refresh_token") {
        Some(_) => refusal("invalid_grant"),
        None => tokens(number),
    });
    let browser = Browser::default();
    let opened = AtomicUsize::new(0);
    let session = session(builder(
        &server,
        browser.grant(move |sent| match opened.fetch_add(1, Ordering::AcqRel) {
            2 => vec![format!("{}?code=c0de&state=other", sent["redirect_uri"])],
            _ => logged_in(sent),
        }),
    ));
    assert_eq!(session.token().await.unwrap().expose(), "access-0");
    assert_eq!(session.refresh_now().await.unwrap().expose(), "access-2");
    let error = session.refresh_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    assert!(error.to_string().contains("did not bring the answer to this login"), "{error}");
    assert_eq!(browser.opened().len(), 3);
}

#[tokio::test]
async fn a_browser_that_cannot_be_opened_is_named() {
    let server = provider(|_, number| tokens(number));
    let grant = AuthorizationCode::new(|_| Err(io::Error::new(io::ErrorKind::NotFound, "no `firefox` here")));
    let error = builder(&server, grant).build().unwrap().login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoginUnavailable);
    assert!(error.to_string().contains("the browser cannot be opened"), "{error}");
}

#[tokio::test]
async fn the_redirect_uri_is_the_one_that_was_registered() {
    let server = provider(|_, number| tokens(number));
    let port = free_port();
    for uri in [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}/a?b=c")] {
        let browser = Browser::default();
        let grant = browser.grant(|sent| {
            let separator = if sent["redirect_uri"].contains('?') { '&' } else { '?' };
            let local = sent["redirect_uri"].replace("localhost", "127.0.0.1");
            vec![format!("{local}{separator}code=c0de&state={}", sent["state"])]
        });
        builder(&server, grant.redirect_uri(&uri)).build().unwrap().login().await.unwrap();
        assert_eq!(browser.opened()[0]["redirect_uri"], uri);
    }
    let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let grant = Browser::default().grant(logged_in).redirect_uri(format!("http://127.0.0.1:{port}/callback"));
    let error = builder(&server, grant).build().unwrap().login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("cannot listen"), "{error}");
}

#[test]
fn a_redirect_uri_on_another_machine_is_refused_when_the_authenticator_is_built() {
    for uri in ["https://app.example/callback", "http://app.example/", "https://127.0.0.1/", "callback", ""] {
        let grant = AuthorizationCode::new(|_| Ok(())).redirect_uri(uri);
        let built = OAuth::builder("https://id.example", grant).client_auth(ClientAuth::public("cli")).build();
        assert_eq!(built.unwrap_err().kind(), ErrorKind::Configuration, "{uri}");
    }
    let grant = AuthorizationCode::new(|_| Ok(()));
    let named = Issuer::endpoints("https://id.example/token").authorization_url("https://id.example/authorize");
    let built = OAuth::builder(named, grant).client_auth(ClientAuth::public("cli")).scope("openid").build();
    assert!(built.unwrap_err().to_string().contains("`openid`"));
}

/// Logs in where the server issues an ID token with these claims beside the usual ones.
async fn log_in_with_id_token(signs: Key, publishes: &Key, claims: Value) -> Result<(), Error> {
    let jwks = publishes.jwks();
    let nonce = Arc::new(Mutex::new(String::new()));
    let sent_nonce = Arc::clone(&nonce);
    let server = Server::start(move |request, _| {
        let issuer = issuer(request);
        match request.path() {
            OPENID => document(request, &json!({ "jwks_uri": format!("{issuer}/jwks") })),
            "/jwks" => Answer::new(200).json(&jwks),
            _ => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
                let mut all = json!({
                    "iss": issuer, "sub": "ada", "aud": "cli", "iat": now, "exp": now + 60,
                    "nonce": *sent_nonce.lock().unwrap(),
                });
                for (name, value) in claims.as_object().unwrap() {
                    all[name] = value.clone();
                }
                let answer = json!({ "access_token": "a", "token_type": "Bearer", "id_token": signs.sign(&all) });
                Answer::new(200).json(&answer)
            }
        }
    });
    let grant = Browser::default().grant(move |sent| {
        nonce.lock().unwrap().clone_from(&sent["nonce"]);
        logged_in(sent)
    });
    builder(&server, grant).scope("openid").build().unwrap().login().await.map(drop)
}

#[tokio::test]
async fn an_id_token_is_verified() {
    let error = log_in_with_id_token(Key::new(), &Key::new(), json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
    assert!(error.to_string().contains("`id_token`"), "{error}");
    let key = Key::new();
    for claims in
        [json!({ "nonce": "other" }), json!({ "aud": "other" }), json!({ "iss": "other" }), json!({ "exp": 1 })]
    {
        let error = log_in_with_id_token(key.clone(), &key, claims.clone()).await.unwrap_err();
        assert!(error.to_string().contains("`id_token`"), "{claims}: {error}");
    }
    log_in_with_id_token(key.clone(), &key, json!({})).await.unwrap();
}
