//! Which account serves a call.

use std::collections::HashMap;

use jwt_refresh::pool::{Lease, Pool, Selection};

use crate::support::World;
use crate::{active, policy};

/// Takes `calls` leases, and returns how many each account served.
async fn uses(pool: &Pool, calls: u32) -> HashMap<String, u32> {
    let mut uses = HashMap::new();
    for _ in 0..calls {
        *uses.entry(pool.lease().await.unwrap().account().to_owned()).or_default() += 1;
    }
    uses
}

#[tokio::test]
async fn soonest_and_round_robin_use_all_accounts_evenly() {
    for selection in [Selection::Soonest, Selection::RoundRobin] {
        let world = World::with_accounts(4);
        let pool = world.pool(4).policy(policy().selection(selection)).build().unwrap();
        active(&pool, 4).await;
        let uses = uses(&pool, 40).await;
        assert!(uses.len() == 4 && uses.values().all(|uses| *uses == 10), "{selection:?}: {uses:?}");
    }
}

#[tokio::test]
async fn weighted_uses_accounts_in_proportion_to_their_weights() {
    let world = World::with_accounts(3);
    let accounts = [1, 2, 5].into_iter().enumerate().map(|(number, weight)| world.account(number).weight(weight));
    let pool = world.pool_of(accounts).policy(policy().selection(Selection::Weighted)).build().unwrap();
    active(&pool, 3).await;
    let uses = uses(&pool, 80).await;
    for (account, share) in [("a0", 10_u32), ("a1", 20), ("a2", 50)] {
        assert!(uses[account].abs_diff(share) <= 1, "{uses:?}");
    }
}

#[tokio::test]
async fn a_key_keeps_its_account_until_the_account_is_removed() {
    let world = World::with_accounts(5);
    let pool = world.pool(5).build().unwrap();
    active(&pool, 5).await;
    let mut keys = HashMap::new();
    for key in (0..20).map(|key| key.to_string()) {
        let account = pool.lease().key(&key).await.unwrap().account().to_owned();
        keys.insert(key, account);
    }
    let gone = keys.values().next().unwrap().clone();
    assert!(pool.remove(&gone));
    for (key, account) in keys {
        let now = pool.lease().key(key).await.unwrap().account().to_owned();
        assert_eq!(now == account, account != gone);
    }
}

#[tokio::test]
async fn a_tag_is_served_only_by_its_accounts_with_their_pinned_values() {
    let world = World::with_accounts(3);
    let tagged = world.account(1).tag("eu").tag("bulk").pin(7_u8);
    let with_client = world.account(2).pin("both").client(reqwest::Client::builder).unwrap();
    let pool = world.pool(1).account(tagged).account(with_client).build().unwrap();
    active(&pool, 3).await;
    for _ in 0..3 {
        let lease = pool.lease().tag("eu").await.unwrap();
        assert_eq!((lease.account(), lease.pinned()), ("a1", Some(&7_u8)));
        assert!(lease.client().is_none());
    }
    let with_client = pool.lease().key("any").tag("bulk").await.unwrap();
    assert_eq!(with_client.account(), "a1");
    let leases: Vec<_> = [pool.lease().await, pool.lease().await].into_iter().map(Result::unwrap).collect();
    let has_both = |lease: &Lease| lease.client().is_some() && lease.pinned() == Some(&"both");
    assert!(leases.iter().any(|lease| lease.account() == "a2" && has_both(lease)), "{leases:?}");
}
