use std::time::Duration;

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{QuarantineCause, RedisPool};

use super::{POOL, SECOND, World, active, policy};
use crate::until;

async fn cause(pool: &RedisPool) -> Option<(QuarantineCause, Option<Duration>)> {
    pool.status().await.unwrap().quarantined.first().map(|one| (one.cause, one.returns_in))
}

#[tokio::test]
async fn a_rejected_token_is_renewed_and_the_next_lease_waits_for_it() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    world.server.rotate_signing_key();
    let lease = pool.lease().await.unwrap();
    assert_eq!(world.call(&lease).await, 401);
    lease.rejected();
    let renewed = pool.lease().within(SECOND * 10).await.unwrap();
    assert!(renewed.generation() > lease.generation());
    assert_eq!(world.call(&renewed).await, 200);
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn many_rejections_of_one_token_are_one_in_all_processes() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pools = [world.pool(), world.pool(), world.pool()];
    active(&pools[0], 1).await;
    let leases = [pools[0].lease().await.unwrap(), pools[1].lease().await.unwrap(), pools[2].lease().await.unwrap()];
    leases[0].rejected();
    let renewed = pools[0].lease().within(SECOND * 10).await.unwrap();
    leases[1].rejected();
    leases[2].rejected();
    for pool in &pools {
        assert_eq!(pool.lease().await.unwrap().generation(), renewed.generation());
    }
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn a_rejection_that_survives_a_renewal_is_quarantine_for_the_whole_fleet_and_a_login_ends_it() {
    let world = World::new(1).await;
    let short = policy().quarantine(SECOND, SECOND);
    let _worker = world.builder().account(world.account(0)).policy(short).build().unwrap();
    let (pool, other) = (world.pool(), world.pool());
    active(&pool, 1).await;
    pool.lease().await.unwrap().rejected();
    pool.lease().within(SECOND * 10).await.unwrap().rejected();
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    assert!(error.to_string().contains("token rejected"), "{error}");
    assert_eq!(other.lease().await.unwrap_err().kind(), ErrorKind::NoAccount);
    active(&pool, 1).await;
    assert_eq!((world.server.stats().refreshes, world.server.stats().logins), (1, 2), "a login starts afresh");
    assert_eq!(world.call(&other.lease().await.unwrap()).await, 200);
}

#[tokio::test]
async fn an_account_that_is_refused_is_left_alone_and_returns_once_it_can_log_in() {
    let world = World::new(2).await;
    world.server.ban("a1");
    let short = policy().quarantine(SECOND * 2, SECOND * 2);
    let accounts = (0..2).map(|number| world.account(number));
    let _worker = world.builder().accounts(accounts).policy(short).build().unwrap();
    let pool = world.pool();
    until("a1 is refused", async || matches!(cause(&pool).await, Some((QuarantineCause::Denied, Some(_))))).await;
    for _ in 0..10 {
        assert_eq!(pool.lease().await.unwrap().account(), "a0");
    }
    world.server.unban("a1");
    active(&pool, 2).await;
    assert!(world.server.stats().failed_logins <= 2);
}

#[tokio::test]
async fn after_a_429_an_account_rests_for_the_whole_fleet_and_comes_back_without_an_exchange() {
    let world = World::new(2).await;
    let _worker = world.worker(2);
    let (pool, other) = (world.pool(), world.pool());
    active(&pool, 2).await;
    let limited = pool.lease().await.unwrap();
    limited.rate_limited(Some(SECOND * 6));
    until("it rests", async || matches!(cause(&pool).await, Some((QuarantineCause::RateLimited, Some(_))))).await;
    for _ in 0..5 {
        assert_ne!(other.lease().await.unwrap().account(), limited.account());
    }
    active(&pool, 2).await;
    assert_eq!(world.server.stats().auth_requests, 2);
}

#[tokio::test]
async fn a_short_429_is_waited_for() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    pool.lease().await.unwrap().rate_limited(Some(SECOND));
    let begun = std::time::Instant::now();
    pool.lease().await.unwrap();
    assert!(begun.elapsed() > SECOND * 8 / 10, "it was not waited for");
}

#[tokio::test]
async fn a_used_up_quota_is_quarantine_until_it_is_back() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    pool.lease().await.unwrap().quota_used_up(Some(SECOND));
    let error = pool.lease().await.unwrap_err();
    assert!(error.to_string().contains("quota used up"), "{error}");
    active(&pool, 1).await;
    assert_eq!(world.server.stats().auth_requests, 1);
}

#[tokio::test]
async fn a_token_that_has_served_its_cap_is_replaced_in_the_background() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).usage_cap(5)).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    let mut generations = std::collections::HashMap::<u64, u32>::new();
    for _ in 0..20 {
        let lease = pool.lease().within(SECOND * 10).await.unwrap();
        *generations.entry(lease.generation()).or_default() += 1;
    }
    assert!(generations.values().all(|uses| *uses == 5), "{generations:?}");
    assert_eq!(world.server.stats().logins, 1, "the rest are refreshes");
}

#[tokio::test]
async fn without_a_live_auth_worker_tokens_serve_while_they_live_and_another_worker_goes_on() {
    let world = World::with_lifetime(1, SECOND * 3).await;
    let worker = world.worker(1);
    let pool = RedisPool::builder(&world.redis.url(), POOL).build().unwrap();
    active(&pool, 1).await;
    drop(worker);
    assert_eq!(world.call(&pool.lease().await.unwrap()).await, 200);
    let waits = tokio::spawn(async move {
        loop {
            let lease = pool.lease().await.unwrap();
            if lease.generation() > 1 {
                return lease;
            }
            tokio::task::yield_now().await;
        }
    });
    until("the token is over", async || {
        world.redis.say::<usize>("HLEN jwt-refresh:{catalog}:pool:confined").await == 1
    })
    .await;
    let _worker = world.worker(1);
    assert_eq!(world.call(&waits.await.unwrap()).await, 200);
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.reuses), (1, 1, 0), "{stats:?}");
}
