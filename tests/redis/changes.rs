//! Being told: at once, of every change, over one connection that goes when nobody listens.

use std::time::{Duration, Instant};

use jwt_refresh::store::{RedisStore, TokenStore};
use tokio::time::timeout;

use crate::server::{Proxy, SOON, Server};
use crate::{entry, hasty, revision, store, until};

async fn changes_soon(store: &RedisStore, revision: u64) {
    timeout(SOON, store.changed("alice", revision)).await.expect("told, sooner than a poll would have found it");
}

async fn listeners(server: &Server) -> usize {
    server.say::<String>("CLIENT LIST TYPE pubsub").await.lines().count()
}

#[tokio::test]
async fn a_change_is_told_at_once_and_never_missed() {
    let server = Server::start().await;
    let (writer, reader) = (store(&server), store(&server));
    for next in 1..=200 {
        let told = tokio::spawn({
            let reader = reader.clone();
            async move { changes_soon(&reader, next - 1).await }
        });
        // Before the reader listens, while it begins to, and after.
        tokio::time::sleep(Duration::from_micros(fastrand_below(next, 1500))).await;
        writer.save("alice", &entry(next, "x")).await.unwrap();
        told.await.unwrap();
        assert_eq!(revision(&reader, "alice").await, next);
    }
}

/// Spreads the pauses without a generator: the multiples of a prime.
fn fastrand_below(step: u64, bound: u64) -> u64 {
    step * 7919 % bound
}

#[tokio::test]
async fn what_changed_before_is_seen_without_waiting() {
    let server = Server::start().await;
    let store = store(&server);
    store.save("alice", &entry(1, "x")).await.unwrap();
    changes_soon(&store, 0).await;
    changes_soon(&store, 7).await;
    // Gone, as after a restart: that is a change as well.
    let () = server.say("FLUSHALL").await;
    changes_soon(&store, 1).await;
    assert!(timeout(Duration::from_millis(300), store.changed("alice", 0)).await.is_err(), "nothing changed");
}

#[tokio::test]
async fn what_is_set_aside_is_told() {
    let server = Server::start().await;
    let (first, second) = (store(&server), store(&server));
    first.save("alice", &entry(1, "x")).await.unwrap();
    let told = tokio::spawn(async move { changes_soon(&first, 1).await });
    until("it listens", async || listeners(&server).await == 1).await;
    let () = server.say("HSET jwt-refresh:{alice}:entry account bob").await;
    second.load("alice").await.unwrap_err();
    told.await.unwrap();
}

#[tokio::test]
async fn a_hundred_waiters_share_one_connection_and_leave_none() {
    let server = Server::start().await;
    let store = store(&server);
    let waiters: Vec<_> = (0..100)
        .map(|account| {
            let store = store.clone();
            tokio::spawn(async move { store.changed(&format!("account {account}"), 0).await })
        })
        .collect();
    until("all listen", async || server.say::<Vec<String>>("PUBSUB CHANNELS").await.len() == 100).await;
    assert_eq!(listeners(&server).await, 1);
    for account in 0..100 {
        store.save(&format!("account {account}"), &entry(1, "x")).await.unwrap();
    }
    for waiter in waiters {
        timeout(SOON, waiter).await.expect("told").unwrap();
    }
    until("nobody listens", async || listeners(&server).await == 0).await;
    // And again, after the task that listened has ended.
    let told = tokio::spawn({
        let store = store.clone();
        async move { changes_soon(&store, 0).await }
    });
    store.save("alice", &entry(1, "x")).await.unwrap();
    told.await.unwrap();
    drop(store);
    until("the store is gone with its connections", async || {
        // The one that asks is the last.
        server.say::<String>("CLIENT LIST").await.lines().count() == 1
    })
    .await;
}

#[tokio::test]
async fn a_broken_subscription_is_made_again_and_hides_no_change() {
    let server = Server::start().await;
    let (writer, reader) = (store(&server), store(&server));
    for next in 1..=5 {
        let told = tokio::spawn({
            let reader = reader.clone();
            async move { changes_soon(&reader, next - 1).await }
        });
        until("it listens", async || listeners(&server).await == 1).await;
        let killed: u32 = server.say("CLIENT KILL TYPE pubsub").await;
        assert_eq!(killed, 1);
        let begun = Instant::now();
        writer.save("alice", &entry(next, "x")).await.unwrap();
        told.await.unwrap();
        assert!(begun.elapsed() < SOON);
    }
}

#[tokio::test]
async fn a_subscription_that_went_silent_is_noticed() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server).await;
    let reader = hasty(&proxy.url()).build().unwrap();
    let told = tokio::spawn({
        let reader = reader.clone();
        async move { reader.changed("alice", 0).await }
    });
    until("it listens", async || listeners(&server).await == 1).await;
    proxy.mute(true);
    until("the connection is given up", async || server.say::<String>("CLIENT LIST TYPE pubsub").await.is_empty())
        .await;
    assert!(!told.is_finished());
    proxy.mute(false);
    until("it listens again", async || listeners(&server).await == 1).await;
    store(&server).save("alice", &entry(1, "x")).await.unwrap();
    timeout(SOON, told).await.expect("told").unwrap();
}
