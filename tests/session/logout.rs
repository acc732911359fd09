//! Logouts: the revocation, the flush of what is under way, and other sessions on the same store.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwt_refresh::store::MemoryStore;
use jwt_refresh::{Authenticator, Error, ErrorKind, HttpAuthenticator, RefreshToken, Session, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};

use crate::is_ready;
use crate::support::{PAST_EXPIRY, World, login, spawn_caller, until};

/// A session that has logged in, and revokes its refresh token at `path` when it logs out.
async fn logged_in_revoking_at(world: &World, path: &str) -> Session {
    let authenticator = login(&world.server).revocation_url(world.server.url(path)).build().unwrap();
    Session::builder(authenticator).clock(&world.clock).connect().await.unwrap()
}

#[tokio::test]
async fn a_logout_revokes_the_refresh_token_and_is_final_until_a_login() {
    let world = World::new();
    let session = logged_in_revoking_at(&world, "/api/auth/revoke").await;
    let token = session.token().await.unwrap();
    session.logout().await.unwrap();
    assert_eq!(world.server.stats().revocations, 1);
    assert_eq!(world.call_with(&token).await, 401, "the server has ended the login");
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    session.login().await.unwrap();
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn a_logout_whose_revocation_fails_ends_the_session_all_the_same() {
    let world = World::new();
    let session = logged_in_revoking_at(&world, "/no/such/endpoint").await;
    let error = session.logout().await.unwrap_err();
    assert!(error.to_string().contains("/no/such/endpoint"), "{error}");
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
}

/// Notes which refresh tokens it is asked to revoke.
struct NotesRevocations {
    inner: HttpAuthenticator,
    revoked: Arc<Mutex<HashSet<String>>>,
}

impl Authenticator for NotesRevocations {
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
async fn tokens_that_arrive_after_a_logout_are_revoked() {
    // The logout has so long to come before the answer.
    let world = World::with(TestServer::builder().latency(Duration::from_secs(2)).start());
    let revoked = Arc::default();
    let inner = login(&world.server).build().unwrap();
    let authenticator = NotesRevocations { inner, revoked: Arc::clone(&revoked) };
    let session = Session::builder(authenticator).clock(&world.clock).connect().await.unwrap();
    world.pass(PAST_EXPIRY);
    let caller = spawn_caller(&session);
    until("the refresh is under way", async || world.server.stats().refreshes == 1).await;
    session.logout().await.unwrap();
    assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::LoggedOut);
    session.flush().await;
    assert_eq!(revoked.lock().unwrap().len(), 2, "the one held at the logout, and the one that came after it");
}

#[tokio::test]
async fn a_flush_waits_for_the_exchange_under_way_and_for_its_save() {
    let world = World::with(TestServer::builder().latency(Duration::from_millis(50)).start());
    let store = MemoryStore::new();
    let session = world.session().store(store.clone(), "ada").connect().await.unwrap();
    world.pass(PAST_EXPIRY);
    drop(spawn_caller(&session));
    until("the refresh is under way", async || world.server.stats().refreshes == 1).await;
    session.flush().await;
    drop(session);
    let next = world.session().store(store, "ada").build();
    assert_eq!(world.call(&next).await, 200);
    assert_eq!(world.server.stats().auth_requests, 2, "the next session found what the flush had waited for");
}

#[tokio::test]
async fn a_logout_is_seen_by_every_session_on_the_store_and_a_failed_login_does_not_undo_it() {
    let world = World::new();
    let store = MemoryStore::new();
    let one = world.session().store(store.clone(), "ada").connect().await.unwrap();
    let other = world.session().store(store.clone(), "ada").build();
    other.token().await.unwrap();
    one.logout().await.unwrap();
    until("the other session has seen it", async || !is_ready(&other)).await;
    assert_eq!(other.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    let later = world.session().store(store, "ada").build();
    assert_eq!(later.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    world.server.inject(Endpoint::Login, Fault::Status(500), Times::Once);
    later.login().await.unwrap_err();
    assert_eq!(later.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
}
