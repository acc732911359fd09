//! Rates, bursts, concurrency and usage caps of accounts.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use jwt_refresh::pool::Pool;
use tokio::task::JoinHandle;

use crate::support::{HOUR, SECOND, World, until};
use crate::{active, is_pending, run_other_tasks};

#[tokio::test]
async fn no_account_exceeds_its_rate_and_all_rates_are_used_evenly() {
    let (accounts, rate) = (50, 10);
    let world = World::with_accounts(accounts);
    let limited = |number| world.account(number).rate(rate, SECOND).burst(1);
    let pool = world.pool_of((0..accounts).map(limited)).build().unwrap();
    active(&pool, accounts).await;
    let leases = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
    let callers: Vec<_> = (0..200).map(|_| tokio::spawn(lease_for_ever(pool.clone(), Arc::clone(&leases)))).collect();
    for expected in 1..=30 {
        // Each account's burst, and one more lease after each tenth of a second.
        until("every account is leased", async || {
            let leases = leases.lock().unwrap();
            leases.len() == accounts && leases.values().all(|count| *count >= expected)
        })
        .await;
        run_other_tasks().await;
        assert!(leases.lock().unwrap().values().all(|count| *count == expected), "{leases:?}, not {expected} each");
        world.clock.advance(SECOND / rate);
    }
    callers.iter().for_each(JoinHandle::abort);
}

/// Takes one lease after the other, and counts those of each account.
async fn lease_for_ever(pool: Pool, leases: Arc<Mutex<BTreeMap<String, u32>>>) {
    loop {
        let lease = pool.lease().within(HOUR).await.unwrap();
        *leases.lock().unwrap().entry(lease.account().to_owned()).or_default() += 1;
    }
}

#[tokio::test]
async fn a_burst_is_leased_at_once_and_the_rest_at_the_rate() {
    let world = World::with_accounts(1);
    let account = world.account(0).rate(1, SECOND).burst(3);
    let pool = world.pool_of([account]).build().unwrap();
    active(&pool, 1).await;
    for _ in 0..3 {
        pool.lease().await.unwrap();
    }
    let waits = tokio::spawn({
        let pool = pool.clone();
        async move { pool.lease().await.map(drop) }
    });
    run_other_tasks().await;
    world.clock.advance(SECOND / 2);
    run_other_tasks().await;
    assert!(!waits.is_finished());
    world.clock.advance(SECOND / 2);
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn no_more_leases_are_held_than_the_concurrency_allows() {
    let world = World::with_accounts(1);
    let pool = world.pool_of([world.account(0).concurrency(2)]).build().unwrap();
    let (first, _second) = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    let clone = first.clone();
    let mut third = pool.lease().into_future();
    assert!(is_pending(&mut third));
    drop(first);
    assert!(is_pending(&mut third), "a clone is held");
    drop(clone);
    third.await.unwrap();
}

#[tokio::test]
async fn a_token_that_has_reached_its_usage_cap_is_replaced_in_the_background() {
    let world = World::with_accounts(1);
    let pool = world.pool_of([world.account(0).usage_cap(5)]).build().unwrap();
    let mut generations = HashMap::<u64, u32>::new();
    for _ in 0..20 {
        let lease = pool.lease().await.unwrap();
        *generations.entry(lease.generation()).or_default() += 1;
    }
    assert!(generations.values().all(|uses| *uses == 5), "{generations:?}");
    assert_eq!(world.server.stats().logins, 1, "all others are refreshes");
}
