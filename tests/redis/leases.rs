//! Leases: one holder at a time, free when dropped, free soon after its holder died, and known to
//! be lost.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use jwt_refresh::store::{RedisLease, RedisStore, TokenStore};
use tokio::time::timeout;

use crate::support::{Machine, Process, RedisProxy, RedisServer, SECOND, child_command, orders, until};
use crate::{SHORT_TIMEOUT, SOON, store, with_short_timeouts};

const KEY: &str = "jwt-refresh:{alice}:lease";

async fn lease_soon(store: &RedisStore) -> RedisLease {
    timeout(SOON, store.lease("alice")).await.expect("the lease is free").unwrap()
}

async fn is_free(server: &RedisServer) -> bool {
    server.run_command::<u32>(&format!("EXISTS {KEY}")).await == 0
}

#[tokio::test]
async fn one_caller_at_a_time_holds_the_lease() {
    let server = RedisServer::start().await;
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
        timeout(Duration::from_secs(30), task).await.expect("all have had the lease").unwrap();
    }
    until("nothing is left", async || server.run_command::<u32>("DBSIZE").await == 0).await;
}

#[tokio::test]
async fn a_dropped_lease_goes_to_the_next_waiter_at_once() {
    let server = RedisServer::start().await;
    let (first, second) = (store(&server), store(&server));
    let mut freed = redis::Client::open(server.url()).unwrap().get_async_pubsub().await.unwrap();
    freed.subscribe("jwt-refresh:{bob}:freed").await.unwrap();
    let lease = first.lease("alice").await.unwrap();
    let waiter = tokio::spawn(async move { lease_soon(&second).await });
    until("the waiter listens", async || {
        server.run_command::<(String, u32)>("PUBSUB NUMSUB jwt-refresh:{alice}:freed").await.1 == 1
    })
    .await;
    // The lease of another account is free meanwhile.
    drop(timeout(SOON, first.lease("bob")).await.unwrap().unwrap());
    timeout(SOON, freed.on_message().next()).await.expect("waiters are notified");
    assert!(!waiter.is_finished());
    drop(lease);
    assert!(waiter.await.unwrap().is_held());
    until("the lease is free", async || is_free(&server).await).await;
}

#[tokio::test]
async fn a_cancelled_caller_leaves_no_lease_behind() {
    let server = RedisServer::start().await;
    let store = store(&server);
    let held = store.lease("alice").await.unwrap();
    for micros in (0..3000).step_by(100) {
        let _ = timeout(Duration::from_micros(micros), store.lease("alice")).await;
    }
    drop(held);
    for micros in (0..3000).step_by(100) {
        let _ = timeout(Duration::from_micros(micros), store.lease("alice")).await;
    }
    until("the lease is free", async || is_free(&server).await).await;
    drop(lease_soon(&store).await);
}

#[test]
fn a_lease_can_be_dropped_without_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(RedisServer::start());
    let store = with_short_timeouts(&server.url()).build().unwrap();
    let lease = runtime.block_on(store.lease("alice")).unwrap();
    drop(lease);
    runtime.block_on(until("the lease is free", async || is_free(&server).await));
    let lease = runtime.block_on(store.lease("alice")).unwrap();
    drop(runtime);
    assert!(!lease.is_held(), "nothing extends it any more");
    drop(lease);
    // The store works on in another runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(store.ping()).unwrap();
    runtime.block_on(async { drop(lease_soon(&store).await) });
}

#[tokio::test]
async fn a_held_lease_is_extended_beyond_its_time_to_live() {
    let server = RedisServer::start().await;
    let store = RedisStore::builder(&server.url()).lease_ttl(SECOND * 4).build().unwrap();
    let lease = store.lease("alice").await.unwrap();
    let mut others = tokio::spawn(async move { store.lease("alice").await.unwrap() });
    let left = async || server.run_command::<i64>(&format!("PTTL {KEY}")).await;
    // It is extended each third of its time to live, and so held for longer than that.
    for _ in 0..4 {
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
async fn a_lease_taken_by_another_is_known_to_be_lost_and_is_not_deleted() {
    let server = RedisServer::start().await;
    let lease = with_short_timeouts(&server.url()).build().unwrap().lease("alice").await.unwrap();
    let () = server.run_command(&format!("SET {KEY} another")).await;
    timeout(SOON, lease.lost()).await.expect("the loss is seen");
    assert!(!lease.is_held());
    drop(lease);
    assert_eq!(server.run_command::<String>(&format!("GET {KEY}")).await, "another");
    // The key was set without an expiry. A waiter gives it one.
    let store = with_short_timeouts(&server.url()).build().unwrap();
    drop(lease_soon(&store).await);
}

#[tokio::test]
async fn a_lease_is_known_to_be_lost_when_redis_stays_down() {
    let mut server = RedisServer::start().await;
    let store = with_short_timeouts(&server.url()).build().unwrap();
    let lease = store.lease("alice").await.unwrap();
    server.stop();
    let (machine, begun) = (Machine::watch(), Instant::now());
    timeout(SOON, lease.lost()).await.expect("the loss is seen");
    machine.assert_took(begun.elapsed(), SHORT_TIMEOUT * 2);
    assert!(!lease.is_held());
    server.run().await;
    drop(lease_soon(&store).await);
}

#[tokio::test]
async fn taking_and_releasing_a_lease_survive_a_lost_answer() {
    let server = RedisServer::start().await;
    let proxy = RedisProxy::before(&server).await;
    let store = RedisStore::new(&proxy.url()).unwrap();
    for _ in 0..10 {
        proxy.cut_next_answer();
        let lease = lease_soon(&store).await;
        assert!(proxy.has_cut_answer());
        proxy.cut_next_answer();
        drop(lease);
        until("the lease is free", async || proxy.has_cut_answer() && is_free(&server).await).await;
    }
}

#[tokio::test]
async fn the_lease_of_a_killed_process_is_free_after_its_time_to_live() {
    let server = RedisServer::start().await;
    let store = with_short_timeouts(&server.url()).build().unwrap();
    for _ in 0..3 {
        let mut command = child_command("leases::child_holds_a_lease", &server.url());
        let mut child = Process::from(command.stdout(Stdio::null()).spawn().unwrap());
        until("the child holds it", async || !is_free(&server).await).await;
        let waiter = store.lease("alice");
        assert!(timeout(SHORT_TIMEOUT, waiter).await.is_err(), "held by the child");
        let (machine, killed) = (Machine::watch(), Instant::now());
        child.kill();
        let lease = lease_soon(&store).await;
        machine.assert_took(killed.elapsed(), SHORT_TIMEOUT * 2);
        drop(lease);
        until("the lease is free", async || is_free(&server).await).await;
    }
}

#[tokio::test]
#[ignore = "runs as a child process of other tests"]
async fn child_holds_a_lease() {
    let Some(url) = orders() else { return };
    let _lease = with_short_timeouts(&url).build().unwrap().lease("alice").await.unwrap();
    std::future::pending::<()>().await;
}
