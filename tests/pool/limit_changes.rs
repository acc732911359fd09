//! Limits that are changed while their account serves.

use std::time::Duration;

use jwt_refresh::pool::{Account, Lease, Limit, Pool};
use jwt_refresh::{ErrorKind, ManualClock};
use tokio::task::JoinHandle;

use crate::support::{HOUR, MINUTE, SECOND, World, until};
use crate::{active, policy, run_other_tasks};

fn key(name: &str) -> Account {
    Account::api_key(name, format!("key-of-{name}"))
}

fn pool(accounts: impl IntoIterator<Item = Account>) -> (Pool, ManualClock) {
    let clock = ManualClock::new();
    (Pool::builder().clock(&clock).policy(policy()).accounts(accounts).build().unwrap(), clock)
}

async fn at_once(pool: &Pool, cost: u64) -> Option<Lease> {
    pool.lease().cost(cost).within(Duration::ZERO).await.ok()
}

async fn waits(pool: &Pool, cost: u64) -> JoinHandle<Result<Lease, jwt_refresh::Error>> {
    let pool = pool.clone();
    let waits = tokio::spawn(async move { pool.lease().cost(cost).await });
    run_other_tasks().await;
    waits
}

#[tokio::test]
async fn limits_change_without_a_login_and_callers_that_wait_are_served() {
    let world = World::with_accounts(1);
    let pool = world.pool_of([world.account(0).rate(1, HOUR)]).build().unwrap();
    active(&pool, 1).await;
    drop(pool.lease().await.unwrap());
    let waiting = waits(&pool, 1).await;
    pool.account("a0").unwrap().set_limits([Limit::requests(3600, HOUR)]).unwrap();
    world.clock.advance(SECOND);
    until("the caller is served", async || waiting.is_finished()).await;
    pool.account("a0").unwrap().set_limits([]).unwrap();
    for _ in 0..100 {
        pool.lease().within(Duration::ZERO).await.unwrap();
    }
    assert_eq!(world.server.stats().logins, 1);
}

#[tokio::test]
async fn what_was_spent_counts_for_the_limit_that_takes_the_place() {
    let (pool, clock) = pool([key("a").limit(Limit::cost(100, MINUTE).strict()).limit(Limit::daily(10))]);
    for _ in 0..4 {
        drop(at_once(&pool, 20).await.unwrap());
    }
    pool.account("a").unwrap().set_limits([Limit::daily(7), Limit::cost(150, MINUTE).strict()]).unwrap();
    assert!(at_once(&pool, 80).await.is_none() && at_once(&pool, 70).await.is_some());
    clock.advance(MINUTE);
    assert!(at_once(&pool, 1).await.is_some() && at_once(&pool, 1).await.is_some());
    assert!(at_once(&pool, 1).await.is_none(), "seven calls were made today");
}

#[tokio::test]
async fn leases_that_are_held_count_for_a_strict_limit_that_is_new() {
    let (pool, clock) = pool([key("a")]);
    let held = [at_once(&pool, 1).await.unwrap(), at_once(&pool, 1).await.unwrap()];
    pool.account("a").unwrap().set_limits([Limit::requests(2, MINUTE).strict()]).unwrap();
    assert!(at_once(&pool, 1).await.is_none());
    drop(held);
    clock.advance(MINUTE);
    assert!(at_once(&pool, 1).await.is_some());
}

#[tokio::test]
async fn callers_that_no_account_allows_any_more_are_told() {
    let (pool, clock) = pool([key("a").limit(Limit::cost(100, HOUR)).tag("x")]);
    drop(at_once(&pool, 90).await.unwrap());
    let waiting = waits(&pool, 90).await;
    pool.account("a").unwrap().set_limits([Limit::cost(50, HOUR)]).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Configuration);
    let waiting = waits(&pool, 40).await;
    pool.account("a").unwrap().set_limits([Limit::cost(5000, SECOND)]).unwrap();
    clock.advance(SECOND);
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_keyed_caller_goes_on_to_wait_for_its_account() {
    let shared = |amount| Limit::requests(amount, MINUTE).strict().shared("organisation");
    let (pool, _clock) = pool([key("a").limit(shared(1))]);
    drop(at_once(&pool, 1).await.unwrap());
    let keyed = tokio::spawn({
        let pool = pool.clone();
        async move { pool.lease().key("k").await }
    });
    run_other_tasks().await;
    pool.account("a").unwrap().set_limits([shared(2), Limit::requests(5, SECOND).burst(5)]).unwrap();
    until("the caller is served", async || keyed.is_finished()).await;
    assert!(at_once(&pool, 1).await.is_none(), "two calls were made within the minute");
}

#[tokio::test]
async fn a_change_that_cannot_be_changes_nothing() {
    let shared = |amount| Limit::requests(amount, HOUR).shared("organisation");
    let (pool, _clock) = pool([key("a").limit(shared(1)), key("b").limit(shared(1))]);
    for limits in [vec![Limit::cost(0, HOUR)], vec![shared(2)]] {
        assert_eq!(pool.account("a").unwrap().set_limits(limits).unwrap_err().kind(), ErrorKind::Configuration);
    }
    let b = pool.account("b").unwrap();
    assert!(at_once(&pool, 1).await.is_some() && at_once(&pool, 1).await.is_none());
    assert!(pool.remove("b"));
    assert_eq!(b.set_limits([]).unwrap_err().kind(), ErrorKind::NoAccount);
    assert_eq!(b.set_concurrency(1).unwrap_err().kind(), ErrorKind::NoAccount);
    pool.account("a").unwrap().set_limits([shared(2)]).unwrap();
}

#[tokio::test]
async fn concurrency_changes_while_leases_are_held() {
    let (pool, _clock) = pool([key("a").concurrency(1)]);
    let first = at_once(&pool, 1).await.unwrap();
    let waiting = waits(&pool, 1).await;
    pool.account("a").unwrap().set_concurrency(2).unwrap();
    let second = waiting.await.unwrap().unwrap();
    pool.account("a").unwrap().set_concurrency(1).unwrap();
    drop(first);
    assert!(at_once(&pool, 1).await.is_none(), "one is held");
    drop(second);
    assert!(at_once(&pool, 1).await.is_some());
}
