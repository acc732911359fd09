//! Mistakes of callers and of the configuration, and the errors that name them.

use std::time::{Duration, SystemTime};

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{PoolPolicy, RedisPool};

use super::{POOL, World, active};
use crate::support::{MINUTE, SECOND, free_port, until};

#[tokio::test]
async fn a_duplicate_account_is_refused_by_name() {
    let world = World::new(1).await;
    let error = world.builder().account(world.account(0)).account(world.account(0)).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("\"a0\" already"), "{error}");
}

#[tokio::test]
async fn a_rate_that_allows_nothing_is_refused() {
    let world = World::new(1).await;
    for account in [world.account(0).rate(0, SECOND), world.account(0).rate(1, Duration::ZERO)] {
        let error = world.builder().account(account).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("lets nothing through"), "{error}");
    }
}

#[tokio::test]
async fn what_only_a_pool_on_one_machine_can_do_is_refused_by_name() {
    let world = World::new(1).await;
    let tier = world.builder().account(world.account(0).tier(1)).build().unwrap_err();
    let policy = PoolPolicy::default().lease_timeout(MINUTE);
    let timeout = world.builder().policy(policy).build().unwrap_err();
    for (error, what) in [(tier, "has a tier"), (timeout, "has a lease time-out")] {
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let text = error.to_string();
        assert!(text.contains(what) && text.contains("a pool in Redis does not support"), "{text}");
    }
}

#[tokio::test]
async fn invalid_settings_of_the_connection_are_refused() {
    for builder in [
        RedisPool::builder("http://example.com", POOL),
        RedisPool::builder("redis://localhost", POOL).prefix("{"),
        RedisPool::builder("redis://localhost", POOL).timeout(Duration::ZERO),
    ] {
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Configuration);
    }
}

#[tokio::test]
async fn a_pool_can_be_built_while_redis_is_down_and_its_error_names_the_server() {
    let port = free_port();
    let pool = RedisPool::builder(&format!("redis://user:hunter2@127.0.0.1:{port}"), POOL).build().unwrap();
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains(&format!("127.0.0.1:{port}")) && !cause.contains("hunter2"), "{cause}");
}

#[tokio::test]
async fn an_unknown_tag_is_refused_by_name() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    let error = pool.lease().tag("eu").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("\"eu\""), "{error}");
}

#[tokio::test]
async fn a_deadline_in_the_past_is_refused() {
    let world = World::new(1).await;
    let error = world.pool().lease().deadline(SystemTime::now() - SECOND).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn the_error_of_an_empty_pool_says_so() {
    let world = World::new(1).await;
    let error = world.pool().lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    assert!(error.to_string().contains("the pool has no account"), "{error}");
}

#[tokio::test]
async fn the_error_of_a_quarantined_pool_says_which_account_returns_first_when_and_why() {
    let world = World::new(2).await;
    world.server.ban("a0");
    world.server.set_password("a1", "changed");
    let _worker = world.worker(2);
    let pool = world.pool();
    until("both are in quarantine", async || {
        let status = pool.status().await.unwrap();
        status.quarantined.len() == 2 && status.quarantined.iter().all(|one| one.returns_in.is_some())
    })
    .await;
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    let text = error.to_string();
    assert!(text.contains("every account is in quarantine: the first, \"a") && text.contains("login denied"), "{text}");
    let wait = error.retry_after().unwrap();
    assert!(wait > SECOND * 5 && wait <= SECOND * 30, "{wait:?}");
}

#[tokio::test]
async fn a_deadline_that_no_account_can_meet_fails_at_once_and_the_error_says_when_one_could() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).rate(1, MINUTE)).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    drop(pool.lease().await.unwrap());
    let error = pool.lease().within(SECOND * 30).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.retry_after().unwrap() > SECOND * 30, "{error}");
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).rate(1, MINUTE)).build().unwrap();
    let pool = RedisPool::builder(&world.redis.url(), POOL).queue(1).build().unwrap();
    active(&pool, 1).await;
    drop(pool.lease().await.unwrap());
    let waits = tokio::spawn(pool.lease().into_future());
    until("one caller waits", async || {
        let waiting: Vec<String> = world.redis.run_command("HVALS jwt-refresh:{catalog}:pool:workers").await;
        waiting.iter().any(|worker| worker.contains("\"waiting\":\"1\""))
    })
    .await;
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("1 callers wait"), "{error}");
    waits.abort();
}

#[test]
fn a_pool_whose_runtime_has_ended_gives_an_error_and_does_not_hang() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let pool = first.block_on(async { RedisPool::builder("redis://127.0.0.1:1", POOL).build().unwrap() });
    drop(first);
    let error = second.block_on(pool.lease().into_future()).unwrap_err();
    // With the feature `blocking`, it runs on a runtime of the library's own.
    let expected = if cfg!(feature = "blocking") { ErrorKind::Store } else { ErrorKind::Aborted };
    assert_eq!(error.kind(), expected, "{error}");
}
