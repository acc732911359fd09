//! An API of a child that asks for more than its token was got for: the session of the login logs
//! in for that, and the child has a token of the new login.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use jwt_refresh::oauth::{Grant, OAuth};
use jwt_refresh::prelude::*;
use jwt_refresh::{
    AccessParameters, ChildSession, ClientAuth, ErrorKind, ExecuteError, ManualClock, Policy, RequestAuth, RequestRule,
    SessionBuilder,
};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::browser::{Browser, builder, logged_in};
use crate::provider::{OPENID, document, for_tokens, granted, value};
use crate::server::{Seen, Server};
use crate::support::{BoxError, MINUTE, http_client};

const WRITE: &str = r#"Bearer error="insufficient_scope", scope="write""#;
const RECENT: &str = r#"Bearer error="insufficient_user_authentication", max_age="300""#;

/// A server whose access tokens say for which audience they are and of which login.
#[derive(Default)]
struct Login {
    /// The scope of each.
    scopes: Vec<String>,
    issued: usize,
}

impl Login {
    fn tokens(&mut self, request: &Seen) -> Answer {
        if value(request, "refresh_token").is_none() {
            self.scopes.push(value(request, "scope").unwrap_or_default().replace(' ', "+"));
        }
        self.issued += 1;
        let audience = value(request, "audience").unwrap_or_default();
        let narrowed = value(request, "refresh_token").and_then(|_| value(request, "scope"));
        let scope = narrowed.unwrap_or_else(|| self.scopes.last().unwrap().clone());
        granted(&format!("{audience}:{scope}:login-{}~{}", self.scopes.len(), self.issued), self.issued)
    }
}

/// Starts a server whose API answers calls with `challenge` unless `suffices` says that the token
/// does.
fn start(challenge: &'static str, suffices: impl Fn(&str) -> bool + Send + 'static) -> Server {
    let mut login = Login::default();
    Server::start(move |request, _| match request.path() {
        OPENID => document(request, &json!({})),
        "/orders" if suffices(request.header("authorization")) => Answer::new(200),
        "/orders" => Answer::new(403).header("www-authenticate", challenge),
        _ => login.tokens(request),
    })
}

fn session(server: &Server) -> SessionBuilder {
    let login = OAuth::builder(server.url(""), Grant::jwt_bearer("assertion")).client_auth(ClientAuth::public("app"));
    Session::builder(login.scope("read").build().unwrap())
}

async fn execute(server: &Server, child: &ChildSession) -> Result<u16, ExecuteError> {
    let auth = RequestAuth::new(child.clone(), RequestRule::for_origin(server.url("")).unwrap());
    let http = http_client();
    let request = http.post(server.url("/orders")).body("one").build().unwrap();
    Ok(auth.execute(&http, request).await?.status().as_u16())
}

struct Api {
    session: ChildSession,
    url: String,
}

impl Api {
    #[refresh_token(token, retry)]
    async fn order(&self) -> Result<reqwest::Response, BoxError> {
        Ok(http_client().post(&self.url).bearer(&token).send().await?)
    }
}

/// The scopes that logins asked for, and the number of refreshes.
fn asked(server: &Server) -> (Vec<String>, usize) {
    let seen = server.seen();
    let (refreshes, logins): (Vec<&Seen>, Vec<_>) =
        for_tokens(&seen).into_iter().partition(|request| value(request, "refresh_token").is_some());
    (logins.into_iter().map(|request| value(request, "scope").unwrap()).collect(), refreshes.len())
}

fn logins(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|&scope| scope.to_owned()).collect()
}

#[tokio::test]
async fn a_child_whose_token_lacks_a_scope_has_one_of_the_login_that_brought_it() {
    let server = start(WRITE, |token| token.contains("write"));
    let session = session(&server).build();
    let child = session.audience("orders");
    assert_eq!(execute(&server, &child).await.unwrap(), 200);
    assert_eq!(asked(&server), (logins(&["read", "read write"]), 2));
    assert!(child.token().await.unwrap().expose().starts_with("orders:read+write:login-2"));
    // The session and another child have it, too.
    assert!(session.token().await.unwrap().expose().contains("login-2"));
    let api = Api { session: session.audience("files"), url: server.url("/orders") };
    assert_eq!(api.order().await.unwrap().status(), 200);
    assert_eq!(asked(&server), (Vec::new(), 1));
}

#[tokio::test]
async fn a_method_with_retry_that_has_its_token_of_a_child_runs_once_more_after_a_step_up() {
    let server = start(WRITE, |token| token.contains("write"));
    let api = Api { session: session(&server).build().audience("orders"), url: server.url("/orders") };
    assert_eq!(api.order().await.unwrap().status(), 200);
    assert_eq!(asked(&server), (logins(&["read", "read write"]), 2));
}

async fn many_callers_step_up_once() {
    let server = Arc::new(start(WRITE, |token| token.contains("write")));
    let session = session(&server).build();
    let children = ["orders", "files", "mail"].map(|audience| session.audience(audience));
    for child in &children {
        child.token().await.unwrap();
    }
    assert_eq!(asked(&server), (logins(&["read"]), 3));
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..60 {
        let (server, child) = (Arc::clone(&server), children[number % 3].clone());
        callers.spawn(async move { execute(&server, &child).await.unwrap() });
    }
    assert_eq!(callers.join_all().await, [200; 60]);
    assert_eq!(asked(&server), (logins(&["read write"]), 3));
}

#[tokio::test]
async fn many_callers_of_several_children_with_one_challenge_step_up_once() {
    many_callers_step_up_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_of_several_children_step_up_once_on_several_threads() {
    many_callers_step_up_once().await;
}

#[tokio::test]
async fn what_the_new_login_does_not_bring_costs_a_child_one_login_and_ends_in_the_named_error() {
    let server = start(WRITE, |_| false);
    let session = session(&server).build();
    let child = session.audience("orders");
    for _ in 0..3 {
        let ExecuteError::Auth(error) = execute(&server, &child).await.unwrap_err() else { panic!("ours") };
        assert_eq!(error.kind(), ErrorKind::InsufficientScope);
    }
    assert_eq!(asked(&server), (logins(&["read", "read write"]), 2));
}

#[tokio::test]
async fn a_child_for_scopes_of_its_own_is_left_with_them() {
    let server = start(WRITE, |token| token.contains("write"));
    let session = session(&server).build();
    let child = session.access_for(AccessParameters::for_audience("orders").and_scope("read"));
    let ExecuteError::Auth(error) = execute(&server, &child).await.unwrap_err() else { panic!("ours") };
    assert_eq!(error.kind(), ErrorKind::InsufficientScope);
    assert_eq!(asked(&server), (logins(&["read"]), 1));
}

#[tokio::test]
async fn a_login_that_has_become_too_old_for_the_api_of_a_child_is_made_again() {
    let recent = Arc::new(Mutex::new(2));
    let wanted = Arc::clone(&recent);
    let server = start(RECENT, move |token| token.contains(&format!("login-{}", wanted.lock().unwrap())));
    let browser = Browser::default();
    let clock = ManualClock::at(SystemTime::now());
    let login = builder(&server, browser.grant(logged_in)).scope("read").build().unwrap();
    let policy = Policy::default().login_timeout(MINUTE);
    let child = Session::builder(login).policy(policy).clock(&clock).build().audience("orders");
    assert_eq!(execute(&server, &child).await.unwrap(), 200);
    clock.advance(MINUTE * 6);
    *recent.lock().unwrap() = 3;
    assert_eq!(execute(&server, &child).await.unwrap(), 200);
    let asked: Vec<_> = browser.opened().iter().map(|sent| sent.get("max_age").cloned()).collect();
    assert_eq!(asked, [None, Some("300".to_owned()), Some("300".to_owned())]);
}
