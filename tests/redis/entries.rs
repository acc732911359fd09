//! Entries: what was saved is loaded, none is overwritten unseen, and an invalid one is set aside.

use std::collections::BTreeSet;
use std::time::Duration;

use jwt_refresh::store::{RedisStore, StoreErrorKind, TokenStore};

use crate::support::{HOUR, MINUTE, RedisProxy, RedisServer, entry, increment, until};
use crate::{kind, revision, store};

/// Names of accounts that keys, patterns and commands of Redis could mistake for something else.
const ODD_NAMES: [&str; 14] = [
    "",
    "%",
    "%25",
    "alice",
    "alice}",
    "{alice}",
    "alice}:entry",
    "a:b",
    "a b",
    "*",
    "ä",
    "a\0b",
    "a\r\nDEL x",
    "a%3Ab",
];

#[tokio::test]
async fn an_entry_is_saved_only_with_the_next_revision() {
    let server = RedisServer::start().await;
    let store = store(&server);
    assert_eq!(store.load("alice").await.unwrap(), None);
    for wrong in [0, 2, u64::MAX] {
        assert_eq!(kind(store.save("alice", &entry(wrong, "x")).await), Some(StoreErrorKind::Conflict));
    }
    store.save("alice", &entry(1, "one")).await.unwrap();
    for wrong in [0, 1, 3, u64::MAX] {
        assert_eq!(kind(store.save("alice", &entry(wrong, "x")).await), Some(StoreErrorKind::Conflict));
    }
    store.save("alice", &entry(2, "two")).await.unwrap();
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(2, "two")));
    assert_eq!(store.load("bob").await.unwrap(), None);
}

#[tokio::test]
async fn any_bytes_and_the_largest_revision_are_loaded_unchanged() {
    let server = RedisServer::start().await;
    let store = store(&server);
    let mut bytes = entry(1, "");
    bytes.data.extend((0..=255).cycle().take(1024 * 1024));
    store.save("alice", &bytes).await.unwrap();
    assert!(store.load("alice").await.unwrap() == Some(bytes.clone()));
    bytes.revision = 2;
    bytes.data.push(0);
    assert_eq!(kind(store.save("alice", &bytes).await), Some(StoreErrorKind::Configuration));

    let () = server.run_command(&format!("HSET jwt-refresh:{{alice}}:entry revision {}", u64::MAX - 1)).await;
    store.save("alice", &entry(u64::MAX, "last")).await.unwrap();
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(u64::MAX, "last")));
}

#[tokio::test]
async fn of_many_writers_one_saves_each_revision() {
    const TURNS: u64 = 40;
    let server = RedisServer::start().await;
    let writer = |store: RedisStore| async move {
        for _ in 0..TURNS {
            increment(&store, "alice").await;
        }
    };
    let writers: Vec<_> = (0..8).map(|_| tokio::spawn(writer(store(&server)))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(store(&server).load("alice").await.unwrap(), Some(entry(8 * TURNS, (8 * TURNS).to_string())));
}

#[tokio::test]
async fn a_save_whose_answer_is_lost_succeeds_and_is_done_once() {
    let server = RedisServer::start().await;
    let proxy = RedisProxy::before(&server).await;
    let store = RedisStore::new(&proxy.url()).unwrap();
    for revision in 1..20 {
        proxy.cut_next_answer();
        store.save("alice", &entry(revision, "x")).await.unwrap();
        assert!(proxy.has_cut_answer());
        assert_eq!(kind(store.save("alice", &entry(revision, "x")).await), Some(StoreErrorKind::Conflict));
    }
    assert_eq!(revision(&store, "alice").await, 19);
}

#[tokio::test]
async fn an_invalid_entry_is_reported_once_and_set_aside() {
    let server = RedisServer::start().await;
    let store = store(&server);
    let key = "jwt-refresh:{alice}:entry";
    let huge = format!("HSET {key} account alice revision 1 data {}", "x".repeat(1024 * 1024 + 1));
    let cases = [
        format!("SET {key} text"),
        format!("RPUSH {key} a b"),
        format!("HSET {key} other field"),
        format!("HSET {key} account alice revision 1"),
        format!("HSET {key} account alice data x"),
        format!("HSET {key} account bobby revision 1 data x"),
        format!("HSET {key} account alice revision 0 data x"),
        format!("HSET {key} account alice revision 01 data x"),
        format!("HSET {key} account alice revision -1 data x"),
        format!("HSET {key} account alice revision 1e3 data x"),
        format!("HSET {key} account alice revision 18446744073709551616 data x"),
        format!("HSET {key} account alice revision 99999999999999999999999 data x"),
        huge,
    ];
    for case in &cases {
        let () = server.run_command(case).await;
        let shown: String = case.chars().take(80).collect();
        assert_eq!(kind(store.save("alice", &entry(1, "x")).await), Some(StoreErrorKind::Conflict), "{shown}");
        let error = store.load("alice").await.expect_err(&shown);
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{shown}");
        assert!(error.to_string().contains("jwt-refresh:{alice}:corrupt"), "{error}");
        assert_eq!(store.load("alice").await.unwrap(), None, "{shown}");
        let left: i64 = server.run_command("PTTL jwt-refresh:{alice}:corrupt").await;
        assert!(left > 0, "{shown} is kept, and not for ever: {left}");
    }
    store.save("alice", &entry(1, "good")).await.unwrap();
    assert_eq!(revision(&store, "alice").await, 1);
}

#[tokio::test]
async fn what_was_set_aside_is_deleted_and_nothing_else() {
    let server = RedisServer::start().await;
    let store = store(&server);
    for account in ["alice", "bob"] {
        let () = server.run_command(&format!("SET jwt-refresh:{{{account}}}:entry refresh-token")).await;
        assert_eq!(kind(store.load(account).await), Some(StoreErrorKind::Corrupt));
    }
    store.save("alice", &entry(1, "good")).await.unwrap();
    store.delete_corrupt("alice").await.unwrap();
    store.delete_corrupt("alice").await.unwrap();
    let mut keys = server.run_command::<Vec<String>>("KEYS *").await;
    keys.sort();
    assert_eq!(keys, ["jwt-refresh:{alice}:entry", "jwt-refresh:{bob}:corrupt"]);
}

#[tokio::test]
async fn an_entry_of_a_later_version_is_left_alone() {
    let server = RedisServer::start().await;
    let store = store(&server);
    store.save("alice", &entry(1, "one")).await.unwrap();
    let () = server.run_command("HSET jwt-refresh:{alice}:entry format 2 data other").await;
    for _ in 0..2 {
        for error in [store.load("alice").await.unwrap_err(), store.save("alice", &entry(2, "two")).await.unwrap_err()]
        {
            assert_eq!(error.kind(), StoreErrorKind::LaterFormat, "{error}");
        }
    }
    let held: (String, String) = server.run_command("HMGET jwt-refresh:{alice}:entry revision data").await;
    assert_eq!(held, ("1".to_owned(), "other".to_owned()));
}

#[cfg(feature = "seal")]
#[tokio::test]
async fn an_entry_of_another_key_is_reported_and_stays() {
    use jwt_refresh::store::{SealKey, Sealed};

    let server = RedisServer::start().await;
    let (key, other) = (SealKey::generate().unwrap(), SealKey::generate().unwrap());
    let sealed = |key: &SealKey| Sealed::new(store(&server), key.clone());
    jwt_refresh_testkit::conformance::check_keys(async || sealed(&key), async || sealed(&other)).await;
}

#[tokio::test]
async fn the_longest_times_overflow_nothing() {
    let server = RedisServer::start().await;
    let longest = RedisStore::builder(&server.url())
        .timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .lease_ttl(Duration::MAX)
        .forget_after(Duration::MAX)
        .build()
        .unwrap();
    longest.save("alice", &entry(1, "x")).await.unwrap();
    assert_eq!(longest.load("alice").await.unwrap(), Some(entry(1, "x")));
    let lease = longest.lease("alice").await.unwrap();
    assert!(lease.is_held());
    let century = i64::try_from(HOUR.as_millis()).unwrap() * 24 * 365 * 100;
    for key in ["entry", "lease"] {
        let left: i64 = server.run_command(&format!("PTTL jwt-refresh:{{alice}}:{key}")).await;
        assert!((century - 60_000..=century).contains(&left), "{key}: {left}");
    }
    drop(lease);
    until("the lease is given back", async || store(&server).lease("alice").await.is_ok()).await;
}

#[tokio::test]
async fn accounts_of_any_name_are_kept_apart() {
    let server = RedisServer::with_options(&["--cluster-enabled", "yes"]).await;
    let () = server.run_command("CLUSTER ADDSLOTSRANGE 0 16383").await;
    until("the cluster is up", async || {
        server.run_command::<String>("CLUSTER INFO").await.contains("cluster_state:ok")
    })
    .await;
    let (store, other) = (store(&server), RedisStore::builder(&server.url()).prefix("other").build().unwrap());
    for account in ODD_NAMES {
        store.save(account, &entry(1, account)).await.unwrap();
        drop(store.lease(account).await.unwrap());
    }
    for account in ODD_NAMES {
        assert_eq!(store.load(account).await.unwrap(), Some(entry(1, account)));
        assert_eq!(other.load(account).await.unwrap(), None);
    }
    until("leases are given back", async || server.run_command::<Vec<String>>("KEYS *:lease").await.is_empty()).await;
    // In a cluster, a script fails if its keys are in two slots.
    for account in ODD_NAMES {
        let () = server.query(redis::cmd("HDEL").arg(entry_key(&server, account).await).arg("revision")).await;
        assert_eq!(kind(store.load(account).await), Some(StoreErrorKind::Corrupt), "{account:?}");
    }
    let keys: BTreeSet<String> = server.run_command("KEYS *").await;
    assert_eq!(keys.len(), ODD_NAMES.len(), "{keys:?}");
}

/// The key of an account's entry.
async fn entry_key(server: &RedisServer, account: &str) -> String {
    for key in server.run_command::<Vec<String>>("KEYS *:entry").await {
        if server.query::<Option<Vec<u8>>>(redis::cmd("HGET").arg(&key).arg("account")).await == Some(account.into()) {
            return key;
        }
    }
    panic!("no entry of {account:?}");
}

#[tokio::test]
async fn entries_expire_only_if_the_store_is_built_so() {
    let server = RedisServer::start().await;
    let key = "PTTL jwt-refresh:{alice}:entry";
    let forgetful = RedisStore::builder(&server.url()).forget_after(MINUTE).build().unwrap();
    forgetful.save("alice", &entry(1, "x")).await.unwrap();
    assert!((50_000..=60_000).contains(&server.run_command::<i64>(key).await));
    store(&server).save("alice", &entry(2, "x")).await.unwrap();
    assert_eq!(server.run_command::<i64>(key).await, -1);
}
