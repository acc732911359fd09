//! An API that asks for more than the token was got for: the session logs in for that, once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_refresh::oauth::{Grant, OAuth, OAuthBuilder};
use jwt_refresh::prelude::*;
use jwt_refresh::store::MemoryStore;
use jwt_refresh::{
    Chain, ClientAuth, ErrorKind, ExecuteError, ManualClock, Policy, RequestAuth, RequestRule, SecretSource,
    TokenProvider, Tokens,
};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::browser::{Browser, Sent, builder, logged_in};
use crate::provider::{OPENID, granted};
use crate::provider::{document, for_tokens, refusal, value};
use crate::server::{Seen, Server};
use crate::support::{BoxError, MINUTE, http_client, until};

/// What a test has to say of the server.
#[derive(Clone)]
struct World {
    server: Arc<Server>,
    /// How often the API was called, and how often it has served.
    calls: Arc<AtomicUsize>,
    served: Arc<AtomicUsize>,
}

impl World {
    /// Starts a server whose API answers calls with `challenge` unless `suffices` says that the
    /// token does, by the number of the request for tokens that brought it. `issue` answers those
    /// requests.
    fn start(
        challenge: &'static str,
        suffices: impl Fn(&Seen) -> bool + Send + 'static,
        mut issue: impl FnMut(&Seen, usize) -> Answer + Send + 'static,
    ) -> Self {
        let (calls, successes) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (called, has_served, mut asked) = (Arc::clone(&calls), Arc::clone(&successes), 0);
        let server = Server::start(move |request, _| match request.path() {
            OPENID => document(request, &json!({})),
            "/orders" => {
                called.fetch_add(1, Ordering::AcqRel);
                if suffices(request) {
                    has_served.fetch_add(1, Ordering::AcqRel);
                    return Answer::new(200);
                }
                Answer::new(if challenge.contains("scope") { 403 } else { 401 }).header("www-authenticate", challenge)
            }
            _ => {
                asked += 1;
                issue(request, asked - 1)
            }
        });
        Self { server: Arc::new(server), calls, served: successes }
    }

    fn session(&self, builder: OAuthBuilder) -> Session {
        self.with(Session::builder(builder.build().unwrap()))
    }

    fn with(&self, builder: jwt_refresh::SessionBuilder) -> Session {
        let policy = Policy::default().login_timeout(MINUTE);
        builder.policy(policy).requests(RequestRule::for_origin(self.server.url("")).unwrap()).build()
    }

    fn api(&self, session: &Session) -> Api {
        Api { session: session.clone(), url: self.server.url("/orders") }
    }

    async fn execute(&self, session: &Session) -> Result<u16, ExecuteError> {
        let http = http_client();
        let request = http.post(self.server.url("/orders")).body("one").build().unwrap();
        Ok(session.execute(&http, request).await?.status().as_u16())
    }

    fn calls(&self) -> (usize, usize) {
        (self.calls.load(Ordering::Acquire), self.served.load(Ordering::Acquire))
    }
}

struct Api {
    session: Session,
    url: String,
}

impl Api {
    #[refresh_token(token, retry)]
    async fn order(&self) -> Result<reqwest::Response, BoxError> {
        Ok(http_client().post(&self.url).bearer(&token).send().await?)
    }
}

const WRITE: &str = r#"Bearer error="insufficient_scope", scope="orders.write""#;
const MFA: &str = r#"Bearer error="insufficient_user_authentication", acr_values="mfa hwk", max_age="300""#;

/// Answers with tokens of the scope that was asked for. The access token is that scope.
fn as_asked(request: &Seen, number: usize) -> Answer {
    let scope = value(request, "scope").unwrap_or_default().replace(' ', "+");
    granted(&format!("{scope}~{number}"), number)
}

fn has(scope: &'static str) -> impl Fn(&Seen) -> bool {
    move |request| request.header("authorization").contains(scope)
}

fn client_credentials(server: &Server) -> OAuthBuilder {
    OAuth::builder(server.url(""), Grant::client_credentials())
        .client_auth(ClientAuth::basic("catalog", "S3cret"))
        .scope("read")
}

fn scopes(server: &Server) -> Vec<String> {
    for_tokens(&server.seen()).into_iter().filter_map(|request| value(request, "scope")).collect()
}

#[tokio::test]
async fn a_missing_scope_is_asked_for_beside_those_that_the_session_has_and_the_request_runs_again() {
    let world = World::start(WRITE, has("orders.write"), as_asked);
    let session = world.session(client_credentials(&world.server));
    assert_eq!(world.execute(&session).await.unwrap(), 200);
    assert_eq!(scopes(&world.server), ["read", "read orders.write"]);
    // It is remembered.
    session.refresh_now().await.unwrap();
    session.login().await.unwrap();
    assert_eq!(scopes(&world.server), ["read orders.write", "read orders.write"]);
    assert_eq!(world.execute(&session).await.unwrap(), 200);
    assert_eq!(world.calls(), (3, 2));
}

#[tokio::test]
async fn a_method_with_retry_runs_once_more_after_a_step_up() {
    let world = World::start(WRITE, has("orders.write"), as_asked);
    let session = world.session(client_credentials(&world.server));
    assert_eq!(world.api(&session).order().await.unwrap().status(), 200);
    assert_eq!(world.calls(), (2, 1));
    assert_eq!(scopes(&world.server), ["read", "read orders.write"]);
}

#[cfg(all(feature = "blocking", feature = "ureq"))]
#[test]
fn a_method_that_is_not_async_runs_once_more_after_a_step_up() {
    struct Blocking(Session, String);

    impl Blocking {
        #[refresh_token(from = self.0, token, retry)]
        fn order(&self) -> Result<http::Response<ureq::Body>, BoxError> {
            Ok(ureq::post(&self.1).config().http_status_as_error(false).build().bearer(&token).send("one")?)
        }
    }

    let world = World::start(WRITE, has("orders.write"), as_asked);
    let session = world.session(client_credentials(&world.server));
    let api = Blocking(session.clone(), world.server.url("/orders"));
    assert_eq!(api.order().unwrap().status(), 200);
    assert_eq!(world.calls(), (2, 1));
}

#[tokio::test]
async fn ten_callers_with_one_challenge_step_up_once() {
    let world = World::start(WRITE, has("orders.write"), as_asked);
    let session = world.session(client_credentials(&world.server));
    session.token().await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..10 {
        let (world, session) = (world.clone(), session.clone());
        callers.spawn(async move {
            if number % 2 == 0 {
                world.execute(&session).await.unwrap()
            } else {
                world.api(&session).order().await.unwrap().status().as_u16()
            }
        });
    }
    assert_eq!(callers.join_all().await, [200; 10]);
    assert_eq!(scopes(&world.server), ["read", "read orders.write"]);
}

#[tokio::test]
async fn a_caller_whose_token_is_from_before_a_step_up_uses_the_one_that_it_brought() {
    let world = World::start(WRITE, has("orders.write"), as_asked);
    let session = world.session(client_credentials(&world.server));
    let old = session.token().await.unwrap();
    assert_eq!(world.execute(&session).await.unwrap(), 200);
    let mut headers = http::HeaderMap::new();
    headers.insert("www-authenticate", http::HeaderValue::from_static(WRITE));
    let challenge = &jwt_refresh::Challenge::in_headers(&headers)[0];
    let newer = session.step_up(&old, challenge).expect("there is one").await.unwrap();
    assert!(newer.generation() > old.generation());
    assert!(session.step_up(&newer, challenge).is_none(), "it was asked for already");
    assert_eq!(scopes(&world.server).len(), 2);
}

#[tokio::test]
async fn a_scope_that_is_not_granted_costs_one_step_up_and_ends_in_the_named_error() {
    let world = World::start(WRITE, |_| false, as_asked);
    let session = world.session(client_credentials(&world.server));
    for _ in 0..3 {
        let ExecuteError::Auth(error) = world.execute(&session).await.unwrap_err() else { panic!("ours") };
        assert_eq!(error.kind(), ErrorKind::InsufficientScope);
        assert_eq!(world.api(&session).order().await.unwrap().status(), 403);
    }
    assert_eq!(scopes(&world.server), ["read", "read orders.write"]);
    // The first call was sent twice.
    assert_eq!(world.calls(), (7, 0));
}

#[tokio::test]
async fn a_step_up_that_is_refused_is_the_reason_in_the_named_error_and_costs_no_token() {
    let world = World::start(
        WRITE,
        |_| false,
        |request, number| match value(request, "scope") {
            Some(scope) if scope.contains("write") => refusal("invalid_scope"),
            _ => granted("fine", number),
        },
    );
    let session = world.session(client_credentials(&world.server));
    let before = session.token().await.unwrap();
    let ExecuteError::Auth(error) = world.execute(&session).await.unwrap_err() else { panic!("ours") };
    assert_eq!(error.kind(), ErrorKind::InsufficientScope);
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert!(reason.contains("invalid_scope") && !reason.contains("S3cret"), "{reason}");
    // Not again by itself.
    world.execute(&session).await.unwrap_err();
    assert_eq!(scopes(&world.server), ["read", "read orders.write"]);
    assert_eq!(session.token().await.unwrap().generation(), before.generation());
    session.refresh_now().await.unwrap();
    assert_eq!(scopes(&world.server), ["read"]);
}

#[tokio::test]
async fn a_server_that_is_down_does_not_get_a_step_up_for_each_call() {
    let world = World::start(
        WRITE,
        |_| false,
        |_, number| match number {
            0 => granted("fine", number),
            _ => Answer::new(503),
        },
    );
    let clock = ManualClock::at(SystemTime::now());
    let session = world.with(Session::builder(client_credentials(&world.server).build().unwrap()).clock(&clock));
    for expected in [2, 1, 1] {
        for _ in 0..5 {
            let ExecuteError::Auth(error) = world.execute(&session).await.unwrap_err() else { panic!("ours") };
            assert_eq!(error.kind(), ErrorKind::InsufficientScope);
        }
        assert_eq!(scopes(&world.server).len(), expected);
        // Longer than the pause, and shorter than the token lives.
        clock.advance(MINUTE * 5);
    }
}

fn person(world: &World, browser: &Browser) -> OAuthBuilder {
    builder(&world.server, browser.grant(logged_in)).scope("openid2 read")
}

fn names(sent: &Sent, name: &str) -> Option<String> {
    sent.get(name).cloned()
}

#[tokio::test]
async fn a_person_is_asked_to_log_in_as_strongly_and_as_recently_as_the_api_wants() {
    let authorized = Arc::new(Mutex::new(0));
    let logins = Arc::clone(&authorized);
    let world = World::start(
        MFA,
        |request| !request.header("authorization").ends_with("login-1"),
        move |request, number| {
            let mut logins = logins.lock().unwrap();
            *logins += usize::from(value(request, "code").is_some());
            granted(&format!("login-{logins}"), number)
        },
    );
    let browser = Browser::default();
    let session = world.session(person(&world, &browser));
    session.token().await.unwrap();
    assert_eq!(world.execute(&session).await.unwrap(), 200);
    assert_eq!(world.api(&session).order().await.unwrap().status(), 200);
    let [first, second] = &browser.opened()[..] else { panic!("{:?}", browser.opened()) };
    assert_eq!((names(first, "acr_values"), names(first, "max_age")), (None, None));
    assert_eq!(names(second, "acr_values").as_deref(), Some("mfa hwk"));
    assert_eq!(names(second, "max_age").as_deref(), Some("300"));
    assert_eq!(names(second, "scope").as_deref(), Some("openid2 read"));
    // Its refresh token is that of the new login.
    session.refresh_now().await.unwrap();
    let seen = world.server.seen();
    let refresh = for_tokens(&seen).pop().unwrap();
    assert_eq!(value(refresh, "refresh_token").as_deref(), Some("refresh-1"));
    assert_eq!(*authorized.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_claims_challenge_is_passed_on_as_it_was_written() {
    const CLAIMS: &str = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    let challenge =
        format!(r#"Bearer realm="", error="insufficient_claims", claims="{}""#, URL_SAFE_NO_PAD.encode(CLAIMS));
    let world = World::start(challenge.leak(), has("login-2"), |request, number| {
        let login = if value(request, "refresh_token").is_some() {
            "refreshed".to_owned()
        } else {
            format!("login-{}", number + 1)
        };
        granted(&login, number)
    });
    let browser = Browser::default();
    let session = world.session(person(&world, &browser));
    assert_eq!(world.execute(&session).await.unwrap(), 200);
    let opened = browser.opened();
    assert_eq!(opened.len(), 2);
    assert_eq!(names(&opened[1], "claims").as_deref(), Some(CLAIMS));
}

#[tokio::test]
async fn where_the_login_cannot_step_up_the_error_is_named_and_the_server_is_not_asked() {
    let challenges = [WRITE, MFA, r#"Bearer error="insufficient_scope""#];
    for (number, challenge) in challenges.into_iter().enumerate() {
        let world = World::start(challenge, |_| false, |_, number| granted("fine", number));
        let builder = match number {
            // No login of its own.
            0 => OAuth::builder(world.server.url(""), Grant::refresh_only()).client_auth(ClientAuth::public("app")),
            // Nobody logs in, and nothing says what is lacking.
            _ => client_credentials(&world.server),
        };
        let session = world.session(builder);
        session.adopt(Tokens::new("a").unwrap().refresh_token("r")).await.unwrap();
        let ExecuteError::Auth(error) = world.execute(&session).await.unwrap_err() else { panic!("ours") };
        let named = [ErrorKind::InsufficientScope, ErrorKind::InsufficientUserAuthentication];
        assert!(named.contains(&error.kind()), "{error}");
        assert!(!world.api(&session).order().await.unwrap().status().is_success());
        assert!(for_tokens(&world.server.seen()).is_empty());
        assert_eq!(world.calls(), (2, 0));
    }
}

#[tokio::test]
async fn a_session_that_was_logged_out_is_not_brought_back_by_a_step_up() {
    let world = World::start(WRITE, has("orders.write"), as_asked);
    let store = MemoryStore::new();
    let builder = || Session::builder(client_credentials(&world.server).build().unwrap()).store(store.clone(), "ada");
    let (one, two) = (world.with(builder()), world.with(builder()));
    one.token().await.unwrap();
    two.token().await.unwrap();
    two.logout().await.unwrap();
    let _ = world.execute(&one).await.unwrap_err();
    until("the logout is seen", async || one.token().await.is_err()).await;
    assert_eq!(one.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
}

#[tokio::test]
async fn what_can_be_sent_only_once_is_not_sent_again_and_the_next_request_has_the_scope() {
    let world = World::start(WRITE, has("orders.write"), as_asked);
    let session = world.session(client_credentials(&world.server));
    let http = http_client();
    let url = world.server.url("/orders");
    let once = || {
        let body = futures_util::stream::iter([Ok::<_, std::io::Error>("one")]);
        http.post(&url).body(reqwest::Body::wrap_stream(body)).build().unwrap()
    };
    let ExecuteError::Auth(error) = session.execute(&http, once()).await.unwrap_err() else { panic!("ours") };
    assert_eq!(error.kind(), ErrorKind::InsufficientScope);
    until("the step-up has ended", async || session.token().await.unwrap().expose().contains("write")).await;
    assert_eq!(session.execute(&http, once()).await.unwrap().status(), 200);
    assert_eq!(world.calls(), (2, 1));
}

#[cfg(all(feature = "blocking", feature = "ureq"))]
#[test]
fn a_request_of_ureq_is_sent_once_more_after_a_step_up() {
    let world = World::start(WRITE, has("orders.write"), as_asked);
    let session = world.session(client_credentials(&world.server));
    let auth = RequestAuth::new(session, RequestRule::for_origin(world.server.url("")).unwrap());
    let request = http::Request::post(world.server.url("/orders")).body("one").unwrap();
    assert_eq!(auth.run(&ureq::agent(), request).unwrap().status(), 200);
    assert_eq!(world.calls(), (2, 1));
}

#[cfg(feature = "tower")]
#[tokio::test]
async fn the_layer_sends_the_request_once_more_after_a_step_up() {
    use jwt_refresh::PeekedBody;
    use tower::{Layer, Service, ServiceExt, service_fn};

    let world = World::start(WRITE, |_| false, as_asked);
    let session = world.session(client_credentials(&world.server));
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let api = service_fn(move |request: http::Request<PeekedBody<String>>| {
        count.fetch_add(1, Ordering::AcqRel);
        let suffices = request.headers()["authorization"].to_str().unwrap().contains("orders.write");
        let answer = http::Response::builder().status(if suffices { 200 } else { 403 });
        std::future::ready(answer.header("www-authenticate", WRITE).body(String::new()))
    });
    let rule = RequestRule::for_origin("https://api.example").unwrap();
    let mut client = RequestAuth::new(session, rule).layer(api);
    let request = http::Request::post("https://api.example/orders").body("one".to_owned()).unwrap();
    let answer = client.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), sent.load(Ordering::Acquire)), (200, 2));
}

#[tokio::test]
async fn a_chain_steps_up_by_the_member_that_logs_in() {
    let world = World::start(WRITE, has("orders.write"), as_asked);
    let missing = OAuth::builder(world.server.url(""), Grant::client_credentials())
        .client_auth(ClientAuth::basic("catalog", SecretSource::file("/there/is/no/such/file")));
    let chain = Chain::new(missing.build().unwrap()).or(client_credentials(&world.server).build().unwrap());
    let session = world.with(Session::builder(chain));
    assert_eq!(world.execute(&session).await.unwrap(), 200);
    assert_eq!(scopes(&world.server), ["read", "read orders.write"]);
}

#[cfg(feature = "reqwest-middleware")]
#[tokio::test]
async fn the_middleware_sends_the_request_once_more_after_a_step_up() {
    let world = World::start(WRITE, has("orders.write"), as_asked);
    let session = world.session(client_credentials(&world.server));
    let rule = RequestRule::for_origin(world.server.url("")).unwrap();
    let client = reqwest_middleware::ClientBuilder::new(http_client()).with(RequestAuth::new(session, rule)).build();
    assert_eq!(client.post(world.server.url("/orders")).body("one").send().await.unwrap().status(), 200);
    assert_eq!(world.calls(), (2, 1));
}
