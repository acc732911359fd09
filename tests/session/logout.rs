use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwt_refresh::store::MemoryStore;
use jwt_refresh::{Authenticator, Error, ErrorKind, HttpAuthenticator, RefreshToken, Session, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};

use crate::{World, until};

async fn revoking(world: &World) -> Session {
    let authenticator = world.authenticator().revocation_url(world.server.url("/api/auth/revoke")).build().unwrap();
    Session::builder(authenticator).clock(&world.clock).login().await.unwrap()
}

#[tokio::test]
async fn a_logout_revokes_the_refresh_token_and_is_final_until_a_login() {
    let world = World::new();
    let session = revoking(&world).await;
    let token = session.token().await.unwrap();
    session.logout().await.unwrap();
    assert_eq!(world.server.stats().revocations, 1);
    let request = reqwest::Client::new().get(world.server.url("/api/v1/products/1")).header("authorization", &token);
    assert_eq!(request.send().await.unwrap().status(), 401, "the server has ended the login");
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    session.login().await.unwrap();
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn a_logout_that_the_server_cannot_be_told_of_is_one_all_the_same() {
    let world = World::new();
    let authenticator = world.authenticator().revocation_url(world.server.url("/no/such/endpoint")).build().unwrap();
    let session = Session::builder(authenticator).clock(&world.clock).login().await.unwrap();
    let error = session.logout().await.unwrap_err();
    assert!(error.to_string().contains("/no/such/endpoint"), "{error}");
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
}

/// Counts what it is asked to revoke.
struct Counting {
    inner: HttpAuthenticator,
    revoked: Arc<Mutex<HashSet<String>>>,
}

impl Authenticator for Counting {
    async fn login(&self) -> Result<Tokens, Error> {
        self.inner.login().await
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        self.inner.refresh(token).await
    }

    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        self.revoked.lock().unwrap().insert(token.expose().to_owned());
        Ok(())
    }
}

#[tokio::test]
async fn tokens_that_arrive_after_a_logout_are_given_back() {
    let world = World::with(TestServer::builder().latency(Duration::from_millis(100)).start());
    let revoked = Arc::default();
    let authenticator = Counting { inner: world.authenticator().build().unwrap(), revoked: Arc::clone(&revoked) };
    let session = Session::builder(authenticator).clock(&world.clock).login().await.unwrap();
    world.pass(Duration::from_secs(61));
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    until("the refresh is on its way", || world.server.stats().refreshes == 1).await;
    session.logout().await.unwrap();
    assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::LoggedOut);
    session.flush().await;
    assert_eq!(revoked.lock().unwrap().len(), 2, "that held at the logout, and that which came after it");
}

#[tokio::test]
async fn a_flush_waits_for_the_exchange_under_way_and_for_its_save() {
    let world = World::with(TestServer::builder().latency(Duration::from_millis(50)).start());
    let store = MemoryStore::new();
    let session = world.builder().store(store.clone(), "ada").login().await.unwrap();
    world.pass(Duration::from_secs(61));
    drop(tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    }));
    until("the refresh is on its way", || world.server.stats().refreshes == 1).await;
    session.flush().await;
    drop(session);
    let next = world.builder().store(store, "ada").build();
    assert_eq!(world.call(&next).await, 200);
    assert_eq!(world.server.stats().auth_requests, 2, "the next session found what the flush had waited for");
}

#[tokio::test]
async fn a_logout_is_seen_by_every_session_of_the_store() {
    let world = World::new();
    let store = MemoryStore::new();
    let one = world.builder().store(store.clone(), "ada").login().await.unwrap();
    let other = world.builder().store(store.clone(), "ada").build();
    other.token().await.unwrap();
    one.logout().await.unwrap();
    until("the other has heard of it", || !crate::is_ready(&other)).await;
    assert_eq!(other.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    let later = world.builder().store(store, "ada").build();
    assert_eq!(later.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    world.server.inject(Endpoint::Login, Fault::Status(500), Times::Once);
    later.login().await.unwrap_err();
    assert_eq!(later.token().await.unwrap_err().kind(), ErrorKind::LoggedOut, "a login that failed undoes no logout");
}
