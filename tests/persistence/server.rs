//! An entry is bound to the server that its tokens are for.

use jwt_refresh::store::{StoreFailure, TokenStore};
use jwt_refresh::{Error, ErrorKind, HttpAuthenticator, ManualClock, Policy, Session};

use crate::faulty::FaultyStore;
use crate::scripted::{LIFE, Scripted};

fn assert_refused(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    for part in ["production", "staging", "server_id", "\"ada\""] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn an_entry_of_another_server_is_neither_used_nor_replaced() {
    for answer in [StoreFailure::Fail, StoreFailure::ServeWhatLives, StoreFailure::RefreshUnguarded] {
        let (production, staging) = (Scripted::new().called("production"), Scripted::new().called("staging"));
        let store = FaultyStore::default();
        production.session().store(store.clone(), "ada").connect().await.unwrap();
        let before = store.entry().await;

        let start = || staging.session().policy(Policy::default().store_failure(answer)).store(store.clone(), "ada");
        assert_refused(&start().connect().await.unwrap_err());
        let built = start().build();
        assert_refused(&built.token().await.unwrap_err());
        assert_refused(&built.login().await.unwrap_err());
        assert_refused(&built.adopt(staging.capture()).await.unwrap_err());
        assert_refused(&built.logout().await.unwrap_err());
        assert_eq!(store.entry().await, before, "{answer:?}");
        let asked = staging.asked();
        assert!(asked.iter().all(|request| request == "revoke R1"), "{asked:?}");
        assert_eq!(production.asked(), ["login"]);
    }
}

#[tokio::test]
async fn server_id_says_that_two_origins_are_one_server() {
    let store = FaultyStore::default();
    let server = Scripted::new();
    for origin in ["eu", "us"] {
        let builder = server.called(origin).session().server_id("catalog").store(store.clone(), "ada");
        builder.connect().await.unwrap();
    }
    assert_eq!(server.asked(), ["login"]);
}

#[tokio::test]
async fn an_entry_without_a_server_is_adopted_and_an_authenticator_without_one_takes_any_entry() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let start = |server: &Scripted| server.session().clock(&clock).store(store.clone(), "ada");
    start(&server).connect().await.unwrap();
    start(&server.called("production")).connect().await.unwrap();
    clock.advance(LIFE);
    start(&server.called("production")).connect().await.unwrap();
    assert!(store.text().await.contains("\"production\""));
    clock.advance(LIFE);
    start(&server).connect().await.unwrap();
    assert!(store.text().await.contains("\"production\""), "it is still known whose the entry is");
    assert_eq!(server.asked(), ["login", "refresh R1", "refresh R2"]);
    assert_refused(&start(&server.called("staging")).connect().await.unwrap_err());
}

#[tokio::test]
async fn the_server_of_an_http_authenticator_is_where_refresh_tokens_are_sent() {
    let store = FaultyStore::default();
    let login = "https://login.example.com/token";
    for (refresh, expected) in [
        (None, "https://login.example.com"),
        (Some("https://api.example.com:443/refresh"), "https://api.example.com"),
        (Some("http://127.0.0.1:8080/refresh"), "http://127.0.0.1:8080"),
    ] {
        let mut builder = HttpAuthenticator::builder(login);
        if let Some(refresh) = refresh {
            builder = builder.refresh_url(refresh);
        }
        let server = Scripted::new();
        let session = Session::builder(builder.build().unwrap()).store(store.clone(), expected).build();
        session.adopt(server.capture()).await.unwrap();
        let entry = store.inner().load(expected).await.unwrap().unwrap();
        let text = String::from_utf8(entry.data.to_vec()).unwrap();
        assert!(text.contains(&format!("\"server\":\"{expected}\"")), "{text}");
    }
}
