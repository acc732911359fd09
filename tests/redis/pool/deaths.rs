use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use jwt_refresh::pool::{Account, AuthWorker, RedisPool};
use jwt_refresh::{Authenticator, Error, ErrorKind, Tokens};

use super::{POOL, SECOND, World, active};
use crate::server::Proxy;
use crate::until;

/// A process behind it is as good as dead when it is lost.
async fn wire(world: &World) -> Proxy {
    Proxy::before(&world.redis).await
}

#[tokio::test]
async fn an_exchange_that_was_cut_off_is_taken_over_when_its_claim_ends_and_logs_in() {
    let world = World::with_latency(1, SECOND / 2).await;
    let wire = wire(&world).await;
    let short = |url: &str| AuthWorker::builder(url, POOL).timeout(SECOND / 2).claim_ttl(SECOND);
    let _first = short(&wire.url()).account(world.account(0)).build().unwrap();
    until("the first is at the login", async || world.server.stats().logins == 1).await;
    wire.lose();
    let begun = Instant::now();
    let _second = short(&world.redis.url()).account(world.account(0)).build().unwrap();
    active(&world.pool(), 1).await;
    // With the default it would be ten.
    assert!(begun.elapsed() < SECOND * 8, "taken over after {:?}", begun.elapsed());
    assert_eq!(world.server.stats().logins, 2);
    assert_eq!(world.server.stats().reuses, 0);
}

#[tokio::test]
async fn a_lease_that_a_process_died_with_comes_back_when_its_time_ends_and_leaves_no_key() {
    let world = World::new(1).await;
    let account = world.account(0).concurrency(1);
    let _worker = world.builder().account(account).lease_ttl(SECOND * 4).build().unwrap();
    let wire = wire(&world).await;
    let dies = RedisPool::builder(&wire.url(), POOL).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    let _held = dies.lease().await.unwrap();
    wire.lose();
    assert_eq!(pool.lease().within(SECOND / 10).await.unwrap_err().kind(), ErrorKind::Busy);
    let begun = Instant::now();
    drop(pool.lease().within(SECOND * 20).await.unwrap());
    assert!(begun.elapsed() > SECOND * 3, "it came back after {:?}", begun.elapsed());
    let gone = async || world.redis.say::<u32>("EXISTS jwt-refresh:{catalog}:pool:held:a0").await == 0;
    until("nothing is kept of leases that have ended", gone).await;
}

#[tokio::test]
async fn times_that_living_processes_could_not_keep_are_refused() {
    let world = World::new(0).await;
    let claims = world.builder().claim_ttl(SECOND).build().unwrap_err();
    let leases = world.builder().lease_ttl(SECOND).build().unwrap_err();
    assert_eq!([claims.kind(), leases.kind()], [ErrorKind::Configuration; 2]);
}

#[tokio::test]
async fn a_worker_that_is_closed_ends_what_it_is_at_and_begins_nothing() {
    let world = World::with_latency(2, SECOND / 2).await;
    let worker = world.worker(1);
    until("it is at the login", async || world.server.stats().logins == 1).await;
    worker.close().await;
    worker.add(world.account(1)).unwrap();
    let pool = world.pool();
    assert_eq!(pool.status().await.unwrap().active, 1);
    assert_eq!(world.redis.say::<u32>("HLEN jwt-refresh:{catalog}:pool:claims").await, 0);
    let registered = async || world.redis.say::<u32>("HLEN jwt-refresh:{catalog}:pool:terms").await == 2;
    until("the other account is known", registered).await;
    let _other = world.worker(2);
    active(&pool, 2).await;
    assert_eq!(world.server.stats().logins, 2);
}

#[tokio::test]
async fn what_leases_reported_is_in_redis_after_a_flush() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).concurrency(1)).build().unwrap();
    let (pool, other) = (world.pool(), world.pool());
    active(&pool, 1).await;
    for _ in 0..5 {
        drop(pool.lease().await.unwrap());
        pool.flush().await.unwrap();
        assert!(other.lease().within(SECOND / 10).await.is_ok());
        other.flush().await.unwrap();
    }
}

struct Panics(AtomicBool);

impl Authenticator for Panics {
    async fn login(&self) -> Result<Tokens, Error> {
        let is_first = !self.0.swap(true, Ordering::Relaxed);
        assert!(!is_first, "an authenticator that panics, as this test wants it to");
        Tokens::new("token")
    }
}

#[tokio::test]
async fn an_authenticator_that_panics_gives_its_claim_up_and_is_asked_again() {
    let world = World::new(0).await;
    let account = Account::new("p", Panics(false.into()));
    let _worker = world.builder().account(account).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    assert!(pool.status().await.unwrap().refresh_success.is_some());
}
