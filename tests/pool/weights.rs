//! Weights: each account's share of the calls.

use std::collections::HashMap;
use std::time::Duration;

use jwt_refresh::pool::{Limit, Pool, Selection};

use crate::support::{SECOND, World};
use crate::{active, policy};

async fn lease(pool: &Pool, tag: Option<&str>) -> String {
    let request = pool.lease();
    let lease = if let Some(tag) = tag { request.tag(tag) } else { request }.await.unwrap();
    lease.account().to_owned()
}

/// Takes `calls` leases with a tag, and a lease for each of the tags `between` after each of them.
/// Returns how many of the first each account served.
async fn shares(pool: &Pool, tag: Option<&str>, between: &[Option<&str>], calls: u32) -> HashMap<String, u32> {
    let mut uses = HashMap::new();
    for _ in 0..calls {
        *uses.entry(lease(pool, tag).await).or_default() += 1;
        for other in between {
            lease(pool, *other).await;
        }
    }
    uses
}

/// Two accounts with the weights 9 and 1 and the tag `eu`, and two with the weight 1 and the tag
/// `us`.
async fn pool_of_two_tags(world: &World) -> Pool {
    let accounts = [("eu", 9), ("eu", 1), ("us", 1), ("us", 1)];
    let accounts =
        accounts.iter().enumerate().map(|(number, (tag, weight))| world.account(number).tag(*tag).weight(*weight));
    let pool = world.pool_of(accounts).policy(policy().selection(Selection::Weighted)).build().unwrap();
    active(&pool, 4).await;
    pool
}

#[tokio::test]
async fn weights_hold_within_a_tag_when_leases_of_other_tags_come_between() {
    let world = World::with_accounts(4);
    for between in [&[][..], &[Some("us")], &[Some("us"), None], &[None, Some("us"), Some("us"), None]] {
        let pool = pool_of_two_tags(&world).await;
        let uses = shares(&pool, Some("eu"), between, 1000).await;
        assert!(uses["a0"].abs_diff(900) <= 1, "{uses:?} with leases of {between:?} between");
    }
}

#[tokio::test]
async fn weights_hold_among_all_accounts_when_leases_with_tags_come_between() {
    let world = World::with_accounts(4);
    let pool = pool_of_two_tags(&world).await;
    let uses = shares(&pool, None, &[Some("eu"), Some("us")], 1200).await;
    for (account, share) in [("a0", 900_u32), ("a1", 100), ("a2", 100), ("a3", 100)] {
        assert!(uses[account].abs_diff(share) <= 9, "{uses:?}");
    }
}

#[tokio::test]
async fn an_account_that_was_in_quarantine_has_its_share_again_and_no_more() {
    let world = World::with_accounts(2);
    let accounts = [world.account(0).weight(9), world.account(1)];
    let pool = world.pool_of(accounts).policy(policy().selection(Selection::Weighted)).build().unwrap();
    active(&pool, 2).await;
    shares(&pool, None, &[], 1000).await;
    // Of ten leases, one is of the other account.
    while active_count(&pool) == 2 {
        let lease = pool.lease().await.unwrap();
        if lease.account() == "a0" {
            lease.quota_used_up(Some(Duration::from_secs(60)));
        }
    }
    assert_eq!(shares(&pool, None, &[], 5000).await["a1"], 5000);
    world.pass(61 * SECOND);
    active(&pool, 2).await;
    let uses = shares(&pool, None, &[], 1000).await;
    assert!(uses["a0"].abs_diff(900) <= 9, "{uses:?}");
}

fn active_count(pool: &Pool) -> usize {
    pool.status().active
}

#[tokio::test]
async fn weights_hold_for_accounts_that_wait_for_their_rates_now_and_then() {
    let world = World::with_accounts(2);
    // The first may serve three calls in four; the other could serve all of them.
    let accounts = [world.account(0).weight(3).rate(100, SECOND), world.account(1).rate(200, SECOND)];
    let pool = world.pool_of(accounts).policy(policy().selection(Selection::Weighted)).build().unwrap();
    active(&pool, 2).await;
    let mut uses = HashMap::<String, u32>::new();
    for call in 0..2000_u64 {
        *uses.entry(lease(&pool, None).await).or_default() += 1;
        // 100 calls a second, in pairs that come closer to each other than the rate allows.
        world.pass(Duration::from_millis(if call % 2 == 0 { 6 } else { 14 }));
    }
    // In each pair one account serves the first call and the other has to serve the second.
    assert!(uses["a0"] >= 990, "{uses:?}");
}

#[tokio::test]
async fn weights_hold_for_accounts_with_further_limits_whatever_the_calls_cost() {
    let world = World::with_accounts(3);
    let limited = |number, tag: &str, weight| {
        world.account(number).tag(tag).weight(weight).limit(Limit::cost(1_000_000_000, SECOND).burst(1_000_000_000))
    };
    let accounts = [limited(0, "eu", 9), limited(1, "eu", 1), limited(2, "us", 1)];
    let pool = world.pool_of(accounts).policy(policy().selection(Selection::Weighted)).build().unwrap();
    active(&pool, 3).await;
    let mut uses = HashMap::<String, u32>::new();
    for call in 0..1000 {
        let lease = pool.lease().tag("eu").cost(1 + call % 7 * 100).await.unwrap();
        *uses.entry(lease.account().to_owned()).or_default() += 1;
        pool.lease().tag("us").cost(3).await.unwrap();
    }
    assert!(uses["a0"].abs_diff(900) <= 1, "{uses:?}");
}
