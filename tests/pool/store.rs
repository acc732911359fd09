//! Pools with a store: the next process begins with the tokens of this one, and pools that share a
//! store share the login of each account.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use jwt_refresh::pool::{Account, Pool, PoolBuilder, PoolPolicy, QuarantineCause};
use jwt_refresh::store::{FileStore, MemoryLease, MemoryStore, StoreEntry, StoreError, StoreErrorKind, TokenStore};
use jwt_refresh::{
    Authenticator, Clock, Error, ErrorKind, ManualClock, Policy, RefreshToken, Session, TokenProvider, Tokens,
};
use jwt_refresh_testkit::TestServer;

use crate::active;
use crate::support::{
    HOUR, MINUTE, Process, SECOND, World, account, account_login, account_name, child_command, end_of_input, orders,
    until, with_accounts,
};

/// An account whose refresh token is revoked when it is removed.
fn revocable(world: &World, number: usize) -> Account {
    let login = account_login(&world.server, number).revocation_url(world.server.url("/api/auth/revoke"));
    Account::new(account_name(number), login.build().unwrap())
}

fn pool(world: &World, accounts: usize, store: impl TokenStore) -> PoolBuilder {
    world.pool_of((0..accounts).map(|number| revocable(world, number))).store(store)
}

/// Logins, refreshes, and refreshes with a token that was spent before.
fn exchanges(world: &World) -> (u64, u64, u64) {
    let stats = world.server.stats();
    (stats.logins, stats.refreshes, stats.reuses)
}

#[tokio::test]
async fn a_restart_takes_all_logins_over_without_a_request() {
    let world = World::with_accounts(100);
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let pool = pool(&world, 100, FileStore::new(folder.path())).build().unwrap();
        active(&pool, 100).await;
        assert_eq!(world.call_with(&pool.lease().await.unwrap()).await, 200);
        pool.flush().await;
        world.pass(MINUTE);
    }
    assert_eq!((exchanges(&world), world.server.stats().auth_requests), ((100, 0, 0), 100));
}

/// A server in memory, whose refresh tokens can be spent once. Its tokens live for an hour, by the
/// test's clock alone: the clock of a real server would go on meanwhile.
#[derive(Default)]
struct Issuer {
    /// The number of each account's last refresh token.
    last: Mutex<HashMap<usize, u64>>,
    logins: AtomicUsize,
    refreshes: AtomicUsize,
}

impl Issuer {
    fn issue(&self, account: usize) -> Result<Tokens, Error> {
        let mut last = self.last.lock().unwrap();
        let number = last.entry(account).or_default();
        *number += 1;
        Ok(Tokens::new(format!("a{account}.{number}"))?.refresh_token(number.to_string()).expires_in(HOUR))
    }

    /// How many logins and refreshes there were.
    fn exchanges(&self) -> (usize, usize) {
        (self.logins.load(Ordering::SeqCst), self.refreshes.load(Ordering::SeqCst))
    }
}

struct LoginAt(Arc<Issuer>, usize);

impl Authenticator for LoginAt {
    async fn login(&self) -> Result<Tokens, Error> {
        self.0.logins.fetch_add(1, Ordering::SeqCst);
        self.0.issue(self.1)
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        assert_eq!(token.expose(), self.0.last.lock().unwrap()[&self.1].to_string(), "a token that was spent");
        tokio::task::yield_now().await;
        self.0.refreshes.fetch_add(1, Ordering::SeqCst);
        self.0.issue(self.1)
    }
}

/// A policy under which a slow disk is waited for.
fn patient() -> PoolPolicy {
    PoolPolicy::default().tokens(Policy::default().store_timeout(MINUTE))
}

#[tokio::test]
async fn pools_that_share_a_store_make_one_exchange_for_each_account() {
    let (issuer, clock) = (Arc::<Issuer>::default(), ManualClock::new());
    let folder = tempfile::tempdir().unwrap();
    let pools = [(); 3].map(|()| {
        let login = |number| LoginAt(Arc::clone(&issuer), number);
        let account = |number| Account::new(account_name(number), login(number)).tag(account_name(number));
        let pool = Pool::builder().clock(&clock).policy(patient()).store(FileStore::new(folder.path()));
        pool.accounts((0..20).map(account)).build().unwrap()
    });
    let ends = |expiry: Option<SystemTime>| expiry.unwrap().duration_since(Clock::from(&clock).now()).unwrap();
    for round in 0..4 {
        for pool in &pools {
            active(pool, 20).await;
            for number in 0..20 {
                let lease = async || pool.lease().tag(account_name(number)).await.unwrap();
                until("it has a new token", async || ends(lease().await.expires_at()) > HOUR / 2).await;
            }
        }
        assert_eq!(issuer.exchanges(), (20, 20 * round));
        // Every token is due in the background then, and none has expired.
        clock.advance(58 * MINUTE);
    }
}

#[tokio::test]
async fn what_another_pool_has_renewed_after_a_rejection_is_taken_over() {
    let world = World::with_accounts(1);
    let store = MemoryStore::new();
    let pools = [(); 2].map(|()| pool(&world, 1, store.clone()).build().unwrap());
    for pool in &pools {
        active(pool, 1).await;
    }
    world.server.rotate_signing_key();
    for pool in &pools {
        pool.lease().await.unwrap().rejected();
        let lease = pool.lease().await.unwrap();
        assert_eq!(world.call_with(&lease).await, 200);
    }
    assert_eq!(exchanges(&world), (1, 1, 0));
}

#[tokio::test]
async fn a_session_and_a_pool_share_the_login_of_an_account() {
    let world = World::with_accounts(1);
    let store = MemoryStore::new();
    let login = account_login(&world.server, 0).build().unwrap();
    let session = Session::builder(login).clock(&world.clock).store(store.clone(), "a0").connect().await.unwrap();
    let pool = pool(&world, 1, store).build().unwrap();
    assert_eq!(pool.lease().await.unwrap().expose(), session.token().await.unwrap().expose());
    assert_eq!(exchanges(&world), (1, 0, 0));
}

#[tokio::test]
async fn a_removed_account_is_logged_out_in_the_store_and_adding_it_again_ends_that() {
    let world = World::with_accounts(2);
    let store = MemoryStore::new();
    let pools = [(); 2].map(|()| pool(&world, 2, store.clone()).build().unwrap());
    for pool in &pools {
        active(pool, 2).await;
    }
    assert!(pools[0].remove("a0"));
    until("it is revoked", async || world.server.stats().revocations == 1).await;

    // The other pool sees it when it would renew the token, and does not log in.
    for _ in 0..2 {
        let lease = pools[1].lease().await.unwrap();
        if lease.account() == "a0" {
            lease.rejected();
        }
    }
    until("it is out", async || {
        let status = pools[1].status();
        status.quarantined.iter().any(|one| one.account == "a0" && one.cause == QuarantineCause::Denied)
    })
    .await;
    assert_eq!(exchanges(&world).0, 2);

    pools[0].add(revocable(&world, 0)).unwrap();
    active(&pools[0], 2).await;
    assert_eq!(exchanges(&world).0, 3);
}

#[tokio::test]
async fn an_account_that_is_removed_and_added_at_once_logs_in_anew() {
    let world = World::with_accounts(1);
    // A revocation that takes a while, so that the account is added before it has ended.
    let pool = pool(&world, 1, MemoryStore::new()).build().unwrap();
    for logins in 1..5 {
        active(&pool, 1).await;
        assert_eq!(world.call_with(&pool.lease().await.unwrap()).await, 200);
        assert_eq!((world.server.stats().logins, world.server.stats().revocations), (logins, logins - 1));
        assert!(pool.remove("a0"));
        pool.add(revocable(&world, 0)).unwrap();
    }
}

#[tokio::test]
async fn captured_tokens_start_an_account_that_the_store_does_not_have_and_no_other() {
    let world = World::with_accounts(1);
    let store = MemoryStore::new();
    let captured = account_login(&world.server, 0).build().unwrap().login().await.unwrap();
    for _ in 0..2 {
        let pool = world.pool_of([account(&world.server, 0).tokens(captured.clone())]).store(store.clone());
        let pool = pool.build().unwrap();
        active(&pool, 1).await;
        pool.lease().await.unwrap().rejected();
        active(&pool, 1).await;
        assert_eq!(world.call_with(&pool.lease().await.unwrap()).await, 200);
        pool.flush().await;
    }
    // The captured refresh token was spent once, and the login is that of the capture.
    assert_eq!(exchanges(&world), (1, 2, 0));
}

#[tokio::test]
async fn an_api_key_is_not_kept_in_the_store() {
    let store = MemoryStore::new();
    let pool = Pool::builder().store(store.clone()).account(Account::api_key("k", "S3cret")).build().unwrap();
    assert_eq!(pool.ready().unwrap().account(), "k");
    assert!(store.load("k").await.unwrap().is_none());
}

/// A store that fails as often as a test says, from a save on that a test chooses.
#[derive(Clone, Default)]
struct Failing {
    store: MemoryStore,
    /// How many saves go well before the failures.
    saves: Arc<AtomicUsize>,
    failures: Arc<AtomicUsize>,
}

impl Failing {
    fn check(&self) -> Result<(), StoreError> {
        let one_less = |count: &AtomicUsize| {
            count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        };
        if self.saves.load(Ordering::SeqCst) == 0 && one_less(&self.failures) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the store is down"));
        }
        Ok(())
    }
}

impl TokenStore for Failing {
    type Lease = MemoryLease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        self.check()?;
        self.store.load(account).await
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.check()?;
        let _ = self.saves.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        self.store.save(account, entry).await
    }

    async fn lease(&self, account: &str) -> Result<MemoryLease, StoreError> {
        self.check()?;
        self.store.lease(account).await
    }
}

#[tokio::test]
async fn tokens_that_the_store_does_not_take_are_served_and_saved_when_it_is_back() {
    let world = World::with_accounts(1);
    let store = Failing::default();
    let first = pool(&world, 1, store.clone()).build().unwrap();
    active(&first, 1).await;
    // The mark is written, the token is spent, and then the store fails.
    store.saves.store(1, Ordering::SeqCst);
    store.failures.store(3, Ordering::SeqCst);
    world.server.rotate_signing_key();
    first.lease().await.unwrap().rejected();
    assert_eq!(world.call_with(&first.lease().await.unwrap()).await, 200);
    until("the store was asked again", async || store.failures.load(Ordering::SeqCst) == 0).await;
    first.flush().await;
    drop(first);

    let second = pool(&world, 1, store).build().unwrap();
    assert_eq!(world.call_with(&second.lease().await.unwrap()).await, 200);
    assert_eq!(exchanges(&world), (1, 1, 0));
}

#[tokio::test]
async fn a_store_that_is_down_costs_no_token_and_no_login() {
    let world = World::with_accounts(3);
    let store = Failing::default();
    let pool = pool(&world, 3, store.clone()).build().unwrap();
    active(&pool, 3).await;
    store.failures.store(usize::MAX, Ordering::SeqCst);
    // The tokens are due, and cannot be refreshed in a way that others would see.
    world.pass(58 * MINUTE);
    for _ in 0..3 {
        assert_eq!(world.call_with(&pool.lease().await.unwrap()).await, 200);
    }
    assert_eq!(exchanges(&world), (3, 0, 0));
    store.failures.store(0, Ordering::SeqCst);
    until("all are refreshed", async || {
        world.pass(SECOND / 2);
        exchanges(&world).1 == 3
    })
    .await;
    active(&pool, 3).await;
    assert_eq!(exchanges(&world), (3, 3, 0));
}

#[tokio::test]
async fn a_pool_whose_store_is_down_at_the_start_begins_when_it_is_back() {
    let world = World::with_accounts(2);
    let store = Failing::default();
    store.failures.store(usize::MAX, Ordering::SeqCst);
    let pool = pool(&world, 2, store.clone()).build().unwrap();
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("the token store failed"), "{cause}");
    assert_eq!(exchanges(&world), (0, 0, 0));
    store.failures.store(0, Ordering::SeqCst);
    until("it begins", async || {
        world.pass(SECOND);
        pool.status().active == 2
    })
    .await;
}

#[tokio::test]
async fn a_denied_login_is_tried_again_after_its_pause_with_a_store_too() {
    let world = World::with_accounts(1);
    world.server.ban("a0");
    let pool = pool(&world, 1, MemoryStore::new()).build().unwrap();
    until("it is denied", async || pool.status().quarantined[0].cause == QuarantineCause::Denied).await;
    world.server.unban("a0");
    until("it is back", async || {
        world.pass(MINUTE);
        pool.status().active == 1
    })
    .await;
    assert_eq!(exchanges(&world), (1, 0, 0));
    assert!(pool.status().auth_overhead >= 2.0, "both logins are counted: {:?}", pool.status());
}

#[tokio::test]
async fn a_login_that_asks_its_own_pool_is_told_so_with_a_store_too() {
    struct Asking(OnceLock<Pool>);
    impl Authenticator for Asking {
        async fn login(&self) -> Result<Tokens, Error> {
            self.0.wait().lease().await.map(drop)?;
            unreachable!("there is no lease")
        }
    }
    let pool = Pool::builder().store(MemoryStore::new()).build().unwrap();
    let asking = Arc::new(Asking(OnceLock::from(pool.clone())));
    pool.add(Account::new("asking", asking)).unwrap();
    until("it has failed", async || pool.status().quarantined[0].returns_in.is_some()).await;
    let error = pool.lease().await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    assert!(cause.to_string().contains("asked its own pool"), "{cause}");
}

/// The accounts of the test with two processes, whose tokens live for two seconds.
const SHARED: usize = 10;

#[tokio::test]
async fn two_processes_on_one_folder_make_one_exchange_at_a_time_for_each_account() {
    // An answer that takes a while gives the other process the time to be wrong.
    let builder = TestServer::builder().access_lifetime(2 * SECOND).latency(SECOND / 20);
    let server = with_accounts(builder, SHARED).start();
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let orders = format!("{} {}", server.base_url(), folder.path().display());
        let child = child_command("store::process_with_a_pool", &orders).stdin(std::process::Stdio::piped()).spawn();
        Process::from(child.unwrap())
    };
    let processes = [start(), start()];
    until("each account was refreshed four times", async || {
        (0..SHARED).all(|number| server.account_stats(&account_name(number)).refreshes >= 4)
    })
    .await;
    // One that is stopped in the middle of a refresh leaves a login to the other.
    let stats = server.stats();
    drop(processes);
    assert_eq!((stats.logins, stats.reuses, stats.failed_logins), (u64::try_from(SHARED).unwrap(), 0, 0), "{stats:?}");
}

/// A pool that keeps its accounts logged in until its parent ends.
#[test]
#[ignore = "runs as a child process of other tests"]
fn process_with_a_pool() {
    let Some(orders) = orders() else { return };
    let (server, folder) = orders.split_once(' ').unwrap();
    let accounts = (0..SHARED).map(|number| {
        let login = crate::support::login_at(server, &account_name(number), crate::support::PASSWORD);
        Account::new(account_name(number), login.build().unwrap())
    });
    let pool = Pool::builder().policy(patient()).store(FileStore::new(folder)).accounts(accounts).build().unwrap();
    let ended = end_of_input();
    while !ended.load(Ordering::Acquire) {
        std::thread::sleep(SECOND / 20);
    }
    drop(pool);
}
