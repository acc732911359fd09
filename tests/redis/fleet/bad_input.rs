//! Mistakes of callers and of the configuration, and the errors that name them.

use std::time::{Duration, SystemTime};

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{Account, Limit, PoolPolicy, RedisPool};

use jwt_refresh_testkit::TestServer;

use super::{POOL, World, active};
use crate::support::{MINUTE, PASSWORD, SECOND, free_port, log, login_at, until};

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
    let shared = Limit::requests(10, SECOND).shared("organisation");
    let shared = world.builder().account(world.account(0).limit(shared)).build().unwrap_err();
    let key = world.builder().account(Account::api_key("a0", "k3y")).build().unwrap_err();
    for (error, what) in [(shared, "has a limit that it shares"), (key, "has an API key")] {
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
    let error = pool.lease().within(SECOND * 20).await.unwrap_err();
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
    assert!(error.to_string().contains("the fleet has no account"), "{error}");
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
async fn the_queue_is_bounded() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).rate(1, MINUTE)).build().unwrap();
    let policy = PoolPolicy::default().queue(1);
    let pool = RedisPool::builder(&world.redis.url(), POOL).policy(policy).build().unwrap();
    active(&pool, 1).await;
    drop(pool.lease().await.unwrap());
    let waits = tokio::spawn(pool.lease().into_future());
    until("one caller waits", async || pool.local_status().waiting == 1).await;
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("1 callers wait"), "{error}");
    waits.abort();
}

#[test]
fn a_pool_outlives_the_runtime_on_which_it_was_built() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let pool = first.block_on(async { RedisPool::builder("redis://127.0.0.1:1", POOL).build().unwrap() });
    drop(first);
    let error = second.block_on(pool.lease().into_future()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "its task runs on the library's runtime: {error}");
}

#[tokio::test]
async fn a_worker_with_other_limits_for_an_account_warns_of_it_by_name() {
    log();
    let world = World::with(0, TestServer::builder().account("limited twice", PASSWORD)).await;
    let account = |rate: u32| {
        let login = login_at(world.server.base_url(), "limited twice", PASSWORD).build().unwrap();
        Account::new("limited twice", login).rate(rate, MINUTE)
    };
    let _first = world.builder().account(account(5)).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    let warnings = || {
        let log = log();
        log.lines().filter(|line| line.contains("limited twice") && line.contains("other limits")).count()
    };
    let same = world.builder().account(account(5)).build().unwrap();
    drop(pool.lease().within(SECOND * 10).await.unwrap());
    assert_eq!(warnings(), 0, "the same limits are no mistake");
    drop(same);
    let _second = world.builder().account(account(1)).build().unwrap();
    until("the worker warns", async || warnings() == 1).await;
    until("its limits hold", async || pool.lease().within(SECOND / 5).await.is_err()).await;
    assert_eq!(world.server.stats().logins, 1);
}

#[cfg(feature = "seal")]
#[tokio::test]
async fn a_process_with_another_key_is_told_so_and_costs_nobody_an_account() {
    use jwt_refresh::store::SealKey;
    let world = World::new(1).await;
    let key = SealKey::generate().unwrap();
    let _worker = world
        .builder()
        .lease_ttl(SECOND * 2)
        .key(key.clone())
        .account(world.account(0).concurrency(1))
        .build()
        .unwrap();
    let with_key = |key: SealKey| RedisPool::builder(&world.redis.url(), POOL).key(key).build().unwrap();
    let stranger = with_key(SealKey::generate().unwrap());
    let pool = with_key(key);
    active(&pool, 1).await;
    until("the error says so", async || {
        let error = stranger.lease().within(SECOND).await.unwrap_err();
        error.kind() == ErrorKind::Configuration && error.to_string().contains("the access token of \"a0\"")
    })
    .await;
    for _ in 0..5 {
        assert!(stranger.lease().within(SECOND / 5).await.is_err());
        drop(pool.lease().within(SECOND * 10).await.unwrap());
    }
    assert_eq!(world.server.stats().logins, 1);
}

#[tokio::test]
async fn what_a_later_version_has_written_is_left_alone_and_the_others_go_on() {
    log();
    let world = World::new(2).await;
    let worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    let base = "jwt-refresh:{catalog}";
    let of_later = r#"{"definition":{"shape":"of-a-later-version"}}"#;
    let () = world.redis.run_command(&format!("HSET {base}:fleet:accounts from-later {of_later}")).await;
    let () = world.redis.run_command(&format!("HSET {base}:member:demand 00 later")).await;
    let () = world.redis.run_command(&format!("HSET {base}:member:released 00 {{\"gives\":1}}")).await;
    let () = world.redis.run_command(&format!("ZADD {base}:fleet:account-changes 1000 from-later")).await;
    worker.add(world.account(1)).unwrap();
    active(&pool, 2).await;
    until("it is logged", async || log().contains("\"from-later\"")).await;
    let other = world.pool();
    for pool in [&pool, &other, &pool] {
        drop(pool.lease().within(SECOND * 10).await.unwrap());
    }
    let kept: String = world.redis.run_command(&format!("HGET {base}:fleet:accounts from-later")).await;
    assert_eq!(kept, of_later);
    assert_eq!(world.server.stats().logins, 2);
}
