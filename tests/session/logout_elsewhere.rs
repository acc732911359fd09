//! A logout in another process while a renewal is under way here: no token comes back after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use jwt_refresh::store::{MemoryLease, MemoryStore, StoreEntry, StoreError, StoreErrorKind, TokenStore};
use jwt_refresh::{ErrorKind, Policy, Session};
use jwt_refresh_testkit::{Endpoint, Fault, Times};
use tokio::sync::{Notify, watch};

use crate::support::{HOUR, MINUTE, PAST_EXPIRY, SECOND, World, spawn_caller, until};

async fn until_logged_out(session: &Session) {
    until("the session gives out no token any more", async || {
        session.token().await.is_err_and(|error| error.kind() == ErrorKind::LoggedOut)
    })
    .await;
}

#[tokio::test]
async fn a_logout_elsewhere_ends_a_session_whose_refresh_fails_meanwhile() {
    let world = World::with_long_tokens();
    let store = MemoryStore::new();
    let policy = Policy::default().refresh_timeout(SECOND / 2).backoff(HOUR, HOUR);
    let here = world.session().policy(policy).store(store.clone(), "ada").connect().await.unwrap();
    let elsewhere = world.session().store(store, "ada").build();
    world.server.inject(Endpoint::Refresh, Fault::Hang(HOUR), Times::Once);
    world.pass(55 * MINUTE);
    here.token().await.unwrap();
    until("the refresh has arrived", async || world.server.stats().auth_requests == 2).await;

    elsewhere.logout().await.unwrap();
    here.flush().await;
    until_logged_out(&here).await;
}

/// A store that a test can hold up, switch off, and keep from notifying of changes.
#[derive(Clone, Default)]
struct SlowStore {
    inner: MemoryStore,
    controls: Arc<Controls>,
}

#[derive(Default)]
struct Controls {
    /// The number of the load whose answer is held back, counted from now on.
    load_to_hold: AtomicU32,
    held: Notify,
    go_on: Notify,
    loads: AtomicU32,
    notifies_of_changes: watch::Sender<bool>,
    /// The number of the save after which the store is down, counted from now on.
    last_save: AtomicU32,
    is_down: AtomicBool,
}

/// Counts down to zero, and returns whether this was the last count.
fn is_last(counter: &AtomicU32) -> bool {
    let less = |left: u32| left.checked_sub(1);
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) == Ok(1)
}

impl SlowStore {
    fn check(&self) -> Result<(), StoreError> {
        if self.controls.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the store is down"));
        }
        Ok(())
    }
}

impl TokenStore for SlowStore {
    type Lease = MemoryLease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        self.check()?;
        let entry = self.inner.load(account).await;
        if is_last(&self.controls.load_to_hold) {
            self.controls.held.notify_one();
            self.controls.go_on.notified().await;
        }
        self.controls.loads.fetch_add(1, Ordering::SeqCst);
        entry
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.check()?;
        self.inner.save(account, entry).await?;
        if is_last(&self.controls.last_save) {
            self.controls.is_down.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    async fn lease(&self, account: &str) -> Result<MemoryLease, StoreError> {
        self.check()?;
        self.inner.lease(account).await
    }

    async fn changed(&self, account: &str, revision: u64) {
        let _ = self.controls.notifies_of_changes.subscribe().wait_for(|notifies| *notifies).await;
        self.inner.changed(account, revision).await;
    }
}

/// Logs out elsewhere while the answer to the `load`th load of a renewal is held back here.
async fn log_out_during_load(load: u32, renewed_elsewhere: bool) {
    let world = World::new();
    let store = SlowStore::default();
    let controls = &store.controls;
    let policy = Policy::default().store_timeout(HOUR);
    let here = world.session().policy(policy).store(store.clone(), "ada").connect().await.unwrap();
    let elsewhere = world.session().store(store.inner.clone(), "ada").build();
    world.pass(PAST_EXPIRY);
    if renewed_elsewhere {
        elsewhere.token().await.unwrap();
    }

    controls.load_to_hold.store(load, Ordering::SeqCst);
    let caller = spawn_caller(&here);
    controls.held.notified().await;
    elsewhere.logout().await.unwrap();
    let loads = controls.loads.load(Ordering::SeqCst);
    controls.notifies_of_changes.send_replace(true);
    until("the logout is loaded", async || controls.loads.load(Ordering::SeqCst) > loads).await;
    controls.go_on.notify_one();
    // A token is fine here: it may have been asked for before the logout.
    let _ = caller.await.unwrap();
    until_logged_out(&here).await;
    let stats = world.server.stats();
    assert_eq!(stats.refreshes, u64::from(renewed_elsewhere), "a refresh after the logout");
}

#[tokio::test]
async fn a_logout_elsewhere_ends_a_session_that_takes_a_token_from_the_store_meanwhile() {
    log_out_during_load(1, true).await;
}

#[tokio::test]
async fn a_logout_elsewhere_is_not_overwritten_by_a_session_that_loaded_the_entry_before_it() {
    log_out_during_load(2, false).await;
}

#[tokio::test]
async fn a_logout_elsewhere_is_not_overwritten_by_tokens_that_could_not_be_saved_before_it() {
    let world = World::new();
    let store = SlowStore::default();
    let here = world.session().store(store.clone(), "ada").connect().await.unwrap();
    let elsewhere = world.session().store(store.inner.clone(), "ada").build();
    world.pass(PAST_EXPIRY);
    // The last save marks the refresh token as about to be spent.
    store.controls.last_save.store(1, Ordering::SeqCst);
    assert_eq!(here.token().await.unwrap().generation(), 2);

    elsewhere.logout().await.unwrap();
    store.controls.is_down.store(false, Ordering::SeqCst);
    // After this, nothing is left to be saved.
    here.flush().await;
    let entry = store.inner.load("ada").await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&entry.data).contains("logged out"), "the tokens came back");
    until_logged_out(&here).await;
}
