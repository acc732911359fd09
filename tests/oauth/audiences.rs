//! Several access tokens of one login.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jwt_refresh::oauth::{Grant, OAuth};
use jwt_refresh::prelude::*;
use jwt_refresh::store::{FileStore, MemoryStore};
use jwt_refresh::{
    AccessParameters, ChildSession, ClientAuth, ErrorKind, ManualClock, Policy, RequestAuth, RequestRule,
    SessionBuilder, Tokens,
};
use jwt_refresh_testkit::{Answer, Fault};
use serde_json::json;

use crate::faulty::{Fault as StoreFault, FaultyStore};
use crate::provider::{OPENID, document, for_tokens, granted, refusal, value, values};
use crate::server::{Seen, Server};
use crate::support::{BoxError, HOUR, MINUTE, http_client, until};

const ORDERS: &str = "https://orders.example";

/// A server that replaces each refresh token, and ends the login if it sees one twice.
#[derive(Clone, Default)]
struct Rotation(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    issued: usize,
    is_dead: bool,
    logins: usize,
}

impl Rotation {
    fn answer(&self, request: &Seen) -> Answer {
        let mut state = self.0.lock().unwrap();
        let newest = format!("refresh-{}", state.issued);
        match value(request, "refresh_token") {
            Some(sent) if sent != newest || state.is_dead => {
                state.is_dead = true;
                return refusal("invalid_grant");
            }
            Some(_) => {}
            None => (state.logins, state.is_dead) = (state.logins + 1, false),
        }
        state.issued += 1;
        let of = |name| values(request, name).join("+").replace("https://", "").replace('/', "_");
        let access =
            format!("{}.{}.{}~{}", of("audience"), of("resource"), of("scope").replace(' ', "+"), state.issued);
        granted(&access, state.issued)
    }

    fn start(&self) -> Server {
        let rotation = self.clone();
        Server::start(move |request, _| match request.path() {
            OPENID => document(request, &json!({})),
            "/orders" if request.header("authorization").contains("orders.example..~2") => Answer::new(401),
            "/orders" => Answer::new(200),
            _ => rotation.answer(request),
        })
    }

    fn is_alive(&self) -> bool {
        !self.0.lock().unwrap().is_dead
    }
}

fn builder(server: &Server) -> SessionBuilder {
    // A grant that logs in by itself and brings a refresh token.
    let login = OAuth::builder(server.url(""), Grant::jwt_bearer("assertion")).client_auth(ClientAuth::public("app"));
    Session::builder(login.build().unwrap())
}

/// The last part of a token, which counts, taken away.
fn kind(token: &AccessToken) -> String {
    token.expose().split('~').next().unwrap().to_owned()
}

async fn expose(child: &ChildSession) -> String {
    child.token().await.unwrap().expose().to_owned()
}

#[tokio::test]
async fn each_audience_of_a_login_has_a_token_of_its_own_by_one_refresh_token() {
    let rotation = Rotation::default();
    let server = rotation.start();
    let session = builder(&server).build();
    let (orders, files) = (session.audience(ORDERS), session.access_for(AccessParameters::for_resource("urn:files")));
    assert_eq!(expose(&orders).await, "orders.example..~2");
    assert_eq!(expose(&files).await, ".urn:files.~3");
    let own = session.token().await.unwrap();
    assert_eq!(own.expose(), "..~1");
    // All of them live.
    for _ in 0..3 {
        assert_eq!(
            (expose(&orders).await, session.token().await.unwrap().generation()),
            ("orders.example..~2".to_owned(), own.generation())
        );
    }
    session.refresh_now().await.unwrap();
    assert_eq!(expose(&orders).await, "orders.example..~2");
    let seen = server.seen();
    let sent: Vec<_> = for_tokens(&seen).into_iter().map(|request| value(request, "refresh_token")).collect();
    let refreshes = ["refresh-1", "refresh-2", "refresh-3"].map(|token| Some(token.to_owned()));
    assert_eq!((&sent[0], &sent[1..]), (&None, &refreshes[..]));
    assert!(rotation.is_alive());
}

#[tokio::test]
async fn a_token_is_kept_for_all_its_parameters() {
    let rotation = Rotation::default();
    let server = rotation.start();
    let session = builder(&server).build();
    let files = || AccessParameters::for_resource("urn:a").and_resource("urn:b");
    let first = session.access_for(files().and_scope("read write")).token().await.unwrap();
    let same = AccessParameters::for_resource("urn:b").and_scope("write").and_resource("urn:a").and_scope("read");
    assert_eq!(session.access_for(same).token().await.unwrap().expose(), first.expose());
    for other in [files(), files().and_scope("read"), AccessParameters::for_resource("urn:a").and_scope("read write")] {
        assert_ne!(session.access_for(other).token().await.unwrap().expose(), first.expose());
    }
    let seen = server.seen();
    let sent = for_tokens(&seen)[1];
    assert_eq!(values(sent, "resource"), ["urn:a", "urn:b"]);
    assert_eq!(value(sent, "scope").unwrap(), "read write");
    assert_eq!(for_tokens(&seen).len(), 5);
}

#[tokio::test]
async fn however_many_ask_at_once_no_refresh_token_is_sent_twice() {
    let rotation = Rotation::default();
    let server = rotation.start();
    let clock = ManualClock::at(SystemTime::now());
    let session = builder(&server).clock(&clock).build();
    for round in 0..5 {
        let mut callers = tokio::task::JoinSet::new();
        for number in 0..40 {
            let session = session.clone();
            callers.spawn(async move {
                match number % 4 {
                    0 => session.token().await.unwrap(),
                    1 => session.audience(ORDERS).token().await.unwrap(),
                    2 => session.audience("b").token().await.unwrap(),
                    _ => session.access_for(AccessParameters::for_resource("c")).token().await.unwrap(),
                }
            });
        }
        let mut tokens: Vec<_> = callers.join_all().await.iter().map(|token| token.expose().to_owned()).collect();
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 4, "{tokens:?}");
        assert_eq!(for_tokens(&server.seen()).len(), 4, "in round {round}");
        clock.advance(HOUR + Duration::from_secs(1));
    }
    assert!(rotation.is_alive());
    assert_eq!(rotation.0.lock().unwrap().logins, 1);
}

#[tokio::test]
async fn processes_that_share_a_store_share_every_token_of_the_login() {
    let rotation = Rotation::default();
    let server = rotation.start();
    let store = MemoryStore::new();
    let session = || builder(&server).store(store.clone(), "ada").build();
    let (one, two) = (session(), session());
    let own = one.token().await.unwrap();
    let orders = expose(&one.audience(ORDERS)).await;
    assert_eq!(two.token().await.unwrap().expose(), own.expose());
    assert_eq!(expose(&two.audience(ORDERS)).await, orders);
    assert_eq!(for_tokens(&server.seen()).len(), 2);
    // What one has replaced is no longer sent by the other.
    let _ = two.audience("b").token().await.unwrap();
    one.refresh_now().await.unwrap();
    let _ = two.audience("c").token().await.unwrap();
    assert!(rotation.is_alive());
    // One that starts later finds them all.
    let third = session();
    let all = [third.audience(ORDERS), third.audience("b"), third.audience("c")];
    server.seen();
    for child in &all {
        let _ = child.token().await.unwrap();
    }
    assert!(for_tokens(&server.seen()).is_empty());
    // An API rejects the token of each of them, and one of them has it replaced.
    let children = [&one, &two, &third].map(|session| session.audience(ORDERS));
    let mut rejected = Vec::new();
    for child in &children {
        rejected.push(child.token().await.unwrap());
    }
    let mut replaced = Vec::new();
    for (child, token) in children.iter().zip(&rejected) {
        replaced.push(TokenProvider::rejected(child, token).await.unwrap().expose().to_owned());
    }
    assert_eq!(replaced, vec![replaced[0].clone(); 3]);
    assert_eq!(for_tokens(&server.seen()).len(), 1);
    assert!(rotation.is_alive());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_at_once_make_one_login_and_one_request_for_each_token() {
    for _ in 0..5 {
        let rotation = Rotation::default();
        let server = rotation.start();
        let folder = tempfile::tempdir().unwrap();
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            // A slow disk is waited for.
            let policy = Policy::default().store_timeout(MINUTE);
            let session = builder(&server).policy(policy).store(FileStore::new(folder.path()), "ada").build();
            for audience in ["a", "b", "c", ""] {
                let session = session.clone();
                callers.spawn(async move {
                    if audience.is_empty() {
                        session.token().await.unwrap()
                    } else {
                        session.audience(audience).token().await.unwrap()
                    }
                });
            }
        }
        let mut tokens: Vec<_> = callers.join_all().await.iter().map(|token| token.expose().to_owned()).collect();
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 4, "{tokens:?}");
        assert_eq!(for_tokens(&server.seen()).len(), 4);
        assert!(rotation.is_alive());
    }
}

#[tokio::test]
async fn a_session_goes_on_with_its_own_token_while_another_process_gets_others() {
    let rotation = Rotation::default();
    let server = rotation.start();
    let store = MemoryStore::new();
    let session = || builder(&server).store(store.clone(), "ada").build();
    let (one, two) = (session(), session());
    let (own, before) = (one.token().await.unwrap(), two.token().await.unwrap());
    let _ = one.audience(ORDERS).token().await.unwrap();
    let _ = one.audience("b").token().await.unwrap();
    assert_eq!(two.token().await.unwrap().generation(), before.generation());
    assert_eq!(one.token().await.unwrap().generation(), own.generation());
    // A token that is rejected does not come back from the store with the others.
    for session in [&one, &two] {
        let rejected = session.token().await.unwrap();
        let renewed = TokenProvider::rejected(session, &rejected).await.unwrap();
        assert_ne!(renewed.expose(), rejected.expose());
    }
    assert!(rotation.is_alive());
}

#[tokio::test]
async fn a_token_that_its_api_rejects_is_replaced_and_not_found_again_in_the_store() {
    struct Orders(ChildSession, String);

    impl Orders {
        #[refresh_token(from = self.0, token, retry)]
        async fn order(&self) -> Result<reqwest::Response, BoxError> {
            Ok(http_client().get(&self.1).bearer(&token).send().await?)
        }
    }

    let rotation = Rotation::default();
    let server = rotation.start();
    let session = builder(&server).store(MemoryStore::new(), "ada").build();
    let api = Orders(session.audience(ORDERS), server.url("/orders"));
    assert_eq!(api.order().await.unwrap().status(), 200);
    assert_eq!(expose(&api.0).await, "orders.example..~3");
    assert_eq!(session.token().await.unwrap().expose(), "..~1");
    // The same by a client.
    let auth = RequestAuth::new(api.0.clone(), RequestRule::for_origin(server.url("")).unwrap());
    let http = http_client();
    let request = http.get(server.url("/orders")).build().unwrap();
    assert_eq!(auth.execute(&http, request).await.unwrap().status(), 200);
    assert!(rotation.is_alive());
}

#[tokio::test]
async fn parameters_that_the_server_refuses_cost_neither_login_nor_refresh_token() {
    let rotation = Rotation::default();
    let inner = rotation.clone();
    let server = Server::start(move |request, _| match request.path() {
        OPENID => document(request, &json!({})),
        _ if value(request, "audience").as_deref() == Some("nobody") => refusal("invalid_target"),
        _ => inner.answer(request),
    });
    let session = builder(&server).store(MemoryStore::new(), "ada").build();
    let error = session.audience("nobody").token().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Configuration, Some("invalid_target")), "{error}");
    assert!(error.to_string().contains("no access token for these parameters"), "{error}");
    assert_eq!(kind(&session.audience(ORDERS).token().await.unwrap()), "orders.example..");
    session.refresh_now().await.unwrap();
    assert!(rotation.is_alive());
    assert_eq!(rotation.0.lock().unwrap().logins, 1);
}

#[tokio::test]
async fn a_dead_refresh_token_costs_one_login_for_all_tokens() {
    for store in [None, Some(MemoryStore::new())] {
        let rotation = Rotation::default();
        let server = rotation.start();
        let builder = builder(&server);
        let session = match store {
            Some(store) => builder.store(store, "ada").build(),
            None => builder.build(),
        };
        let before = session.audience(ORDERS).token().await.unwrap();
        rotation.0.lock().unwrap().is_dead = true;
        let files = session.audience("b").token().await.unwrap();
        assert_eq!(kind(&files), "b..");
        assert_eq!(rotation.0.lock().unwrap().logins, 2);
        // The other one was of the login before.
        assert_ne!(session.audience(ORDERS).token().await.unwrap().expose(), before.expose());
        assert!(rotation.is_alive());
    }
}

#[tokio::test]
async fn a_refresh_without_an_answer_leaves_the_refresh_token_in_doubt_for_all() {
    let rotation = Rotation::default();
    let server = rotation.start();
    let session = builder(&server).store(MemoryStore::new(), "ada").build();
    let own = session.token().await.unwrap();
    server.inject("POST", Fault::DropAfterProcessing);
    let child = session.audience(ORDERS);
    assert_eq!(child.token().await.unwrap_err().kind(), ErrorKind::Unanswered);
    assert_eq!(session.token().await.unwrap().expose(), own.expose(), "what lives is served");
    // It is not sent again: there is a login first.
    until("the pause has ended", async || child.token().await.is_ok()).await;
    assert!(rotation.is_alive());
    assert_eq!(rotation.0.lock().unwrap().logins, 2);
}

#[tokio::test]
async fn a_refresh_token_that_could_not_be_saved_with_another_token_is_saved_later_and_not_lost() {
    for fault in [StoreFault::Down, StoreFault::LosesAnswersOfSaves] {
        let (rotation, store) = (Rotation::default(), FaultyStore::default());
        let (inner, broken) = (rotation.clone(), store.clone());
        let server = Server::start(move |request, _| {
            if request.path() == OPENID {
                return document(request, &json!({}));
            }
            if value(request, "audience").is_some() {
                broken.set(fault);
            }
            inner.answer(request)
        });
        let policy = Policy::default().store_timeout(Duration::from_secs(2));
        let session = || builder(&server).policy(policy.clone()).store(store.clone(), "ada").build();
        let one = session();
        let own = one.token().await.unwrap();
        assert_eq!(kind(&one.audience(ORDERS).token().await.unwrap()), "orders.example..");
        assert_eq!(one.token().await.unwrap().expose(), own.expose());
        store.set(StoreFault::None);
        one.flush().await;
        let two = session();
        assert_eq!(two.token().await.unwrap().expose(), own.expose());
        two.refresh_now().await.unwrap();
        one.refresh_now().await.unwrap();
        assert!(rotation.is_alive(), "{fault:?}");
        assert_eq!(rotation.0.lock().unwrap().logins, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_logout_ends_all_tokens_and_a_new_login_has_none_of_the_one_before() {
    let rotation = Rotation::default();
    let server = rotation.start();
    let store = MemoryStore::new();
    let session = || builder(&server).store(store.clone(), "ada").build();
    let (one, two) = (session(), session());
    let children = [one.audience(ORDERS), two.audience(ORDERS)];
    let before = expose(&children[0]).await;
    assert_eq!(expose(&children[1]).await, before);
    one.logout().await.unwrap();
    assert_eq!(children[0].token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    until("the other process sees it", async || children[1].token().await.is_err()).await;
    one.login().await.unwrap();
    until("a token of the new login", async || children[0].token().await.is_ok_and(|token| token.expose() != before))
        .await;
    // Tokens that the user brings are of a login of their own, too, in each process.
    let second = expose(&children[0]).await;
    let (three, newest) = (session(), format!("refresh-{}", rotation.0.lock().unwrap().issued));
    let child = three.audience(ORDERS);
    assert_eq!(expose(&child).await, second);
    one.adopt(Tokens::new("adopted").unwrap().refresh_token(newest)).await.unwrap();
    assert_ne!(expose(&children[0]).await, second);
    until("the other process sees it", async || expose(&child).await != second).await;
    assert!(rotation.is_alive());
}

#[tokio::test]
async fn a_login_without_a_refresh_token_says_that_it_has_one_access_token() {
    let server = Server::start(|request, _| match request.path() {
        OPENID => document(request, &json!({})),
        _ => Answer::new(200).json(&json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 3600 })),
    });
    let session = builder(&server).build();
    let error = session.audience(ORDERS).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("no refresh token"), "{error}");
    assert_eq!(for_tokens(&server.seen()).len(), 1);
}

#[tokio::test]
async fn a_provider_of_a_login_outlives_the_handle_of_its_session() {
    let rotation = Rotation::default();
    let server = rotation.start();
    let session = builder(&server).build();
    let orders = session.audience(ORDERS);
    drop(session);
    assert_eq!(kind(&orders.token().await.unwrap()), "orders.example..");
    assert_eq!(orders.session().token().await.unwrap().expose(), "..~1");
}
