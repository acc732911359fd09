//! Callers that are cancelled at any point of what they wait for. What was begun goes on, and the
//! next caller is served: nothing is sent twice that a server takes once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use jwt_refresh::oauth::{Grant, OAuth, TokenExchange, TokenType};
use jwt_refresh::prelude::*;
use jwt_refresh::{ClientAuth, Policy, RequestRule};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::dpop_server::DpopServer;
use crate::provider::{OPENID, document, for_tokens, granted, provider, refusal, tokens, value};
use crate::server::{Seen, Server};
use crate::support::{MINUTE, http_client};

/// Polls a future this often, and then drops it. Returns whether it was done by then.
async fn is_done_by(polls: usize, future: impl Future) -> bool {
    let (mut future, mut polled) = (pin!(future), 0);
    poll_fn(|context| {
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if polled >= polls => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Runs a scenario, whose caller is dropped after this many polls, until one is not dropped.
/// Returns how often that was.
async fn at_each_poll<F: Future<Output = bool>>(scenario: impl Fn(usize) -> F) -> usize {
    for polls in 1..1000 {
        if scenario(polls).await {
            return polls;
        }
    }
    panic!("it is never done");
}

async fn call(session: &Session, server: &Server) -> u16 {
    let http = http_client();
    let request = http.post(server.url("/orders")).body("a").build().unwrap();
    session.execute(&http, request).await.unwrap().status().as_u16()
}

/// The refresh tokens that were sent, and how many logins there were.
fn sent(server: &Server) -> (Vec<String>, usize) {
    let seen = server.seen();
    let refreshes: Vec<_> =
        for_tokens(&seen).into_iter().filter_map(|request| value(request, "refresh_token")).collect();
    let logins = for_tokens(&seen).len() - refreshes.len();
    (refreshes, logins)
}

fn assert_each_once(mut refresh_tokens: Vec<String>) {
    let all = refresh_tokens.len();
    refresh_tokens.sort();
    refresh_tokens.dedup();
    assert_eq!(refresh_tokens.len(), all, "{refresh_tokens:?}");
}

#[tokio::test]
async fn a_caller_that_is_cancelled_in_a_step_up_costs_no_second_login() {
    let polls = at_each_poll(async |polls| {
        let server = Server::start(move |request, number| match request.path() {
            OPENID => document(request, &json!({})),
            "/orders" if request.header("authorization").contains("write") => Answer::new(200),
            "/orders" => {
                Answer::new(403).header("www-authenticate", r#"Bearer error="insufficient_scope", scope="write""#)
            }
            _ => granted(&format!("{}~", value(request, "scope").unwrap().replace(' ', "+")), number),
        });
        let login =
            OAuth::builder(server.url(""), Grant::jwt_bearer("assertion")).client_auth(ClientAuth::public("app"));
        let rule = RequestRule::for_origin(server.url("")).unwrap();
        let session = Session::builder(login.scope("read").build().unwrap()).requests(rule).build();
        session.token().await.unwrap();
        let is_done = is_done_by(polls, call(&session, &server)).await;
        assert_eq!(call(&session, &server).await, 200, "{polls}");
        let (refreshes, logins) = sent(&server);
        assert_eq!((refreshes, logins), (Vec::new(), 2), "{polls}");
        is_done
    })
    .await;
    assert!(polls > 2, "it was cancelled {polls} times");
}

#[tokio::test]
async fn a_caller_that_is_cancelled_in_a_retry_with_a_nonce_costs_nothing() {
    let polls = at_each_poll(async |polls| {
        let dpop = DpopServer::default();
        let server = dpop.start();
        let session = crate::dpop::builder(&server).build();
        dpop.want_nonce("one");
        session.token().await.unwrap();
        dpop.want_api_nonce("two");
        let is_done = is_done_by(polls, call(&session, &server)).await;
        assert_eq!(call(&session, &server).await, 200, "{polls}");
        session.refresh_now().await.unwrap();
        assert_eq!(call(&session, &server).await, 200, "{polls}");
        let log = dpop.log();
        assert!(log.starts_with(&["login: nonce".to_owned(), "login".to_owned()]), "{polls}: {log:?}");
        assert_eq!(log.iter().filter(|what| what.starts_with("refresh")).count(), 1, "{polls}: {log:?}");
        is_done
    })
    .await;
    assert!(polls > 2, "it was cancelled {polls} times");
}

/// A server that replaces each refresh token, and ends the login if it sees one twice.
fn rotating() -> Server {
    let newest = Arc::new(Mutex::new(String::new()));
    provider(move |request: &Seen, number| {
        let mut newest = newest.lock().unwrap();
        match value(request, "refresh_token") {
            Some(sent) if sent != *newest => return refusal("invalid_grant"),
            _ => *newest = format!("refresh-{number}"),
        }
        tokens(number)
    })
}

#[tokio::test]
async fn a_caller_that_is_cancelled_in_a_refresh_or_an_exchange_costs_no_refresh_token() {
    let polls = at_each_poll(async |polls| {
        let server = rotating();
        let grant = TokenExchange::new("subject", TokenType::jwt());
        let login = OAuth::builder(server.url(""), grant).client_auth(ClientAuth::public("app"));
        let session = Session::new(login.build().unwrap());
        let orders = session.audience("orders");
        let done = [
            is_done_by(polls, session.token()).await,
            is_done_by(polls, session.refresh_now()).await,
            is_done_by(polls, orders.token()).await,
        ];
        session.token().await.unwrap();
        orders.token().await.unwrap();
        session.refresh_now().await.unwrap();
        let (refreshes, logins) = sent(&server);
        assert_eq!(logins, 1, "{polls}");
        assert_each_once(refreshes);
        done == [true; 3]
    })
    .await;
    assert!(polls > 1, "it was cancelled {polls} times");
}

#[tokio::test]
async fn a_caller_that_is_cancelled_while_a_device_code_is_entered_costs_no_second_code() {
    let server = provider(|request, number| match request.path() {
        "/device" => Answer::new(200).json(&json!({
            "device_code": "d", "user_code": "u", "verification_uri": "https://id.example/", "expires_in": 60,
            "interval": 1,
        })),
        _ if number < 3 => refusal("authorization_pending"),
        _ => tokens(number),
    });
    let shown = Arc::new(Mutex::new(0));
    let codes = Arc::clone(&shown);
    let grant = Grant::device_code(move |_| *codes.lock().unwrap() += 1);
    let login = OAuth::builder(server.url(""), grant).client_auth(ClientAuth::public("tv")).build().unwrap();
    let session = Session::builder(login).policy(Policy::default().login_timeout(MINUTE)).build();
    // Before the code is shown, while it is, and between the questions.
    for millis in [0, 1, 300, 900] {
        let _ = tokio::time::timeout(Duration::from_millis(millis), session.token()).await;
    }
    assert_eq!(session.token().await.unwrap().expose(), "access-3");
    assert_eq!(*shown.lock().unwrap(), 1);
}
