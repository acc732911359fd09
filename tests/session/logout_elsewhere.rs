//! A logout in another process while a renewal is under way here, which then comes to something that is no new token of its
//! own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use jwt_refresh::store::{MemoryLease, MemoryStore, StoreEntry, StoreError, StoreErrorKind, TokenStore};
use jwt_refresh::{ErrorKind, Policy, Session};
use jwt_refresh_testkit::{Endpoint, Fault, Times};
use tokio::sync::Notify;

use crate::{World, until};

const HOUR: Duration = Duration::from_secs(3600);

/// Whether the session gives out no token any more, soon.
async fn is_logged_out(session: &Session) -> bool {
    for _ in 0..500 {
        if session.token().await.is_err_and(|error| error.kind() == ErrorKind::LoggedOut) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn a_logout_elsewhere_ends_a_session_whose_refresh_fails_meanwhile() {
    let world = World::new();
    let store = MemoryStore::new();
    let policy = Policy::default().refresh_timeout(Duration::from_millis(500)).backoff(HOUR, HOUR);
    let here = world.builder().policy(policy).store(store.clone(), "ada").login().await.unwrap();
    let elsewhere = world.builder().store(store, "ada").build();
    world.server.inject(Endpoint::Refresh, Fault::Hang(HOUR), Times::Once);
    world.pass(Duration::from_secs(55));
    here.token().await.unwrap();
    until("the refresh has arrived", || world.server.stats().auth_requests == 2).await;

    elsewhere.logout().await.unwrap();
    here.flush().await;
    assert!(is_logged_out(&here).await, "the token was served on after the logout");
}

/// A store that is slow to answer and to tell of changes, when told to be.
#[derive(Clone, Default)]
struct Slow {
    inner: MemoryStore,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    /// The answer to the so manieth load from now on is held back.
    hold: AtomicU32,
    held: Notify,
    go_on: Notify,
    loads: AtomicU32,
    tell_of_changes: AtomicBool,
    /// After so many saves from now on it is down.
    saves_left: AtomicU32,
    is_down: AtomicBool,
}

impl Slow {
    fn check(&self) -> Result<(), StoreError> {
        if self.told.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the store is down"));
        }
        Ok(())
    }

    /// Whether it is this load that is told to wait.
    fn holds(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.told.hold.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) == Ok(1)
    }
}

impl TokenStore for Slow {
    type Lease = MemoryLease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        self.check()?;
        let entry = self.inner.load(account).await;
        if self.holds() {
            self.told.held.notify_one();
            self.told.go_on.notified().await;
        }
        self.told.loads.fetch_add(1, Ordering::SeqCst);
        entry
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.check()?;
        self.inner.save(account, entry).await?;
        let less = |left: u32| left.checked_sub(1);
        if self.told.saves_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) == Ok(1) {
            self.told.is_down.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    async fn lease(&self, account: &str) -> Result<MemoryLease, StoreError> {
        self.check()?;
        self.inner.lease(account).await
    }

    async fn changed(&self, account: &str, revision: u64) {
        until("changes are told of", || self.told.tell_of_changes.load(Ordering::SeqCst)).await;
        self.inner.changed(account, revision).await;
    }
}

/// A session that needs a token, reads the store for the `load`th time, and is told of the logout before it has the answer.
async fn log_out_while_it_reads(load: u32, renewed_elsewhere: bool) {
    let world = World::new();
    let store = Slow::default();
    let policy = Policy::default().store_timeout(HOUR);
    let here = world.builder().policy(policy).store(store.clone(), "ada").login().await.unwrap();
    let elsewhere = world.builder().store(store.inner.clone(), "ada").build();
    world.pass(Duration::from_secs(61));
    if renewed_elsewhere {
        elsewhere.token().await.unwrap();
    }

    store.told.hold.store(load, Ordering::SeqCst);
    let caller = tokio::spawn({
        let here = here.clone();
        async move { here.token().await }
    });
    store.told.held.notified().await;
    elsewhere.logout().await.unwrap();
    let loads = store.told.loads.load(Ordering::SeqCst);
    store.told.tell_of_changes.store(true, Ordering::SeqCst);
    until("the logout was read", || store.told.loads.load(Ordering::SeqCst) > loads).await;
    store.told.go_on.notify_one();
    // It may have been asked for before the logout.
    let _ = caller.await.unwrap();
    assert!(is_logged_out(&here).await, "the session came back after the logout");
    let stats = world.server.stats();
    assert_eq!(stats.refreshes, u64::from(renewed_elsewhere), "a refresh after the logout");
}

#[tokio::test]
async fn a_logout_elsewhere_ends_a_session_that_takes_over_a_token_meanwhile() {
    log_out_while_it_reads(1, true).await;
}

#[tokio::test]
async fn a_logout_elsewhere_is_not_overwritten_by_a_session_that_read_the_store_before_it() {
    log_out_while_it_reads(2, false).await;
}

#[tokio::test]
async fn a_logout_elsewhere_is_not_overwritten_by_tokens_that_could_not_be_saved_before_it() {
    let world = World::new();
    let store = Slow::default();
    let here = world.builder().store(store.clone(), "ada").login().await.unwrap();
    let elsewhere = world.builder().store(store.inner.clone(), "ada").build();
    world.pass(Duration::from_secs(61));
    // It is down once the refresh token is marked as about to be spent.
    store.told.saves_left.store(1, Ordering::SeqCst);
    assert_eq!(here.token().await.unwrap().generation(), 2);

    elsewhere.logout().await.unwrap();
    store.told.is_down.store(false, Ordering::SeqCst);
    // Until nothing is left that could be saved.
    here.flush().await;
    let entry = store.inner.load("ada").await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&entry.data).contains("logged out"), "the tokens came back");
    assert!(is_logged_out(&here).await, "the token was served on after the logout");
}
