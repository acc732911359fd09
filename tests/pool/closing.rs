//! Closing a pool: who is told, what is waited for, and what is cut off.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jwt_refresh::pool::Pool;
use jwt_refresh::store::{MemoryLease, MemoryStore, StoreEntry, StoreError, TokenStore};
use jwt_refresh::{ErrorKind, TokenProvider};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::scripted::{Accounts, Does};
use crate::support::{HOUR, MINUTE, SECOND, until, until_blocking};
use crate::{active, is_pending, policy};

#[tokio::test]
async fn closing_answers_those_who_wait_and_gives_no_lease_any_more() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool_of(|account| account.concurrency(1));
    let held = pool.lease().await.unwrap();
    let waits = tokio::spawn(pool.lease().into_future());
    let ready = tokio::spawn({
        let pool = pool.clone();
        async move { pool.wait_ready(5, HOUR).await }
    });
    until("a caller waits", async || pool.status().waiting == 1).await;
    let report = pool.close(SECOND).await;
    assert_eq!((report.waiters, report.leases, report.ended, report.cut_off, report.unfinished), (1, 1, 0, 0, 0));
    for error in [waits.await.unwrap().unwrap_err(), ready.await.unwrap().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(error.to_string().contains("the pool was closed") && !error.is_transient(), "{error}");
    }
    drop(held);
    assert!(pool.ready().is_none());
    assert_eq!(pool.lease().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(pool.add(accounts.all[0].account()).unwrap_err().kind(), ErrorKind::Closed);
    let mut again = report;
    again.leases = 0;
    assert_eq!(pool.close(SECOND).await, again);
}

#[tokio::test]
async fn closing_waits_for_exchanges_that_end_in_time_and_begins_no_further_one() {
    let accounts = Accounts::new(20);
    accounts.all.iter().for_each(|account| account.set(Does::Waits));
    let pool = accounts.pool();
    until("logins are under way", async || accounts.log.running() == 16).await;
    let closes = pool.close(MINUTE);
    accounts.all.iter().for_each(|account| account.set(Does::Lives(HOUR)));
    let report = closes.await;
    assert_eq!((report.ended, report.cut_off, report.unfinished), (16, 0, 0));
    assert_eq!(accounts.log.begun().len(), 16);
}

#[tokio::test]
async fn closing_cuts_off_exchanges_that_do_not_end_in_time() {
    let accounts = Accounts::new(3);
    accounts.all[0].set(Does::Hangs);
    accounts.all[1].set(Does::Hangs);
    let pool = accounts.pool();
    active(&pool, 1).await;
    until("two hang", async || accounts.log.running() == 2).await;
    let report = pool.close(SECOND / 20).await;
    assert_eq!((report.ended, report.cut_off, report.unfinished), (0, 2, 0));
    assert_eq!(accounts.log.running(), 0);
}

#[tokio::test]
async fn closing_does_the_revocations_that_wait() {
    let accounts = Accounts::new(10);
    let pool = accounts.pool();
    active(&pool, 10).await;
    accounts.log.take();
    for number in 0..10 {
        assert!(pool.remove(&format!("a{number}")));
    }
    let report = pool.close(MINUTE).await;
    assert_eq!((report.revocations, report.cut_off), (0, 0));
    assert_eq!(accounts.log.begun().iter().filter(|line| line.starts_with("revoke")).count(), 10);
}

/// A store that saves only while it is open.
#[derive(Clone)]
struct Gated {
    store: MemoryStore,
    is_open: watch::Sender<bool>,
    /// How many writes wait until it is open.
    waiting: Arc<watch::Sender<usize>>,
}

impl Gated {
    fn new() -> Self {
        Self { store: MemoryStore::new(), is_open: watch::Sender::new(true), waiting: Arc::default() }
    }
}

impl TokenStore for Gated {
    type Lease = MemoryLease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        self.store.load(account).await
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        self.is_open.subscribe().wait_for(|is_open| *is_open).await.unwrap();
        self.waiting.send_modify(|waiting| *waiting -= 1);
        self.store.save(account, entry).await
    }

    async fn lease(&self, account: &str) -> Result<MemoryLease, StoreError> {
        self.store.lease(account).await
    }
}

/// A pool of one account, of which a write to the store is under way.
async fn pool_that_saves(store: &Gated) -> Pool {
    let accounts = Accounts::new(1);
    store.is_open.send_replace(false);
    let pool = accounts.pool_with(|pool| pool.store(store.clone()));
    store.waiting.subscribe().wait_for(|waiting| *waiting > 0).await.unwrap();
    pool
}

/// Shows that the store has tokens with which the next pool begins.
async fn takes_over(store: Gated) {
    let accounts = Accounts::new(1);
    let pool = accounts.pool_with(|pool| pool.store(store));
    active(&pool, 1).await;
    assert!(accounts.log.begun().is_empty());
}

#[tokio::test]
async fn closing_waits_until_new_tokens_are_in_the_store() {
    let store = Gated::new();
    let pool = pool_that_saves(&store).await;
    let mut closes = Box::pin(pool.close(MINUTE));
    assert!(is_pending(&mut closes));
    store.is_open.send_replace(true);
    let report = closes.await;
    assert_eq!((report.unsaved, report.unfinished, report.cut_off), (0, 0, 0));
    takes_over(store).await;
}

#[tokio::test]
async fn closing_gives_up_on_a_store_that_hangs_says_so_and_loses_nothing() {
    let store = Gated::new();
    let pool = pool_that_saves(&store).await;
    let report = timeout(MINUTE, pool.close(SECOND / 20)).await.unwrap();
    assert_eq!((report.unsaved, report.cut_off), (1, 0), "{report:?}");
    store.is_open.send_replace(true);
    let again = pool.close(MINUTE).await;
    assert_eq!((again.unsaved, again.unfinished, again.cut_off), (0, 0, 0));
    takes_over(store).await;
}

#[tokio::test]
async fn a_pool_is_closed_from_the_call_on_and_stays_so_if_the_wait_is_dropped() {
    let accounts = Accounts::new(2);
    accounts.all.iter().for_each(|account| account.set(Does::Waits));
    let pool = accounts.pool();
    until("logins are under way", async || accounts.log.running() == 2).await;
    drop(pool.close(MINUTE));
    assert_eq!(pool.lease().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(accounts.log.running(), 2, "nothing is cut off");
    let mut closes = Box::pin(pool.close(Duration::MAX));
    assert!(is_pending(&mut closes));
    drop(closes);
    accounts.all.iter().for_each(|account| account.set(Does::Lives(HOUR)));
    assert_eq!(pool.close(MINUTE).await.ended, 2);
}

#[tokio::test]
async fn of_two_that_close_a_pool_the_first_whose_time_is_up_cuts_off_and_both_say_so() {
    let accounts = Accounts::new(3);
    accounts.all[..2].iter().for_each(|account| account.set(Does::Hangs));
    let pool = accounts.pool();
    active(&pool, 1).await;
    until("two hang", async || accounts.log.running() == 2).await;
    let (patient, hasty) = (tokio::spawn(pool.close(HOUR)), tokio::spawn(pool.close(SECOND / 20)));
    let reports = [timeout(MINUTE, patient).await.unwrap().unwrap(), hasty.await.unwrap()];
    assert_eq!(reports.map(|report| (report.cut_off, report.ended, report.unfinished)), [(2, 0, 0); 2]);
}

#[tokio::test]
async fn a_revocation_that_has_no_place_in_time_is_done_when_the_pool_is_dropped() {
    let accounts = Accounts::new(2);
    accounts.all[1].set(Does::Lives(100 * HOUR));
    let pool = accounts.pool_with(|pool| pool.policy(policy().exchanges(1)));
    active(&pool, 2).await;
    accounts.all[0].set(Does::Hangs);
    accounts.clock.advance(55 * MINUTE);
    until("a refresh hangs", async || accounts.log.running() == 1).await;
    assert!(pool.remove("a1"));
    let revocations = || accounts.log.begun().iter().filter(|line| *line == "revoke a1").count();
    let report = pool.close(SECOND / 20).await;
    assert_eq!((report.cut_off, report.revocations, revocations()), (1, 1, 0));
    assert_eq!(timeout(MINUTE, pool.close(HOUR)).await.unwrap(), report);
    drop(pool);
    until("the token is revoked", async || revocations() == 1).await;
}

#[tokio::test]
async fn leases_that_are_held_outlive_closing() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool();
    let held = [pool.lease().await.unwrap(), pool.lease().await.unwrap(), pool.lease().await.unwrap()];
    let report = pool.close(SECOND).await;
    assert_eq!(report.leases, 3);
    assert_eq!(held[0].expose(), "access");
    held[0].succeeded();
    held[1].rate_limited(None);
    held[2].rejected();
    drop(held);
    let mut again = report;
    again.leases = 0;
    assert_eq!(pool.close(SECOND).await, again);
    assert_eq!(accounts.log.begun(), ["login a0"], "a rejected token is not renewed any more");
}

/// Has callers of a pool compete for its accounts, and closes it meanwhile.
async fn close_in_the_middle() {
    let accounts = Accounts::new(3);
    let pool = accounts.pool_of(|account| account.concurrency(2));
    active(&pool, 3).await;
    let calls = (0..20).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            loop {
                match pool.lease().await {
                    Ok(lease) => {
                        tokio::task::yield_now().await;
                        drop(lease);
                    }
                    Err(error) => return error.kind(),
                }
            }
        })
    });
    let calls: Vec<_> = calls.collect();
    until("they call", async || pool.status().leases > 100).await;
    let closes = (0..3).map(|_| tokio::spawn(pool.close(MINUTE)));
    let reports = timeout(MINUTE, join_all(closes)).await.unwrap();
    assert!(reports.into_iter().all(|report| report.unwrap().unfinished == 0));
    for kind in timeout(MINUTE, join_all(calls)).await.unwrap() {
        assert_eq!(kind.unwrap(), ErrorKind::Closed);
    }
    assert_eq!(pool.close(SECOND).await.leases, 0);
}

#[tokio::test]
async fn a_pool_can_be_closed_while_callers_compete_for_it_on_one_thread() {
    close_in_the_middle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pool_can_be_closed_while_callers_compete_for_it_on_many_threads() {
    close_in_the_middle().await;
}

#[test]
fn a_pool_is_waited_for_and_closed_without_timers_of_the_callers_runtime() {
    let accounts = Accounts::new(2);
    accounts.all[1].set(Does::Hangs);
    let pool = accounts.pool();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        pool.wait_ready(1, HOUR).await.unwrap();
        pool.account("a0").unwrap().drain(HOUR).await.unwrap();
        until_blocking("one hangs", || accounts.log.running() == 1);
        assert_eq!(pool.close(SECOND / 20).await.cut_off, 1);
    });
}
