//! Access: the documented rule is enough and no more, and nothing secret is shown.

use std::time::Duration;

use jwt_refresh::store::{RedisStore, RedisStoreBuilder, StoreErrorKind, TokenStore};
use tokio::time::timeout;

use crate::server::{SOON, Server, free_port};
use crate::{entry, kind, store, until};

/// The access rule that the documentation gives.
fn documented_rule() -> String {
    let text = include_str!("../../jwt-refresh-core/src/store/redis/mod.rs");
    let rule = &text[text.find("ACL SETUSER").unwrap()..];
    rule[..rule.find("```").unwrap()].replace("///", " ")
}

fn at(server: &Server, user: &str) -> RedisStoreBuilder {
    RedisStore::builder(&format!("redis://{user}@127.0.0.1:{}", server.port))
}

#[tokio::test]
async fn the_documented_rule_is_enough_for_everything() {
    let server = Server::start().await;
    let () = server.say(&documented_rule()).await;
    let (first, second) = (at(&server, "app:password").build().unwrap(), at(&server, "app:password").build().unwrap());
    first.ping().await.unwrap();
    let told = tokio::spawn({
        let second = second.clone();
        async move { timeout(SOON, second.changed("alice", 0)).await }
    });
    let bobs = tokio::spawn({
        let first = first.clone();
        async move { first.changed("bob", 0).await }
    });
    first.save("alice", &entry(1, "x")).await.unwrap();
    told.await.unwrap().expect("told");
    let lease = first.lease("alice").await.unwrap();
    let waiter = tokio::spawn(async move { timeout(SOON, second.lease("alice")).await });
    until("the waiter listens", async || !server.say::<Vec<String>>("PUBSUB CHANNELS *freed").await.is_empty()).await;
    drop(lease);
    drop(waiter.await.unwrap().expect("passed on").unwrap());
    let () = server.say("HDEL jwt-refresh:{alice}:entry data").await;
    assert_eq!(kind(first.load("alice").await), Some(StoreErrorKind::Corrupt));
    // A lease that has no end gets one.
    let () = server.say("SET jwt-refresh:{bob}:lease another").await;
    assert!(timeout(Duration::from_millis(300), first.lease("bob")).await.is_err());
    let forgetful = at(&server, "app:password").forget_after(Duration::from_secs(60)).build().unwrap();
    forgetful.save("alice", &entry(1, "x")).await.unwrap();
    // Channels that nobody listens on are let go of, and the connection is tried for life.
    until("only Bob's is left", async || {
        server.say::<Vec<String>>("PUBSUB CHANNELS").await == ["jwt-refresh:{bob}:saved"]
    })
    .await;
    until("it is tried", async || server.say::<String>("CLIENT LIST TYPE pubsub").await.contains("cmd=ping")).await;
    first.save("bob", &entry(1, "x")).await.unwrap();
    timeout(SOON, bobs).await.expect("told").unwrap();
    let denied: Vec<redis::Value> = server.say("ACL LOG").await;
    assert!(denied.is_empty(), "{denied:?}");
}

#[tokio::test]
async fn anothers_keys_are_out_of_reach() {
    let server = Server::start().await;
    let () = server.say(&documented_rule()).await;
    RedisStore::builder(&server.url()).prefix("theirs").build().unwrap().save("alice", &entry(1, "x")).await.unwrap();
    let intruder = at(&server, "app:password").prefix("theirs").build().unwrap();
    assert_denied(&intruder).await;
    assert_eq!(kind(intruder.ping().await), None);
}

#[tokio::test]
async fn a_missing_right_is_called_one_wherever_it_is_missing() {
    let server = Server::start().await;
    let rule = documented_rule();
    for right in ["evalsha", "type", "publish", "hstrlen"] {
        let () = server.say("FLUSHALL").await;
        store(&server).save("alice", &entry(1, "x")).await.unwrap();
        let () = server.say(&format!("{rule} -{right}")).await;
        let store = at(&server, "app:password").build().unwrap();
        let result = match right {
            "publish" => store.save("alice", &entry(2, "y")).await,
            _ => store.load("alice").await.map(drop),
        };
        let error = result.expect_err(right);
        assert_eq!(error.kind(), StoreErrorKind::Configuration, "{right}: {error}");
        let () = server.say("ACL DELUSER app").await;
    }
}

#[tokio::test]
async fn without_the_right_to_listen_changes_are_found_all_the_same() {
    let server = Server::start().await;
    let () = server.say(&format!("{} -subscribe", documented_rule())).await;
    let reader = at(&server, "app:password").build().unwrap();
    let told = tokio::spawn(async move { reader.changed("alice", 0).await });
    store(&server).save("alice", &entry(1, "x")).await.unwrap();
    timeout(Duration::from_secs(8), told).await.expect("found").unwrap();
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
    let server = Server::start().await;
    let () = server.say("ACL SETUSER ursula on >hunter2 nocommands").await;
    let down = format!("redis://ursula:hunter2@127.0.0.1:{}", free_port());
    let stores = [
        at(&server, "ursula:wrong-hunter2").build().unwrap(),
        at(&server, ":hunter2").build().unwrap(),
        at(&server, "ursula:hunter2").build().unwrap(),
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
async fn what_cannot_work_is_refused_when_it_is_built() {
    let second = Duration::from_secs(1);
    let builder = || RedisStore::builder("redis://localhost");
    let cases = [
        builder().prefix(""),
        builder().prefix("a{b}"),
        builder().timeout(Duration::ZERO),
        builder().connect_timeout(Duration::ZERO),
        builder().timeout(second).lease_ttl(second),
        builder().forget_after(Duration::ZERO),
        RedisStore::builder("rediss://localhost#insecure"),
    ];
    for case in cases {
        let shown = format!("{case:?}");
        assert_eq!(kind(case.build()), Some(StoreErrorKind::Configuration), "{shown}");
    }
    builder().prefix("app:v1/tokens_x.y-z").build().unwrap();
}
