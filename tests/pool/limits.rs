use std::collections::HashMap;

use jwt_refresh::pool::Pool;

use crate::throughput::Load;
use crate::{SECOND, World, active, is_pending, quiet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_account_exceeds_its_rate_and_all_of_it_is_used_by_all_alike() {
    // On the machine's clock: this is about time that really goes by.
    let load = Load { accounts: 50, rate: 10, burst: 1, tasks: 200, time: 3 * SECOND };
    let seen = load.run().await;
    seen.is_within(&load);
    seen.is_all_of(&load);
}

#[tokio::test]
async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
    let world = World::new(1);
    let account = world.account(0).rate(1, SECOND).burst(3);
    let pool = Pool::builder().clock(&world.clock).account(account).build().unwrap();
    active(&pool, 1).await;
    for _ in 0..3 {
        pool.lease().await.unwrap();
    }
    let waits = tokio::spawn({
        let pool = pool.clone();
        async move { pool.lease().await.map(drop) }
    });
    quiet().await;
    world.pass(SECOND / 2);
    quiet().await;
    assert!(!waits.is_finished());
    world.pass(SECOND / 2);
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn no_more_leases_are_held_than_the_concurrency_allows() {
    let world = World::new(1);
    let pool = Pool::builder().clock(&world.clock).account(world.account(0).concurrency(2)).build().unwrap();
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
async fn a_token_that_has_served_its_cap_is_replaced_in_the_background() {
    let world = World::new(1);
    let pool = Pool::builder().clock(&world.clock).account(world.account(0).usage_cap(5)).build().unwrap();
    let mut generations = HashMap::<u64, u32>::new();
    for _ in 0..20 {
        let lease = pool.lease().await.unwrap();
        *generations.entry(lease.generation()).or_default() += 1;
    }
    assert!(generations.values().all(|uses| *uses == 5), "{generations:?}");
    assert_eq!(world.server.stats().logins, 1, "the rest are refreshes");
}
