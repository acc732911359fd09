//! Leases: one holder at a time, given back when dropped, free soon after its holder died, and known to be lost.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use jwt_refresh::store::{RedisLease, RedisStore, TokenStore};
use tokio::time::timeout;

use crate::server::{Proxy, SOON, Server};
use crate::{HASTE, hasty, store, until};

const KEY: &str = "jwt-refresh:{alice}:lease";

async fn lease_soon(store: &RedisStore) -> RedisLease {
    timeout(SOON, store.lease("alice")).await.expect("the lease is free").unwrap()
}

async fn is_free(server: &Server) -> bool {
    server.say::<u32>(&format!("EXISTS {KEY}")).await == 0
}

#[tokio::test]
async fn one_at_a_time_holds_the_lease() {
    let server = Server::start().await;
    let holders = Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, holders) = (store(&server), holders.clone());
            tokio::spawn(async move {
                for _ in 0..10 {
                    let lease = store.lease("alice").await.unwrap();
                    assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    assert!(lease.is_held());
                    holders.fetch_sub(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for task in tasks {
        timeout(Duration::from_secs(30), task).await.expect("everyone has a turn").unwrap();
    }
    until("nothing is left", async || server.say::<u32>("DBSIZE").await == 0).await;
}

#[tokio::test]
async fn a_lease_that_is_dropped_is_passed_on_at_once() {
    let server = Server::start().await;
    let (first, second) = (store(&server), store(&server));
    let mut told = redis::Client::open(server.url()).unwrap().get_async_pubsub().await.unwrap();
    told.subscribe("jwt-refresh:{bob}:freed").await.unwrap();
    let lease = first.lease("alice").await.unwrap();
    let waiter = tokio::spawn(async move { lease_soon(&second).await });
    until("the waiter listens", async || {
        server.say::<(String, u32)>("PUBSUB NUMSUB jwt-refresh:{alice}:freed").await.1 == 1
    })
    .await;
    // Another account's is free all the while.
    drop(timeout(SOON, first.lease("bob")).await.unwrap().unwrap());
    timeout(SOON, told.on_message().next()).await.expect("who waits is told");
    assert!(!waiter.is_finished());
    drop(lease);
    assert!(waiter.await.unwrap().is_held());
    until("it was given back", async || is_free(&server).await).await;
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_no_lease_behind() {
    let server = Server::start().await;
    let store = store(&server);
    let held = store.lease("alice").await.unwrap();
    for micros in (0..3000).step_by(100) {
        let _ = timeout(Duration::from_micros(micros), store.lease("alice")).await;
    }
    drop(held);
    for micros in (0..3000).step_by(100) {
        let _ = timeout(Duration::from_micros(micros), store.lease("alice")).await;
    }
    until("it is free", async || is_free(&server).await).await;
    drop(lease_soon(&store).await);
}

#[test]
fn a_lease_may_be_dropped_where_there_is_no_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let store = hasty(&server.url()).build().unwrap();
    let lease = runtime.block_on(store.lease("alice")).unwrap();
    drop(lease);
    runtime.block_on(until("it is free", async || is_free(&server).await));
    let lease = runtime.block_on(store.lease("alice")).unwrap();
    drop(runtime);
    assert!(!lease.is_held(), "nobody extends it any more");
    drop(lease);
    // The store goes on in the next runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(store.ping()).unwrap();
    runtime.block_on(async { drop(lease_soon(&store).await) });
}

#[tokio::test]
async fn a_lease_lasts_beyond_its_time_to_live_while_it_is_held() {
    let server = Server::start().await;
    let store = hasty(&server.url()).build().unwrap();
    let lease = store.lease("alice").await.unwrap();
    let mut others = tokio::spawn(async move { store.lease("alice").await.unwrap() });
    let left = async || server.say::<i64>(&format!("PTTL {KEY}")).await;
    // Extended twelve times, so for four times as long as it would have lived.
    for _ in 0..12 {
        let before = left().await;
        assert!(before > 0);
        let mut lowest = before;
        until("it is extended", async || {
            let now = left().await;
            let is_extended = now > lowest;
            lowest = lowest.min(now);
            is_extended
        })
        .await;
        assert!(lease.is_held() && !others.is_finished());
    }
    drop(lease);
    assert!(timeout(SOON, &mut others).await.unwrap().unwrap().is_held());
}

#[tokio::test]
async fn a_lease_that_another_took_is_known_to_be_lost_and_left_to_the_other() {
    let server = Server::start().await;
    let lease = hasty(&server.url()).build().unwrap().lease("alice").await.unwrap();
    let () = server.say(&format!("SET {KEY} another")).await;
    timeout(SOON, lease.lost()).await.expect("the loss is seen");
    assert!(!lease.is_held());
    drop(lease);
    assert_eq!(server.say::<String>(&format!("GET {KEY}")).await, "another");
    // Written by nobody of us, without an end: it gets one.
    let store = hasty(&server.url()).build().unwrap();
    drop(lease_soon(&store).await);
}

#[tokio::test]
async fn a_lease_is_lost_with_a_redis_that_stays_away() {
    let mut server = Server::start().await;
    let store = hasty(&server.url()).build().unwrap();
    let lease = store.lease("alice").await.unwrap();
    server.stop();
    let begun = Instant::now();
    timeout(SOON, lease.lost()).await.expect("the loss is seen");
    assert!(begun.elapsed() <= HASTE * 2 + Duration::from_millis(300), "{:?}", begun.elapsed());
    assert!(!lease.is_held());
    server.run().await;
    drop(lease_soon(&store).await);
}

#[tokio::test]
async fn taking_and_giving_back_survive_a_lost_answer() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server).await;
    let store = RedisStore::new(&proxy.url()).unwrap();
    for _ in 0..10 {
        proxy.cut_the_next_answer();
        let lease = lease_soon(&store).await;
        assert!(proxy.has_cut());
        proxy.cut_the_next_answer();
        drop(lease);
        until("it is free", async || proxy.has_cut() && is_free(&server).await).await;
    }
}

#[tokio::test]
async fn the_lease_of_a_killed_process_is_free_after_its_time_to_live() {
    let server = Server::start().await;
    let store = hasty(&server.url()).build().unwrap();
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "leases::child_that_holds_a_lease", "--ignored", "--nocapture"])
            .env("JWT_REFRESH_REDIS_CHILD", server.url())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until("the child holds it", async || !is_free(&server).await).await;
        let waiter = store.lease("alice");
        assert!(timeout(HASTE, waiter).await.is_err(), "held by the child");
        child.kill().unwrap();
        let killed = Instant::now();
        child.wait().unwrap();
        let lease = lease_soon(&store).await;
        assert!(killed.elapsed() <= HASTE * 2 + Duration::from_millis(400), "{:?}", killed.elapsed());
        drop(lease);
        until("it is free", async || is_free(&server).await).await;
    }
}

#[tokio::test]
#[ignore = "run as a process of its own by the_lease_of_a_killed_process_is_free_after_its_time_to_live"]
async fn child_that_holds_a_lease() {
    let Ok(url) = std::env::var("JWT_REFRESH_REDIS_CHILD") else { return };
    let _lease = hasty(&url).build().unwrap().lease("alice").await.unwrap();
    std::future::pending::<()>().await;
}
