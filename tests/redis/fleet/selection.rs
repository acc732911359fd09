//! Which account serves a call.

use std::collections::HashMap;

use jwt_refresh::pool::{PoolPolicy, RedisPool, Selection};

use super::{POOL, World, holds, policy};
use crate::support::MINUTE;

fn pool(world: &World, policy: PoolPolicy) -> RedisPool {
    RedisPool::builder(&world.redis.url(), POOL).policy(policy).build().unwrap()
}

/// Takes `calls` leases, and returns how many each account served.
async fn uses(pool: &RedisPool, calls: u32) -> HashMap<String, u32> {
    let mut uses = HashMap::new();
    for _ in 0..calls {
        *uses.entry(pool.lease().await.unwrap().account().to_owned()).or_default() += 1;
    }
    uses
}

#[tokio::test]
async fn soonest_and_round_robin_use_all_accounts_evenly() {
    for selection in [Selection::Soonest, Selection::RoundRobin] {
        let world = World::new(4).await;
        let accounts = (0..4).map(|number| world.account(number).weight(3));
        let _worker = world.builder().accounts(accounts).build().unwrap();
        let pool = pool(&world, policy().selection(selection));
        holds(&pool, 4).await;
        let uses = uses(&pool, 40).await;
        assert!(uses.len() == 4 && uses.values().all(|uses| *uses == 10), "{selection:?}: {uses:?}");
    }
}

#[tokio::test]
async fn weighted_uses_accounts_in_proportion_to_their_weights_with_a_tag_too() {
    let world = World::new(3).await;
    let weights = [1, 2, 5].into_iter().enumerate();
    let accounts = weights.map(|(number, weight)| world.account(number).weight(weight).tag("eu"));
    let weighted = policy().selection(Selection::Weighted);
    let _worker = world.builder().accounts(accounts).build().unwrap();
    let pool = pool(&world, weighted);
    holds(&pool, 3).await;
    let uses = uses(&pool, 80).await;
    for (account, share) in [("a0", 10_u32), ("a1", 20), ("a2", 50)] {
        assert!(uses[account].abs_diff(share) <= 1, "{uses:?}");
    }
    let mut tagged = HashMap::<String, u32>::new();
    for _ in 0..80 {
        *tagged.entry(pool.lease().tag("eu").await.unwrap().account().to_owned()).or_default() += 1;
    }
    assert!(tagged["a2"].abs_diff(50) <= 1, "{tagged:?}");
}

#[tokio::test]
async fn an_account_whose_rate_is_used_up_is_skipped() {
    let world = World::new(2).await;
    let slow = world.account(0).rate(1, MINUTE).weight(100);
    let accounts = [slow, world.account(1)];
    let weighted = policy().selection(Selection::Weighted);
    let _worker = world.builder().accounts(accounts).build().unwrap();
    let pool = pool(&world, weighted);
    holds(&pool, 2).await;
    let uses = uses(&pool, 20).await;
    assert_eq!((uses["a0"], uses["a1"]), (1, 19));
}
