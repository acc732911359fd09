//! Outages: whatever Redis does, every question has its answer or its failure in time, and the next one finds it back.

use std::time::{Duration, Instant};

use jwt_refresh::store::{RedisStore, StoreErrorKind, TokenStore};
use tokio::time::timeout;

use crate::server::{SOON, Server, free_port, silent_server};
use crate::{HASTE, entry, hasty, kind, revision, store, until};

/// Asks everything there is to ask, and expects it to fail in time.
async fn all_fail_in_time(store: &RedisStore) {
    let within = HASTE + Duration::from_millis(300);
    let begun = Instant::now();
    assert_eq!(kind(store.load("alice").await), Some(StoreErrorKind::Unavailable));
    assert!(begun.elapsed() < within, "load took {:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(kind(store.save("alice", &entry(2, "x")).await), Some(StoreErrorKind::Unavailable));
    assert!(begun.elapsed() < within, "save took {:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(kind(store.lease("alice").await), Some(StoreErrorKind::Unavailable));
    assert!(begun.elapsed() < within, "lease took {:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(kind(store.ping().await), Some(StoreErrorKind::Unavailable));
    assert!(begun.elapsed() < within, "ping took {:?}", begun.elapsed());
}

/// Asks many things at once, which share one connection, or the wait for one.
async fn many_fail_in_time(store: &RedisStore) {
    let begun = Instant::now();
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { kind(store.load("alice").await) })
        })
        .collect();
    for one in asked {
        assert_eq!(one.await.unwrap(), Some(StoreErrorKind::Unavailable));
    }
    assert!(begun.elapsed() < HASTE + Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn stopped_and_restarted_empty() {
    let mut server = Server::start().await;
    let store = hasty(&server.url()).build().unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    let told = tokio::spawn({
        let store = store.clone();
        async move { store.changed("alice", 1).await }
    });
    server.stop();
    all_fail_in_time(&store).await;
    many_fail_in_time(&store).await;
    assert!(!told.is_finished(), "there is nothing to load yet");
    server.run().await;
    assert_eq!(store.load("alice").await.unwrap(), None);
    timeout(Duration::from_secs(8), told).await.expect("told that it is gone").unwrap();
    store.save("alice", &entry(1, "y")).await.unwrap();
    drop(timeout(SOON, store.lease("alice")).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_restart_between_two_questions_goes_unnoticed() {
    let mut server = Server::start().await;
    let store = store(&server);
    for _ in 0..3 {
        store.save("alice", &entry(1, "x")).await.unwrap();
        drop(store.lease("alice").await.unwrap());
        server.stop();
        server.run().await;
        assert_eq!(store.load("alice").await.unwrap(), None);
    }
    let () = server.say("SCRIPT FLUSH").await;
    store.save("alice", &entry(1, "x")).await.unwrap();
    assert_eq!(revision(&store, "alice").await, 1);
}

#[tokio::test]
async fn never_there() {
    let store = hasty(&format!("redis://127.0.0.1:{}", free_port())).build().unwrap();
    all_fail_in_time(&store).await;
}

#[tokio::test]
async fn silent() {
    let (_listener, url) = silent_server().await;
    let store = hasty(&url).connect_timeout(HASTE * 9).build().unwrap();
    all_fail_in_time(&store).await;
    many_fail_in_time(&store).await;
    assert!(timeout(Duration::from_millis(300), store.changed("alice", 1)).await.is_err());
}

#[tokio::test]
async fn paused() {
    let server = Server::start().await;
    let store = hasty(&server.url()).build().unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    let () = server.say("CLIENT PAUSE 3000 ALL").await;
    let paused = Instant::now();
    all_fail_in_time(&store).await;
    many_fail_in_time(&store).await;
    assert!(paused.elapsed() < Duration::from_secs(3), "the pause was long enough");
    until("it goes on", async || store.ping().await.is_ok()).await;
    // The save that was not answered may have been done, or not.
    let held = revision(&store, "alice").await;
    assert!(held == 1 || held == 2, "{held}");
    store.save("alice", &entry(held + 1, "y")).await.unwrap();
    drop(timeout(SOON, store.lease("alice")).await.unwrap().unwrap());
}

#[tokio::test]
async fn cut_off_in_the_middle_of_a_question() {
    let server = Server::start().await;
    let store = RedisStore::builder(&server.url()).timeout(SOON).build().unwrap();
    for next in 1..=10 {
        // Writes stand still, so the question is under way when its connection is cut.
        let () = server.say("CLIENT PAUSE 60000 WRITE").await;
        let saving = tokio::spawn({
            let store = store.clone();
            async move { store.save("alice", &entry(next, "x")).await }
        });
        until("it asks", async || server.say::<String>("INFO clients").await.contains("blocked_clients:1")).await;
        let () = server.say("CLIENT KILL TYPE normal SKIPME yes").await;
        let () = server.say("CLIENT UNPAUSE").await;
        timeout(SOON, saving).await.expect("in time").unwrap().unwrap();
        assert_eq!(revision(&store, "alice").await, next);
    }
}
