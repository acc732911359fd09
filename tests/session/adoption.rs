//! Tokens that are adopted beside a store: whatever was in the store before does not displace them.

use std::sync::atomic::Ordering;

use jwt_refresh::{Authenticator, Policy, Session, SessionBuilder, TokenProvider, Tokens};
use tokio::task::JoinHandle;

use crate::slow_store::SlowStore;
use crate::support::{HOUR, PAST_EXPIRY, World, login, spawn_caller, until};

/// Tokens that a person got by logging in elsewhere.
async fn captured(world: &World) -> Tokens {
    login(&world.server).build().unwrap().login().await.unwrap()
}

/// A session that waits for a store as long as the test holds it back.
fn patient(world: &World) -> SessionBuilder {
    world.session().policy(Policy::default().store_timeout(HOUR))
}

fn spawn_adoption(session: &Session, tokens: Tokens) -> JoinHandle<()> {
    let session = session.clone();
    tokio::spawn(async move { session.adopt(tokens).await.unwrap() })
}

/// Adopts tokens while the store has what `before` has left there, which the session reads before
/// its own tokens are written.
async fn adopt_beside(before: impl AsyncFnOnce(&World, Session)) {
    let world = World::new();
    let store = SlowStore::default();
    let controls = &store.controls;
    before(&world, world.session().store(store.inner.clone(), "ada").connect().await.unwrap()).await;
    let session = patient(&world).store(store.clone(), "ada").build();
    let tokens = captured(&world).await;
    let adopted = tokens.access().clone();
    controls.load_to_hold.store(1, Ordering::SeqCst);
    let adoption = spawn_adoption(&session, tokens);
    controls.held.notified().await;
    let loads = controls.loads.load(Ordering::SeqCst);
    controls.notifies_of_changes.send_replace(true);
    until("the entry is loaded", async || controls.loads.load(Ordering::SeqCst) > loads).await;
    assert_eq!(session.token().await.unwrap().expose(), adopted.expose());
    controls.go_on.notify_one();
    adoption.await.unwrap();
    assert_eq!(session.token().await.unwrap().expose(), adopted.expose());
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn adopted_tokens_are_not_undone_by_an_older_logout_in_the_store() {
    adopt_beside(async |_, session| session.logout().await.unwrap()).await;
}

#[tokio::test]
async fn adopted_tokens_are_not_displaced_by_older_ones_in_the_store() {
    adopt_beside(async |world, session| {
        world.pass(PAST_EXPIRY);
        session.token().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_adopted_token_that_is_rejected_is_not_served_again_from_the_store() {
    let world = World::new();
    let store = SlowStore::default();
    let elsewhere = world.session().store(store.inner.clone(), "ada").connect().await.unwrap();
    world.pass(PAST_EXPIRY);
    elsewhere.token().await.unwrap();
    let session = world.session().store(store, "ada").build();
    session.adopt(captured(&world).await).await.unwrap();
    let adopted = session.token().await.unwrap();
    world.server.rotate_signing_key();
    let renewed = session.rejected(&adopted).await.unwrap();
    assert_ne!(renewed.expose(), adopted.expose());
    assert_eq!(world.call_with(&renewed).await, 200);
}

#[tokio::test]
async fn the_later_of_two_adoptions_at_once_is_what_the_store_has() {
    let world = World::new();
    let store = SlowStore::default();
    let session = patient(&world).store(store.clone(), "ada").build();
    let (first, second) = (captured(&world).await, captured(&world).await);
    let kept = second.access().clone();
    store.controls.load_to_hold.store(1, Ordering::SeqCst);
    let first = spawn_adoption(&session, first);
    store.controls.held.notified().await;
    let second = spawn_adoption(&session, second);
    until("the second is in use", async || session.token().await.unwrap().expose() == kept.expose()).await;
    store.controls.go_on.notify_one();
    first.await.unwrap();
    second.await.unwrap();
    let elsewhere = world.session().store(store.inner.clone(), "ada").build();
    assert_eq!(elsewhere.token().await.unwrap().expose(), kept.expose());
}

#[tokio::test]
async fn an_adopted_token_that_is_rejected_while_it_is_written_is_not_served_again() {
    let world = World::new();
    let store = SlowStore::default();
    let elsewhere = world.session().store(store.inner.clone(), "ada").connect().await.unwrap();
    world.pass(PAST_EXPIRY);
    elsewhere.token().await.unwrap();
    let session = patient(&world).store(store.clone(), "ada").build();
    store.controls.load_to_hold.store(1, Ordering::SeqCst);
    let adoption = spawn_adoption(&session, captured(&world).await);
    store.controls.held.notified().await;
    let adopted = session.token().await.unwrap();
    world.server.rotate_signing_key();
    let renewed = TokenProvider::rejected(&session, &adopted);
    store.controls.go_on.notify_one();
    assert_ne!(renewed.await.unwrap().expose(), adopted.expose());
    adoption.await.unwrap();
}

#[tokio::test]
async fn new_tokens_are_not_given_up_for_adopted_ones_that_have_expired() {
    let world = World::new();
    let store = SlowStore::default();
    let here = patient(&world).store(store.clone(), "ada").build();
    let elsewhere = world.session().store(store.inner.clone(), "ada").build();
    // The second load is the one under the lease, after which the login is sent.
    store.controls.load_to_hold.store(2, Ordering::SeqCst);
    let caller = spawn_caller(&here);
    store.controls.held.notified().await;
    elsewhere.adopt(captured(&world).await).await.unwrap();
    world.pass(PAST_EXPIRY);
    store.controls.go_on.notify_one();
    let token = caller.await.unwrap().unwrap();
    assert_eq!(world.call_with(&token).await, 200);
}
