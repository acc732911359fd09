//! The tests that a wrapper would have, against the test kit, with the routes of the wrapper's API.
//! They need no more of the kit than its documentation shows.

mod notes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwt_refresh_testkit::{Answer, Builder, Endpoint, Fault, Route, TestServer, Times};
use serde_json::json;

use notes::{Note, Notes, NotesError};

const HOUR: Duration = Duration::from_secs(3600);

/// The notes API, with three notes on two pages.
fn api() -> Builder {
    let texts = ["one", "two", "three"].map(str::to_owned);
    let notes: BTreeMap<u64, String> = (1..).zip(texts).collect();
    let notes = Arc::new(Mutex::new(notes));
    let (get, list, create, delete) = (notes.clone(), notes.clone(), notes.clone(), notes);
    TestServer::builder()
        .route(Route::get("/v2/notes/{id}", move |request| {
            let id = request.param("id").parse().unwrap();
            match get.lock().unwrap().get(&id) {
                Some(text) => Answer::new(200).json(&Note { id, text: text.clone() }),
                None => Answer::new(404),
            }
        }))
        .route(Route::get("/v2/notes", move |request| {
            let notes = list.lock().unwrap();
            let first: u64 = request.query("cursor").map_or(1, |cursor| cursor.parse().unwrap());
            let page: Vec<_> =
                notes.range(first..).take(2).map(|(id, text)| json!({ "id": id, "text": text })).collect();
            let next = notes.range(first..).nth(2).map(|(id, _)| id.to_string());
            json!({ "notes": page, "next": next })
        }))
        .route(
            Route::post("/v2/notes", move |request| {
                let mut notes = create.lock().unwrap();
                let note = Note { id: notes.len() as u64 + 1, text: request.json().unwrap() };
                notes.insert(note.id, note.text.clone());
                Answer::new(201).json(&note)
            })
            .scope("notes:write"),
        )
        .route(Route::put("/v2/notes/{id}/files/{name}", |request| json!(request.body().len())).scope("notes:write"))
        .route(
            Route::delete("/v2/notes/{id}", move |request| {
                delete.lock().unwrap().remove(&request.param("id").parse().unwrap());
                Answer::new(204)
            })
            .scope("notes:delete"),
        )
        .route(Route::get("/v2/version", |_| json!("2.1")).public())
}

fn client(server: &TestServer) -> Notes {
    Notes::new(server.base_url(), server.email(), server.password()).unwrap()
}

#[tokio::test]
async fn every_method_reaches_its_route_and_the_public_one_needs_no_login() {
    let server = api().start();
    let notes = client(&server);
    assert_eq!(notes.version().await.unwrap(), "2.1");
    assert_eq!(server.stats().logins, 0);
    assert_eq!(notes.note(2).await.unwrap().text, "two");
    assert_eq!(notes.create("four").await.unwrap().id, 4);
    assert_eq!(notes.all().await.unwrap().len(), 4);
    assert_eq!(notes.attach(4, "a b.bin", &vec![7; 100_000]).await.unwrap(), 100_000);
    notes.delete(1).await.unwrap();
    assert_eq!(server.stats().logins, 1);
    let upload = server.requests().into_iter().find(|request| request.method() == "PUT").unwrap();
    assert_eq!(upload.param("name"), "a b.bin");
    assert_eq!(upload.header("content-type"), Some("application/octet-stream"));
}

#[tokio::test]
async fn an_expired_token_is_renewed_between_two_pages() {
    let server = api().access_lifetime(HOUR / 2).start();
    let notes = client(&server);
    notes.note(1).await.unwrap();
    server.advance(HOUR / 2);
    assert_eq!(notes.all().await.unwrap().len(), 3);
    assert_eq!((server.stats().refreshes, server.stats().rejected), (1, 1));
}

#[tokio::test]
async fn refresh_tokens_rotate_and_none_is_sent_twice() {
    let server = api().start();
    let notes = client(&server);
    for _ in 0..3 {
        notes.create("again").await.unwrap();
        server.rotate_signing_key();
    }
    notes.create("again").await.unwrap();
    let stats = server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.reuses), (1, 3, 0));
}

#[tokio::test]
async fn a_post_whose_answer_is_lost_is_not_repeated() {
    let server = api().start();
    let notes = client(&server);
    notes.version().await.unwrap();
    server.inject(Endpoint::Route("POST", "/v2/notes"), Fault::DropAfterProcessing, Times::Once);
    assert!(matches!(notes.create("lost?").await, Err(NotesError::Http(error)) if error.is_request()));
    let posts = server.requests().iter().filter(|request| request.path() == "/v2/notes").count();
    assert_eq!(posts, 1);
    assert_eq!(notes.all().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_login_that_fails_is_told_apart_from_a_call_that_fails() {
    let server = api().inject(Endpoint::Login, Fault::Status(503), Times::Once).start();
    let error = client(&server).note(1).await.unwrap_err();
    assert!(matches!(error, NotesError::Login(error) if error.is_transient()));
}

#[tokio::test]
async fn a_call_above_the_rate_limit_is_told_when_to_call_again() {
    let server = api().rate_limit(2, HOUR).start();
    let notes = client(&server);
    notes.note(1).await.unwrap();
    notes.note(1).await.unwrap();
    let error = notes.note(1).await.unwrap_err();
    assert!(matches!(error, NotesError::RateLimited(wait) if wait <= HOUR / 2 && wait > HOUR / 3));
    assert_eq!(server.account_stats(server.email()).limited, 1);
    notes.version().await.unwrap();
}

#[tokio::test]
async fn a_missing_scope_is_no_reason_to_renew() {
    let server = api().start();
    server.set_scope(server.email(), "notes:write");
    let notes = client(&server);
    assert!(matches!(notes.delete(1).await, Err(NotesError::Forbidden)));
    assert_eq!(notes.note(1).await.unwrap().text, "one");
    assert_eq!((server.stats().logins, server.stats().refreshes, server.stats().forbidden), (1, 0, 1));
}
