//! Notifications: at once, of every change, over one connection that is closed when nothing waits.

use std::time::{Duration, Instant};

use jwt_refresh::store::{RedisStore, TokenStore};
use tokio::time::timeout;

use crate::support::{RedisProxy, RedisServer, entry, until};
use crate::{SOON, revision, store, with_short_timeouts};

/// Waits until the entry has another revision, which must be sooner than a poll would find it.
async fn changes_soon(store: &RedisStore, revision: u64) {
    timeout(SOON, store.changed("alice", revision)).await.expect("notified");
}

/// How many connections have subscriptions.
async fn listeners(server: &RedisServer) -> usize {
    server.run_command::<String>("CLIENT LIST TYPE pubsub").await.lines().count()
}

#[tokio::test]
async fn a_change_is_notified_at_once_and_never_missed() {
    let server = RedisServer::start().await;
    let (writer, reader) = (store(&server), store(&server));
    for next in 1..=200 {
        let waiter = tokio::spawn({
            let reader = reader.clone();
            async move { changes_soon(&reader, next - 1).await }
        });
        // Before the reader subscribes, while it does, and after.
        tokio::time::sleep(Duration::from_micros(pause(next))).await;
        writer.save("alice", &entry(next, "x")).await.unwrap();
        waiter.await.unwrap();
        assert_eq!(revision(&reader, "alice").await, next);
    }
}

/// A different pause for each step, below 1500 µs.
fn pause(step: u64) -> u64 {
    step * 7919 % 1500
}

#[tokio::test]
async fn a_change_before_the_call_is_seen_without_waiting() {
    let server = RedisServer::start().await;
    let store = store(&server);
    store.save("alice", &entry(1, "x")).await.unwrap();
    changes_soon(&store, 0).await;
    changes_soon(&store, 7).await;
    // A lost entry, as after a restart, is a change as well.
    let () = server.run_command("FLUSHALL").await;
    changes_soon(&store, 1).await;
    assert!(timeout(Duration::from_millis(300), store.changed("alice", 0)).await.is_err(), "nothing changed");
}

#[tokio::test]
async fn setting_a_corrupt_entry_aside_is_notified() {
    let server = RedisServer::start().await;
    let (first, second) = (store(&server), store(&server));
    first.save("alice", &entry(1, "x")).await.unwrap();
    let waiter = tokio::spawn(async move { changes_soon(&first, 1).await });
    until("the store has subscribed", async || listeners(&server).await == 1).await;
    let () = server.run_command("HSET jwt-refresh:{alice}:entry account bob").await;
    second.load("alice").await.unwrap_err();
    waiter.await.unwrap();
}

#[tokio::test]
async fn a_hundred_waiters_share_one_connection_and_leave_none() {
    let server = RedisServer::start().await;
    let store = store(&server);
    let waiters: Vec<_> = (0..100)
        .map(|account| {
            let store = store.clone();
            tokio::spawn(async move { store.changed(&format!("account {account}"), 0).await })
        })
        .collect();
    until("all have subscribed", async || server.run_command::<Vec<String>>("PUBSUB CHANNELS").await.len() == 100)
        .await;
    assert_eq!(listeners(&server).await, 1);
    for account in 0..100 {
        store.save(&format!("account {account}"), &entry(1, "x")).await.unwrap();
    }
    for waiter in waiters {
        timeout(SOON, waiter).await.expect("notified").unwrap();
    }
    until("nothing is subscribed", async || listeners(&server).await == 0).await;
    // The same again, after the task that held the subscriptions has ended.
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { changes_soon(&store, 0).await }
    });
    store.save("alice", &entry(1, "x")).await.unwrap();
    waiter.await.unwrap();
    drop(store);
    until("the store has closed its connections", async || {
        // The only connection left is the one that asks.
        server.run_command::<String>("CLIENT LIST").await.lines().count() == 1
    })
    .await;
}

#[tokio::test]
async fn a_broken_subscription_is_made_again_and_misses_no_change() {
    let server = RedisServer::start().await;
    let (writer, reader) = (store(&server), store(&server));
    for next in 1..=5 {
        let waiter = tokio::spawn({
            let reader = reader.clone();
            async move { changes_soon(&reader, next - 1).await }
        });
        until("the store has subscribed", async || listeners(&server).await == 1).await;
        let killed: u32 = server.run_command("CLIENT KILL TYPE pubsub").await;
        assert_eq!(killed, 1);
        let begun = Instant::now();
        writer.save("alice", &entry(next, "x")).await.unwrap();
        waiter.await.unwrap();
        assert!(begun.elapsed() < SOON);
    }
}

#[tokio::test]
async fn a_silent_subscription_is_replaced() {
    let server = RedisServer::start().await;
    let proxy = RedisProxy::before(&server).await;
    let reader = with_short_timeouts(&proxy.url()).build().unwrap();
    let waiter = tokio::spawn({
        let reader = reader.clone();
        async move { reader.changed("alice", 0).await }
    });
    until("the store has subscribed", async || listeners(&server).await == 1).await;
    proxy.lose_answers();
    until("the connection is given up", async || {
        server.run_command::<String>("CLIENT LIST TYPE pubsub").await.is_empty()
    })
    .await;
    assert!(!waiter.is_finished());
    proxy.pass_answers();
    until("the store has subscribed again", async || listeners(&server).await == 1).await;
    store(&server).save("alice", &entry(1, "x")).await.unwrap();
    timeout(SOON, waiter).await.expect("notified").unwrap();
}
