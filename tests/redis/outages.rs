//! Outages: each operation succeeds or fails in time, and the first one after the outage succeeds.

use std::pin::Pin;
use std::time::{Duration, Instant};

use jwt_refresh::store::{RedisStore, StoreErrorKind, TokenStore};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::{Machine, RedisServer, entry, free_port, until};
use crate::{SHORT_TIMEOUT, SOON, kind, revision, store, with_short_timeouts};

/// Asserts that each operation fails in time.
async fn all_fail_in_time(store: &RedisStore) {
    let (machine, mut slowest) = (Machine::watch(), Duration::ZERO);
    let mut fails = async |error: Pin<Box<dyn Future<Output = Option<StoreErrorKind>> + '_>>| {
        let begun = Instant::now();
        assert_eq!(error.await, Some(StoreErrorKind::Unavailable));
        slowest = slowest.max(begun.elapsed());
    };
    fails(Box::pin(async { kind(store.load("alice").await) })).await;
    fails(Box::pin(async { kind(store.save("alice", &entry(2, "x")).await) })).await;
    fails(Box::pin(async { kind(store.lease("alice").await) })).await;
    fails(Box::pin(async { kind(store.ping().await) })).await;
    machine.assert_took(slowest, SHORT_TIMEOUT);
}

/// Asserts that many operations at once fail in time. They share one connection, or the wait for
/// one.
async fn many_fail_in_time(store: &RedisStore) {
    let (machine, begun) = (Machine::watch(), Instant::now());
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { kind(store.load("alice").await) })
        })
        .collect();
    for one in asked {
        assert_eq!(one.await.unwrap(), Some(StoreErrorKind::Unavailable));
    }
    machine.assert_took(begun.elapsed(), SHORT_TIMEOUT);
}

#[tokio::test]
async fn a_stopped_redis_fails_in_time_and_works_again_after_a_restart() {
    let mut server = RedisServer::start().await;
    let store = with_short_timeouts(&server.url()).build().unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { store.changed("alice", 1).await }
    });
    server.stop();
    all_fail_in_time(&store).await;
    many_fail_in_time(&store).await;
    assert!(!waiter.is_finished(), "Redis is still down");
    server.run().await;
    assert_eq!(store.load("alice").await.unwrap(), None);
    timeout(Duration::from_secs(8), waiter).await.expect("notified of the loss").unwrap();
    store.save("alice", &entry(1, "y")).await.unwrap();
    drop(timeout(SOON, store.lease("alice")).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_restart_between_two_operations_causes_no_error() {
    let mut server = RedisServer::start().await;
    let store = store(&server);
    for _ in 0..3 {
        store.save("alice", &entry(1, "x")).await.unwrap();
        drop(store.lease("alice").await.unwrap());
        server.stop();
        server.run().await;
        assert_eq!(store.load("alice").await.unwrap(), None);
    }
    let () = server.run_command("SCRIPT FLUSH").await;
    store.save("alice", &entry(1, "x")).await.unwrap();
    assert_eq!(revision(&store, "alice").await, 1);
}

#[tokio::test]
async fn an_unreachable_redis_fails_in_time() {
    let store = with_short_timeouts(&format!("redis://127.0.0.1:{}", free_port())).build().unwrap();
    all_fail_in_time(&store).await;
}

#[tokio::test]
async fn a_silent_redis_fails_in_time() {
    // It accepts connections, and answers nothing.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("redis://:password@{}", listener.local_addr().unwrap());
    let store = with_short_timeouts(&url).connect_timeout(SHORT_TIMEOUT * 9).build().unwrap();
    all_fail_in_time(&store).await;
    many_fail_in_time(&store).await;
    assert!(timeout(Duration::from_millis(300), store.changed("alice", 1)).await.is_err());
}

#[tokio::test]
async fn a_paused_redis_fails_in_time_and_works_again_after_the_pause() {
    let server = RedisServer::start().await;
    let store = with_short_timeouts(&server.url()).build().unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    let () = server.run_command("CLIENT PAUSE 5000 ALL").await;
    let paused = Instant::now();
    all_fail_in_time(&store).await;
    many_fail_in_time(&store).await;
    assert!(paused.elapsed() < Duration::from_secs(5), "the pause was long enough");
    until("Redis answers", async || store.ping().await.is_ok()).await;
    // The save that was not answered may or may not have been done.
    let held = revision(&store, "alice").await;
    assert!(held == 1 || held == 2, "{held}");
    store.save("alice", &entry(held + 1, "y")).await.unwrap();
    drop(timeout(SOON, store.lease("alice")).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_save_succeeds_although_its_connection_is_cut() {
    let server = RedisServer::start().await;
    let store = RedisStore::builder(&server.url()).timeout(SOON).build().unwrap();
    for next in 1..=10 {
        // Writes are paused, so the save is under way when its connection is cut.
        let () = server.run_command("CLIENT PAUSE 60000 WRITE").await;
        let saving = tokio::spawn({
            let store = store.clone();
            async move { store.save("alice", &entry(next, "x")).await }
        });
        until("the save is under way", async || {
            server.run_command::<String>("INFO clients").await.contains("blocked_clients:1")
        })
        .await;
        let () = server.run_command("CLIENT KILL TYPE normal SKIPME yes").await;
        let () = server.run_command("CLIENT UNPAUSE").await;
        timeout(SOON, saving).await.expect("in time").unwrap().unwrap();
        assert_eq!(revision(&store, "alice").await, next);
    }
}
