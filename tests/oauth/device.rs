//! Logins by a person on another device.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jwt_refresh::oauth::{Grant, OAuth};
use jwt_refresh::{Authenticator, ClientAuth, Error, ErrorKind, Policy, Session};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::provider::{for_tokens, provider, refusal, tokens, value};
use crate::server::{Seen, Server};

/// What was shown: the code, where to enter it, and both in one.
type Shown = Arc<Mutex<Vec<(String, String, Option<String>)>>>;

/// A server that answers requests for tokens by `answer`. Codes expire after `expires_in` seconds.
fn device_server(expires_in: u64, mut answer: impl FnMut(&Seen, usize) -> Answer + Send + 'static) -> Server {
    let mut asked = 0;
    provider(move |request, _| {
        if request.path() == "/device" {
            return Answer::new(200).json(&json!({
                "device_code": "d3vice", "user_code": "WDJB-MJHT", "verification_uri": "https://id.example/device",
                "verification_uri_complete": "https://id.example/device?user_code=WDJB-MJHT",
                "expires_in": expires_in, "interval": 1,
            }));
        }
        asked += 1;
        answer(request, asked - 1)
    })
}

fn device(server: &Server) -> (OAuth, Shown) {
    let shown = Shown::default();
    let seen = Arc::clone(&shown);
    let grant = Grant::device_code(move |code| {
        assert!(!format!("{code:?}").contains("WDJB"));
        let complete = code.verification_uri_complete().map(str::to_owned);
        seen.lock().unwrap().push((code.user_code().to_owned(), code.verification_uri().to_owned(), complete));
    });
    let builder = OAuth::builder(server.url(""), grant).client_auth(ClientAuth::public("tv"));
    (builder.scope("read").audience("api").resource("https://one.example/").build().unwrap(), shown)
}

async fn failed(server: &Server) -> Error {
    let error = device(server).0.login().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("d3vice"), "{error:?}");
    error
}

#[tokio::test]
async fn a_person_enters_the_code_and_the_session_goes_on_without_them() {
    let server = device_server(600, |_, number| match number {
        0 => refusal("authorization_pending"),
        _ => tokens(number),
    });
    let (api, shown) = device(&server);
    let session = Session::new(api);
    assert_eq!(session.token().await.unwrap().expose(), "access-1");
    assert_eq!(session.refresh_now().await.unwrap().expose(), "access-2");
    let complete = Some("https://id.example/device?user_code=WDJB-MJHT".to_owned());
    assert_eq!(*shown.lock().unwrap(), [("WDJB-MJHT".to_owned(), "https://id.example/device".to_owned(), complete)]);

    let seen = server.seen();
    let start = seen.iter().find(|request| request.path() == "/device").unwrap();
    for (name, expected) in
        [("client_id", "tv"), ("scope", "read"), ("audience", "api"), ("resource", "https://one.example/")]
    {
        assert_eq!(value(start, name).as_deref(), Some(expected), "{name}");
    }
    let [pending, entered, refresh] = for_tokens(&seen)[..] else { panic!("{seen:?}") };
    for poll in [pending, entered] {
        assert_eq!(value(poll, "grant_type").unwrap(), "urn:ietf:params:oauth:grant-type:device_code");
        assert_eq!(
            (value(poll, "device_code").as_deref(), value(poll, "client_id").as_deref()),
            (Some("d3vice"), Some("tv"))
        );
    }
    assert_eq!(value(refresh, "refresh_token").unwrap(), "refresh-1");
}

#[tokio::test]
async fn a_server_that_says_slow_down_is_asked_five_seconds_later() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&asked);
    let server = device_server(600, move |_, number| {
        times.lock().unwrap().push(Instant::now());
        if number == 0 { refusal("slow_down") } else { tokens(number) }
    });
    device(&server).0.login().await.unwrap();
    let asked = asked.lock().unwrap();
    // RFC 8628 §3.5: 5 s more than the second of before.
    assert!(asked[1] - asked[0] >= Duration::from_secs(6), "{asked:?}");
}

#[tokio::test]
async fn a_code_that_expires_is_named_whether_the_server_says_so_or_not() {
    for server in
        [device_server(600, |_, _| refusal("expired_token")), device_server(2, |_, _| refusal("authorization_pending"))]
    {
        let error = failed(&server).await;
        assert_eq!(error.kind(), ErrorKind::LoginUnavailable);
        assert!(error.to_string().contains("the device code expired before it was entered"), "{error}");
    }
}

#[tokio::test]
async fn a_person_who_says_no_denies_the_login() {
    let server = device_server(600, |_, _| refusal("access_denied"));
    let error = failed(&server).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, Some("access_denied")));
}

#[tokio::test]
async fn a_client_that_is_refused_is_refused_at_once() {
    let server = device_server(600, |_, _| refusal("invalid_client"));
    let error = failed(&server).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, Some("invalid_client")));
    assert_eq!(for_tokens(&server.seen()).len(), 1);
}

#[tokio::test]
async fn a_server_that_fails_while_it_is_asked_loses_no_login() {
    let server = device_server(600, |_, number| match number {
        0 => Answer::new(503),
        1 => Answer::new(429).header("retry-after", "3"),
        _ => tokens(number),
    });
    let begun = Instant::now();
    device(&server).0.login().await.unwrap();
    // A second, two, and the three that the server asks for.
    assert!(begun.elapsed() >= Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_person_who_takes_too_long_is_named_within_the_time_out_and_asked_again_by_a_login() {
    let server =
        device_server(600, |_, number| if number < 8 { refusal("authorization_pending") } else { tokens(number) });
    let (api, shown) = device(&server);
    // A quarter of it is left for the last request.
    let policy = Policy::default().login_timeout(Duration::from_secs(12));
    let session = Session::builder(api).policy(policy).build();
    let error = session.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired, "{error}");
    let said = format!("{error} {error:?}");
    assert!(said.contains("nobody entered the device code"), "{said}");
    session.token().await.unwrap_err();
    assert_eq!(shown.lock().unwrap().len(), 1);
    crate::support::until("a login", async || session.login().await.is_ok()).await;
    assert!(shown.lock().unwrap().len() >= 2);
}
