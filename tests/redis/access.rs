//! Access: the documented rule allows what is needed and no more, and errors show no secret.

use std::time::Duration;

use jwt_refresh::store::{RedisStore, RedisStoreBuilder, StoreErrorKind, TokenStore};
use tokio::time::timeout;

use crate::support::{MINUTE, RedisServer, SECOND, entry, free_port, until};
use crate::{SOON, access_rule, kind, store};

/// The access rule in the documentation of the Redis store.
fn documented_rule() -> String {
    access_rule(include_str!("../../jwt-refresh-core/src/store/redis/mod.rs"))
}

/// A store that connects as `user`, which is written `name:password`.
fn connect_as(server: &RedisServer, user: &str) -> RedisStoreBuilder {
    RedisStore::builder(&format!("redis://{user}@127.0.0.1:{}", server.port))
}

#[tokio::test]
async fn the_documented_rule_allows_everything_that_is_needed() {
    let server = RedisServer::start().await;
    let () = server.run_command(&documented_rule()).await;
    let (first, second) =
        (connect_as(&server, "app:password").build().unwrap(), connect_as(&server, "app:password").build().unwrap());
    first.ping().await.unwrap();
    let waiter_of_alice = tokio::spawn({
        let second = second.clone();
        async move { timeout(SOON, second.changed("alice", 0)).await }
    });
    let waiter_of_bob = tokio::spawn({
        let first = first.clone();
        async move { first.changed("bob", 0).await }
    });
    first.save("alice", &entry(1, "x")).await.unwrap();
    waiter_of_alice.await.unwrap().expect("notified");
    let lease = first.lease("alice").await.unwrap();
    let waiter = tokio::spawn(async move { timeout(SOON, second.lease("alice")).await });
    until("the waiter has subscribed", async || {
        !server.run_command::<Vec<String>>("PUBSUB CHANNELS *freed").await.is_empty()
    })
    .await;
    drop(lease);
    drop(waiter.await.unwrap().expect("the lease is free").unwrap());
    let () = server.run_command("HDEL jwt-refresh:{alice}:entry data").await;
    assert_eq!(kind(first.load("alice").await), Some(StoreErrorKind::Corrupt));
    // A lease key without expiry is given one.
    let () = server.run_command("SET jwt-refresh:{bob}:lease another").await;
    assert!(timeout(Duration::from_millis(300), first.lease("bob")).await.is_err());
    let forgetful = connect_as(&server, "app:password").forget_after(MINUTE).build().unwrap();
    forgetful.save("alice", &entry(1, "x")).await.unwrap();
    // Channels on which nothing waits are unsubscribed, and the connection is probed.
    until("only Bob's channel is left", async || {
        server.run_command::<Vec<String>>("PUBSUB CHANNELS").await == ["jwt-refresh:{bob}:saved"]
    })
    .await;
    until("the connection is probed", async || {
        server.run_command::<String>("CLIENT LIST TYPE pubsub").await.contains("cmd=ping")
    })
    .await;
    first.save("bob", &entry(1, "x")).await.unwrap();
    timeout(SOON, waiter_of_bob).await.expect("notified").unwrap();
    let denied: Vec<redis::Value> = server.run_command("ACL LOG").await;
    assert!(denied.is_empty(), "{denied:?}");
}

#[tokio::test]
async fn keys_of_other_prefixes_are_out_of_reach() {
    let server = RedisServer::start().await;
    let () = server.run_command(&documented_rule()).await;
    RedisStore::builder(&server.url()).prefix("theirs").build().unwrap().save("alice", &entry(1, "x")).await.unwrap();
    let intruder = connect_as(&server, "app:password").prefix("theirs").build().unwrap();
    assert_denied(&intruder).await;
    assert_eq!(kind(intruder.ping().await), None);
}

#[tokio::test]
async fn a_missing_right_is_a_configuration_error_in_every_operation() {
    let server = RedisServer::start().await;
    let rule = documented_rule();
    for right in ["evalsha", "type", "publish", "hstrlen"] {
        let () = server.run_command("FLUSHALL").await;
        store(&server).save("alice", &entry(1, "x")).await.unwrap();
        let () = server.run_command(&format!("{rule} -{right}")).await;
        let store = connect_as(&server, "app:password").build().unwrap();
        let result = match right {
            "publish" => store.save("alice", &entry(2, "y")).await,
            _ => store.load("alice").await.map(drop),
        };
        let error = result.expect_err(right);
        assert_eq!(error.kind(), StoreErrorKind::Configuration, "{right}: {error}");
        let () = server.run_command("ACL DELUSER app").await;
    }
}

#[tokio::test]
async fn without_the_right_to_subscribe_changes_are_found_by_polling() {
    let server = RedisServer::start().await;
    let () = server.run_command(&format!("{} -subscribe", documented_rule())).await;
    let reader = connect_as(&server, "app:password").build().unwrap();
    let waiter_of_alice = tokio::spawn(async move { reader.changed("alice", 0).await });
    store(&server).save("alice", &entry(1, "x")).await.unwrap();
    timeout(Duration::from_secs(8), waiter_of_alice).await.expect("found").unwrap();
}

async fn assert_denied(store: &RedisStore) {
    for error in [
        store.load("alice").await.unwrap_err(),
        store.save("alice", &entry(2, "y")).await.unwrap_err(),
        store.lease("alice").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Configuration, "{error}");
    }
}

#[tokio::test]
async fn errors_name_host_and_port_and_nothing_secret() {
    let server = RedisServer::start().await;
    let () = server.run_command("ACL SETUSER ursula on >hunter2 nocommands").await;
    let down = format!("redis://ursula:hunter2@127.0.0.1:{}", free_port());
    let stores = [
        connect_as(&server, "ursula:wrong-hunter2").build().unwrap(),
        connect_as(&server, ":hunter2").build().unwrap(),
        connect_as(&server, "ursula:hunter2").build().unwrap(),
        RedisStore::new(&down).unwrap(),
    ];
    for (store, expected) in stores.iter().zip([true, true, true, false]) {
        let error = store.load("alice").await.unwrap_err();
        assert_eq!(error.kind() == StoreErrorKind::Configuration, expected, "{error}");
        let shown = format!("{error} {error:?} {store:?}");
        assert!(shown.contains("127.0.0.1:"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("ursula"), "{shown}");
    }
    for url in ["redis://ursula:hunter2@", "http://ursula:hunter2@host", "redis://ursula:hunter2@host/x", "hunter2"] {
        let error = RedisStore::new(url).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Configuration);
        let shown = format!("{error} {error:?} {:?}", RedisStore::builder(url));
        assert!(!shown.contains("hunter2") && !shown.contains("ursula"), "{shown}");
    }
}

#[tokio::test]
async fn invalid_settings_are_refused_when_the_store_is_built() {
    let builder = || RedisStore::builder("redis://localhost");
    let cases = [
        builder().prefix(""),
        builder().prefix("a{b}"),
        builder().timeout(Duration::ZERO),
        builder().connect_timeout(Duration::ZERO),
        builder().timeout(SECOND).lease_ttl(SECOND),
        builder().forget_after(Duration::ZERO),
        RedisStore::builder("rediss://localhost#insecure"),
    ];
    for case in cases {
        let shown = format!("{case:?}");
        assert_eq!(kind(case.build()), Some(StoreErrorKind::Configuration), "{shown}");
    }
    builder().prefix("app:v1/tokens_x.y-z").build().unwrap();
}
