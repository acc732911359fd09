//! A protected resource that names its authorization server, at which the client registers itself.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwt_refresh::oauth::{Grant, OAuth};
use jwt_refresh::store::MemoryStore;
use jwt_refresh::{Authenticator, ClientAuth, Error, ErrorKind, Policy, RequestRule, Session, Tokens};
use jwt_refresh_testkit::Answer;
use serde_json::{Value, json};
use url::Url;

use crate::browser::{Browser, logged_in};
use crate::provider::{OPENID, document, granted, issuer, refusal, value};
use crate::server::{Seen, Server};
use crate::support::{MINUTE, http_client};

/// What the server says of itself; a test changes it.
#[derive(Clone)]
struct Mcp(Arc<Mutex<State>>);

struct State {
    /// What the resource answers without a token.
    challenge: Option<&'static str>,
    /// The document of the resource. `HOST` stands for the server.
    resource: String,
    registers: bool,
    registered: usize,
    issued: usize,
    /// What becomes of a refresh, if it is refused.
    refuses: Option<&'static str>,
    /// What the server answers a registration with, beside the ID.
    registration: Value,
    /// What becomes of a registration, if it is refused.
    refuses_registration: Option<u16>,
    /// Whether the resource answers without a token with more than is read of an answer.
    is_long: bool,
    /// The scope that the first access token lacks.
    lacks: Option<&'static str>,
    /// The path at which the document of the resource is.
    place: &'static str,
    /// What the document of the server says beside the usual. `HOST` stands for the server.
    endpoints: Value,
}

impl Mcp {
    fn new() -> Self {
        let resource =
            json!({ "resource": "HOST/mcp", "authorization_servers": ["HOST"], "scopes_supported": ["all"] });
        Self(Arc::new(Mutex::new(State {
            challenge: Some(r#"Bearer resource_metadata="HOST/about", scope="tools read""#),
            resource: resource.to_string(),
            registers: true,
            registered: 0,
            issued: 0,
            refuses: None,
            registration: json!({ "token_endpoint_auth_method": "none" }),
            refuses_registration: None,
            is_long: false,
            lacks: None,
            place: "/.well-known/oauth-protected-resource/mcp",
            endpoints: json!({}),
        })))
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
        self.set(change);
        self
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    fn registered(&self) -> usize {
        self.0.lock().unwrap().registered
    }

    fn start(&self) -> Server {
        let mcp = self.clone();
        Server::start(move |request, _| mcp.0.lock().unwrap().answer(request))
    }
}

impl State {
    fn answer(&mut self, request: &Seen) -> Answer {
        let host = issuer(request);
        match request.path() {
            "/mcp" if request.header("authorization") == "Bearer access-1" && self.lacks.is_some() => {
                let scope = self.lacks.unwrap();
                let challenge = format!(r#"Bearer error="insufficient_scope", scope="{scope}""#);
                Answer::new(403).header("www-authenticate", &challenge)
            }
            "/mcp" if request.header("authorization").starts_with("Bearer access") => Answer::new(200),
            "/mcp" if self.is_long => Answer::new(200).body("text/plain", vec![b' '; 300 * 1024]),
            "/mcp" => match self.challenge {
                Some(challenge) => Answer::new(401).header("www-authenticate", &challenge.replace("HOST", &host)),
                None => Answer::new(401),
            },
            path if path == "/about" || path == self.place => {
                Answer::new(200).body("application/json", self.resource.replace("HOST", &host))
            }
            OPENID => {
                let mut members: Value =
                    serde_json::from_str(&self.endpoints.to_string().replace("HOST", &host)).unwrap();
                if self.registers {
                    members["registration_endpoint"] = format!("{host}/register").into();
                }
                document(request, &members)
            }
            "/register" if self.refuses_registration.is_some() => {
                Answer::new(self.refuses_registration.unwrap()).json(&json!({ "error": "invalid_redirect_uri" }))
            }
            "/register" => {
                self.registered += 1;
                let mut answer = self.registration.clone();
                answer["client_id"] = format!("client-{}", self.registered).into();
                Answer::new(201).json(&answer)
            }
            path if path.starts_with("/.well-known/") => Answer::new(404),
            "/token" => match self.refuses {
                Some(code) if value(request, "refresh_token").is_some() => refusal(code),
                _ => {
                    self.issued += 1;
                    granted(&format!("access-{}", self.issued), self.issued)
                }
            },
            _ => Answer::new(200),
        }
    }
}

fn login(server: &Server, browser: &Browser) -> OAuth {
    OAuth::mcp(server.url("/mcp"), browser.grant(logged_in)).build().unwrap()
}

fn session(server: &Server, browser: &Browser, store: &Arc<MemoryStore>) -> Session {
    let policy = Policy::default().login_timeout(MINUTE);
    let rule = RequestRule::for_origin(server.url("")).unwrap();
    Session::builder(login(server, browser)).policy(policy).requests(rule).store(Arc::clone(store), "ada").build()
}

/// Logs in, in a program that has ended when this returns.
async fn log_in_before(server: &Server, browser: &Browser, store: &Arc<MemoryStore>) {
    let session = session(server, browser, store);
    session.token().await.unwrap();
    session.flush().await;
}

fn tokens_for(server: &Server) -> Vec<HashMap<String, String>> {
    let seen = server.seen();
    seen.iter()
        .filter(|request| request.path() == "/token")
        .map(|request| request.form().into_iter().collect())
        .collect()
}

#[tokio::test]
async fn a_resource_is_logged_in_to_by_its_url_alone() {
    let (mcp, browser) = (Mcp::new(), Browser::default());
    let server = mcp.start();
    let session = session(&server, &browser, &Arc::default());
    let http = http_client();
    let request = http.post(server.url("/mcp")).build().unwrap();
    assert_eq!(session.execute(&http, request).await.unwrap().status(), 200);
    let seen = server.seen();
    let paths: Vec<_> = seen.iter().map(Seen::path).collect();
    assert_eq!(paths, ["/mcp", "/about", OPENID, "/register", "/token", "/mcp"]);
    let registered: Value = seen[3].json();
    assert_eq!(registered["redirect_uris"], json!(["http://127.0.0.1/callback"]));
    assert_eq!(registered["token_endpoint_auth_method"], "none");
    assert_eq!(registered["grant_types"], json!(["authorization_code", "refresh_token"]));
    let asked = &browser.opened()[0];
    assert_eq!((&*asked["client_id"], &*asked["scope"]), ("client-1", "tools read"));
    assert_eq!((&*asked["resource"], &*asked["code_challenge_method"]), (&*server.url("/mcp"), "S256"));
    assert_eq!(value(&seen[4], "client_id").unwrap(), "client-1");
    assert_eq!(value(&seen[4], "resource").unwrap(), server.url("/mcp"));
}

#[tokio::test]
async fn a_restart_goes_on_as_the_client_that_was_registered() {
    let (mcp, browser, store) = (Mcp::new(), Browser::default(), Arc::default());
    let server = mcp.start();
    log_in_before(&server, &browser, &store).await;
    let second = session(&server, &browser, &store);
    second.token().await.unwrap();
    second.refresh_now().await.unwrap();
    // Also for a login that becomes necessary.
    mcp.set(|state| state.refuses = Some("invalid_grant"));
    second.refresh_now().await.unwrap();
    assert_eq!(mcp.registered(), 1);
    let sent = tokens_for(&server);
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|form| form["client_id"] == "client-1"), "{sent:?}");
    assert_eq!(browser.opened().len(), 2);
}

#[tokio::test]
async fn a_client_that_the_server_has_forgotten_registers_anew() {
    let (mcp, browser) = (Mcp::new(), Browser::default());
    let server = mcp.start();
    let session = session(&server, &browser, &Arc::default());
    session.token().await.unwrap();
    mcp.set(|state| state.refuses = Some("invalid_client"));
    session.refresh_now().await.unwrap();
    assert_eq!(mcp.registered(), 2);
    let clients: Vec<_> = browser.opened().iter().map(|sent| sent["client_id"].clone()).collect();
    assert_eq!(clients, ["client-1", "client-2"]);
}

#[tokio::test]
async fn a_client_that_is_named_is_not_registered_and_its_scopes_are_asked_for() {
    let (mcp, browser) = (Mcp::new().with(|state| state.registers = false), Browser::default());
    let server = mcp.start();
    let login = OAuth::mcp(server.url("/mcp"), browser.grant(logged_in)).client_auth(ClientAuth::public("mine"));
    login.scope("write").build().unwrap().login().await.unwrap();
    let asked = &browser.opened()[0];
    assert_eq!((&*asked["client_id"], &*asked["scope"]), ("mine", "write"));
}

#[tokio::test]
async fn a_resource_whose_401_names_no_document_has_it_at_the_well_known_place() {
    for challenge in [None, Some("Bearer")] {
        let (mcp, browser) = (Mcp::new().with(|state| state.challenge = challenge), Browser::default());
        let server = mcp.start();
        login(&server, &browser).login().await.unwrap();
        assert_eq!(server.seen()[1].path(), "/.well-known/oauth-protected-resource/mcp");
        assert_eq!(browser.opened()[0]["scope"], "all");
    }
}

async fn failure(mcp: &Mcp) -> Error {
    let (server, browser) = (mcp.start(), Browser::default());
    let error = login(&server, &browser).login().await.unwrap_err();
    assert!(browser.opened().is_empty() && tokens_for(&server).is_empty());
    error
}

#[tokio::test]
async fn what_a_resource_or_its_server_lacks_is_named_and_nobody_is_asked_to_log_in() {
    let other = json!({ "resource": "HOST/mcp/", "authorization_servers": ["HOST"] }).to_string();
    let none = json!({ "resource": "HOST/mcp" }).to_string();
    for (mcp, what) in [
        (Mcp::new().with(|state| state.resource = other), "that of another resource"),
        (Mcp::new().with(|state| state.resource = none), "names no authorization server"),
        (Mcp::new().with(|state| state.resource = "<html>".to_owned()), "where its tokens come from"),
        (Mcp::new().with(|state| state.registers = false), "registers no clients"),
        (
            Mcp::new().with(|state| state.registration = json!({ "token_endpoint_auth_method": "client_secret_post" })),
            "no client without a secret",
        ),
        // RFC 7591 §2: such a client authenticates by `client_secret_basic`.
        (Mcp::new().with(|state| state.registration = json!({ "client_secret": "s" })), "no client without a secret"),
        (Mcp::new().with(|state| state.refuses_registration = Some(400)), "refuses to register"),
    ] {
        let error = failure(&mcp).await;
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_register_a_client_now_is_asked_again() {
    let mcp = Mcp::new().with(|state| state.refuses_registration = Some(503));
    let (server, browser) = (mcp.start(), Browser::default());
    let login = login(&server, &browser);
    let error = login.login().await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unavailable, true), "{error}");
    mcp.set(|state| state.refuses_registration = None);
    login.login().await.unwrap();
}

#[tokio::test]
async fn odd_members_of_a_document_or_a_registration_that_no_login_needs_cost_none() {
    let registered = |name: &str, value: Value| {
        let mut registration = json!({ "token_endpoint_auth_method": "none" });
        registration[name] = value;
        Mcp::new().with(|state| state.registration = registration)
    };
    let described = |name: &str, value: Value| {
        let mut resource = json!({ "resource": "HOST/mcp", "authorization_servers": ["HOST"] });
        resource[name] = value;
        Mcp::new().with(|state| state.resource = resource.to_string())
    };
    for (number, mcp) in [
        registered("client_id_issued_at", json!("1763800000")),
        registered("client_id_issued_at", json!(-1)),
        registered("client_secret_expires_at", json!("0")),
        registered("client_secret", json!("")),
        registered("redirect_uris", json!(null)),
        registered("contacts", json!("ada@example.com")),
        registered("grant_types", json!(7)),
        registered("jwks", json!({})),
        registered("registration_client_uri", json!(false)),
        described("resource_documentation", json!(["https://example.com/"])),
        described("bearer_methods_supported", json!("header")),
        described("tls_client_certificate_bound_access_tokens", json!(null)),
        described("jwks_uri", json!("")),
        described("scopes_supported", json!("all")),
    ]
    .into_iter()
    .enumerate()
    {
        let (server, browser) = (mcp.start(), Browser::default());
        login(&server, &browser).login().await.unwrap_or_else(|error| panic!("{number}: {error}"));
    }
}

/// A server that a resource names in place of its own.
fn other_server() -> (Server, Mcp) {
    let other = Mcp::new();
    (other.start(), other)
}

/// Logs in, and begins again from the store after the resource has named another server. Returns
/// both servers, and the session that began again.
async fn after_another_server_was_named(browser: &Browser) -> (Server, Server, Session) {
    let (mcp, store) = (Mcp::new(), Arc::default());
    let server = mcp.start();
    let first = session(&server, browser, &store);
    first.token().await.unwrap();
    first.flush().await;
    drop(first);

    let (other, _) = other_server();
    let document = json!({ "resource": "HOST/mcp", "authorization_servers": [other.url("")] }).to_string();
    mcp.set(|state| state.resource = document);
    let second = session(&server, browser, &store);
    second.token().await.unwrap();
    (server, other, second)
}

#[tokio::test]
async fn a_refresh_token_goes_to_no_other_server_than_the_one_that_issued_it() {
    let browser = Browser::default();
    let (server, other, second) = after_another_server_was_named(&browser).await;
    second.refresh_now().await.unwrap();
    assert_eq!(tokens_for(&server).len(), 1, "the login");
    let sent = tokens_for(&other);
    assert_eq!(sent.len(), 1, "a login of its own: {sent:?}");
    assert_eq!((sent[0].get("refresh_token"), &*sent[0]["client_id"]), (None, "client-1"));
    assert_eq!(browser.opened().len(), 2);
    // From then on it is the server.
    second.refresh_now().await.unwrap();
    second.logout().await.unwrap();
    let paths: Vec<_> = other.seen().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(paths, ["/token", "/revoke"]);
}

#[tokio::test]
async fn a_logout_sends_no_other_server_the_refresh_token() {
    let browser = Browser::default();
    let (_server, other, second) = after_another_server_was_named(&browser).await;
    let error = second.logout().await.unwrap_err();
    assert!(error.to_string().contains("another server than the one that issued the refresh token"), "{error}");
    assert_eq!(second.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    assert!(other.seen().iter().all(|request| request.method() == "GET"));
}

#[tokio::test]
async fn of_several_servers_the_first_that_there_is_serves_and_the_one_of_the_refresh_token_remains() {
    let (mcp, browser, store) = (Mcp::new(), Browser::default(), Arc::default());
    let (server, (other, _)) = (mcp.start(), other_server());
    let both = json!({ "resource": "HOST/mcp", "authorization_servers": [other.url("/none"), "HOST"] }).to_string();
    mcp.set(|state| state.resource = both);
    log_in_before(&server, &browser, &store).await;
    let both = json!({ "resource": "HOST/mcp", "authorization_servers": [other.url(""), "HOST"] }).to_string();
    mcp.set(|state| state.resource = both);
    let second = session(&server, &browser, &store);
    second.token().await.unwrap();
    second.refresh_now().await.unwrap();
    assert_eq!((tokens_for(&server).len(), tokens_for(&other).len()), (2, 0));
    assert_eq!(browser.opened().len(), 1);
}

#[tokio::test]
async fn a_refresh_token_that_nobody_knows_the_server_of_is_not_sent_where_a_resource_leads() {
    let (mcp, browser) = (Mcp::new(), Browser::default());
    let server = mcp.start();
    let session = session(&server, &browser, &Arc::default());
    session.adopt(Tokens::new("access-9").unwrap().refresh_token("captured")).await.unwrap();
    session.refresh_now().await.unwrap();
    let sent = tokens_for(&server);
    assert_eq!((sent.len(), sent[0].get("refresh_token")), (1, None), "{sent:?}");
}

#[test]
fn a_resource_leads_no_credentials_to_a_server_of_its_choice() {
    let mcp = |grant: Grant| OAuth::mcp("https://mcp.example/mcp", grant);
    let browser = || Grant::from(Browser::default().grant(logged_in));
    for builder in [
        mcp(browser()).client_auth(ClientAuth::basic("mine", "s3cret")),
        mcp(browser()).tls_client_auth("mine"),
        mcp(Grant::client_credentials()).client_auth(ClientAuth::public("mine")),
        mcp(Grant::jwt_bearer("assertion")),
        mcp(Grant::refresh_only()),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("a resource may lead to any server"), "{error}");
    }
    mcp(browser()).client_auth(ClientAuth::public("mine")).build().unwrap();
}

#[tokio::test]
async fn a_resource_on_another_machine_does_not_lead_to_this_one() {
    let (mcp, browser) = (Mcp::new(), Browser::default());
    let server = mcp.start();
    let port = Url::parse(&server.url("")).unwrap().port().unwrap();
    let local = server.url("");
    let resolved = move || {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        reqwest::Client::builder().resolve("mcp.example", address)
    };
    let remote = || OAuth::mcp(format!("http://mcp.example:{port}/mcp"), browser.grant(logged_in)).allow_plain_http();
    remote().client(resolved).build().unwrap().login().await.unwrap();
    assert_eq!(browser.opened().len(), 1);
    let document = |servers: &str| json!({ "resource": "HOST/mcp", "authorization_servers": [servers] }).to_string();
    let challenge: &'static str = format!(r#"Bearer resource_metadata="{local}/about""#).leak();
    for (challenge, resource, endpoints) in [
        (Some(challenge), document("HOST"), json!({})),
        (None, document(&local), json!({})),
        (None, document(&format!("http://[::ffff:127.0.0.1]:{port}")), json!({})),
        (None, document("HOST"), json!({ "authorization_endpoint": format!("{local}/authorize") })),
        (None, document("HOST"), json!({ "pushed_authorization_request_endpoint": format!("{local}/push") })),
    ] {
        mcp.set(|state| (state.challenge, state.resource, state.endpoints) = (challenge, resource, endpoints));
        let error = remote().client(resolved).build().unwrap().login().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("a resource on another machine leads to this one"), "{error}");
    }
    assert_eq!(browser.opened().len(), 1);
}

#[tokio::test]
async fn a_resource_whose_answer_is_long_or_has_no_end_is_logged_in_to() {
    let browser = Browser::default();
    let long = Mcp::new().with(|state| state.is_long = true);
    login(&long.start(), &browser).login().await.unwrap();

    let mcp = Mcp::new();
    let server = mcp.start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let document = json!({ "resource": url, "authorization_servers": ["HOST"] }).to_string();
    mcp.set(|state| state.resource = document);
    let about = server.url("/about");
    let (asked, open) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut connection = listener.accept().unwrap().0;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            connection.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let answer = format!(
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer resource_metadata=\"{about}\"\r\n\
             content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n1\r\n:\r\n"
        );
        connection.write_all(answer.as_bytes()).unwrap();
        // The connection stays open.
        asked.send((String::from_utf8(head).unwrap(), connection)).unwrap();
    });
    OAuth::mcp(url, browser.grant(logged_in)).build().unwrap().login().await.unwrap();
    let (head, _connection) = open.recv().unwrap();
    assert!(!head.contains("text/event-stream"), "{head}");
}

#[tokio::test]
async fn a_document_of_the_whole_host_serves_where_the_resource_has_none_and_says_what_tokens_are_for() {
    let document = json!({ "resource": "HOST", "authorization_servers": ["HOST"] }).to_string();
    let place = "/.well-known/oauth-protected-resource";
    let mcp = Mcp::new().with(|state| (state.challenge, state.resource, state.place) = (None, document, place));
    let (server, browser) = (mcp.start(), Browser::default());
    login(&server, &browser).login().await.unwrap();
    assert_eq!(browser.opened()[0]["resource"], server.url(""));
}

#[tokio::test]
async fn a_step_up_after_a_restart_asks_for_the_scopes_of_the_resource_too() {
    let (mcp, browser, store) = (Mcp::new(), Browser::default(), Arc::default());
    let server = mcp.start();
    log_in_before(&server, &browser, &store).await;
    mcp.set(|state| state.lacks = Some("write read"));
    let second = session(&server, &browser, &store);
    let http = http_client();
    let request = http.post(server.url("/mcp")).build().unwrap();
    assert_eq!(second.execute(&http, request).await.unwrap().status(), 200);
    assert_eq!(browser.opened()[1]["scope"], "tools read write");
}

#[tokio::test]
async fn a_client_that_the_server_does_not_show_a_login_registers_anew() {
    let (mcp, browser) = (Mcp::new(), Browser::default());
    let server = mcp.start();
    // The page with the error is the last that the person sees.
    let grant = browser.grant(|sent| if sent["client_id"] == "client-1" { Vec::new() } else { logged_in(sent) });
    let login = OAuth::mcp(server.url("/mcp"), grant).build().unwrap();
    let policy = |time| Policy::default().login_timeout(time);
    let session = |time| Session::builder(login.clone()).policy(policy(time)).build();
    session(Duration::from_secs(1)).login().await.unwrap_err();
    session(MINUTE).login().await.unwrap();
    assert_eq!(mcp.registered(), 2);
}
