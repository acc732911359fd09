//! What a lease is good for, and how many there are.

use std::collections::HashMap;
use std::time::Instant;

use super::{World, holds};
use crate::support::{Machine, SECOND, until};

#[tokio::test]
async fn leases_are_spread_evenly_and_the_api_accepts_their_tokens() {
    let world = World::new(3).await;
    let accounts = (0..3).map(|number| world.account(number));
    // A process of a busy machine may be silent for longer than a second.
    let _worker = world.builder().share_time(SECOND * 20).accounts(accounts).build().unwrap();
    let pool = world.pool();
    holds(&pool, 3).await;
    let mut accounts = HashMap::<String, u32>::new();
    for _ in 0..9 {
        let lease = pool.lease().await.unwrap();
        assert_eq!(world.call(&lease).await, 200);
        *accounts.entry(lease.account().to_owned()).or_default() += 1;
    }
    assert!(accounts.len() == 3 && accounts.values().all(|leases| *leases == 3), "{accounts:?}");
    assert_eq!(world.server.stats().logins, 3);
}

#[tokio::test]
async fn a_caller_waits_for_the_first_login() {
    let world = World::with_latency(1, SECOND * 5).await;
    let pool = world.pool();
    let _worker = world.worker(1);
    until("the login is under way", async || world.server.stats().logins == 1).await;
    until("the account is known", async || pool.status().await.is_ok_and(|status| status.accounts == 1)).await;
    assert_eq!(pool.status().await.unwrap().active, 0);
    let lease = pool.lease().within(SECOND * 30).await.unwrap();
    assert_eq!(world.call(&lease).await, 200);
}

#[tokio::test]
async fn no_account_exceeds_its_rate_and_all_rates_are_used() {
    const ACCOUNTS: usize = 5;
    let world = World::new(ACCOUNTS).await;
    let accounts = (0..ACCOUNTS).map(|number| world.account(number).rate(20, SECOND));
    let _worker = world.builder().accounts(accounts).build().unwrap();
    let pool = world.pool();
    holds(&pool, ACCOUNTS).await;
    let (machine, begun) = (Machine::watch(), Instant::now());
    let time = SECOND * 3;
    let tasks: Vec<_> = (0..30)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut leases = Vec::new();
                while begun.elapsed() < time {
                    leases.push(pool.lease().await.unwrap().account().to_owned());
                }
                leases
            })
        })
        .collect();
    let mut counts = HashMap::<String, u32>::new();
    for task in tasks {
        for account in task.await.unwrap() {
            *counts.entry(account).or_default() += 1;
        }
    }
    println!("{counts:?}");
    let total: u32 = counts.values().sum();
    assert!(total <= 340, "{counts:?}");
    assert!(total >= 295 || !machine.was_free(), "{counts:?}");
}
