//! Entries: what was saved is loaded, none is lost to another, and what is no entry is set aside.

use std::collections::BTreeSet;

use jwt_refresh::store::{RedisStore, StoreErrorKind, TokenStore};

use crate::server::{Proxy, Server};
use crate::{entry, kind, revision, store, until};

const NASTY: [&str; 14] = [
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
async fn an_entry_is_written_only_if_it_follows() {
    let server = Server::start().await;
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
async fn any_bytes_and_the_largest_revision_come_back_as_they_were() {
    let server = Server::start().await;
    let store = store(&server);
    let mut bytes = entry(1, "");
    bytes.data.extend((0..=255).cycle().take(1024 * 1024));
    store.save("alice", &bytes).await.unwrap();
    assert!(store.load("alice").await.unwrap() == Some(bytes.clone()));
    bytes.revision = 2;
    bytes.data.push(0);
    assert_eq!(kind(store.save("alice", &bytes).await), Some(StoreErrorKind::Configuration));

    let () = server.say(&format!("HSET jwt-refresh:{{alice}}:entry revision {}", u64::MAX - 1)).await;
    store.save("alice", &entry(u64::MAX, "last")).await.unwrap();
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(u64::MAX, "last")));
}

#[tokio::test]
async fn of_many_savers_one_wins_each_revision() {
    const TURNS: u64 = 40;
    let server = Server::start().await;
    let savers: Vec<_> = (0..8).map(|_| tokio::spawn(count_up(store(&server), TURNS))).collect();
    for saver in savers {
        saver.await.unwrap();
    }
    assert_eq!(store(&server).load("alice").await.unwrap(), Some(entry(8 * TURNS, &(8 * TURNS).to_string())));
}

/// Adds 1 to the number that the entry holds, `turns` times.
async fn count_up(store: RedisStore, turns: u64) {
    let mut done = 0;
    while done < turns {
        let held = store.load("alice").await.unwrap();
        let number: u64 = held.as_ref().map_or(0, |held| str::from_utf8(&held.data).unwrap().parse().unwrap());
        let next = entry(held.map_or(1, |held| held.revision + 1), &(number + 1).to_string());
        match kind(store.save("alice", &next).await) {
            None => done += 1,
            Some(kind) => assert_eq!(kind, StoreErrorKind::Conflict),
        }
    }
}

#[tokio::test]
async fn a_save_whose_answer_is_lost_is_known_to_have_been_done() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server).await;
    let store = RedisStore::new(&proxy.url()).unwrap();
    for revision in 1..20 {
        proxy.cut_the_next_answer();
        store.save("alice", &entry(revision, "x")).await.unwrap();
        assert!(proxy.has_cut());
        assert_eq!(kind(store.save("alice", &entry(revision, "x")).await), Some(StoreErrorKind::Conflict));
    }
    assert_eq!(revision(&store, "alice").await, 19);
}

#[tokio::test]
async fn what_is_no_entry_is_reported_once_and_kept_aside() {
    let server = Server::start().await;
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
        let () = server.say(case).await;
        let shown: String = case.chars().take(80).collect();
        assert_eq!(kind(store.save("alice", &entry(1, "x")).await), Some(StoreErrorKind::Conflict), "{shown}");
        let error = store.load("alice").await.expect_err(&shown);
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{shown}");
        assert!(error.to_string().contains("jwt-refresh:{alice}:corrupt"), "{error}");
        assert_eq!(store.load("alice").await.unwrap(), None, "{shown}");
        let left: i64 = server.say("PTTL jwt-refresh:{alice}:corrupt").await;
        assert!(left > 0, "{shown} is kept, and not for ever: {left}");
    }
    store.save("alice", &entry(1, "good")).await.unwrap();
    assert_eq!(revision(&store, "alice").await, 1);
}

#[tokio::test]
async fn no_two_accounts_meet_whatever_they_are_called() {
    let server = Server::with(&["--cluster-enabled", "yes"]).await;
    let () = server.say("CLUSTER ADDSLOTSRANGE 0 16383").await;
    until("the cluster is up", async || server.say::<String>("CLUSTER INFO").await.contains("cluster_state:ok")).await;
    let (store, other) = (store(&server), RedisStore::builder(&server.url()).prefix("other").build().unwrap());
    for account in NASTY {
        store.save(account, &entry(1, account)).await.unwrap();
        drop(store.lease(account).await.unwrap());
    }
    for account in NASTY {
        assert_eq!(store.load(account).await.unwrap(), Some(entry(1, account)));
        assert_eq!(other.load(account).await.unwrap(), None);
    }
    until("leases are given back", async || server.say::<Vec<String>>("KEYS *:lease").await.is_empty()).await;
    // In a cluster, a script over keys of two slots would have failed.
    for account in NASTY {
        let () = server.ask(redis::cmd("HDEL").arg(entry_key(&server, account).await).arg("revision")).await;
        assert_eq!(kind(store.load(account).await), Some(StoreErrorKind::Corrupt), "{account:?}");
    }
    let keys: BTreeSet<String> = server.say("KEYS *").await;
    assert_eq!(keys.len(), NASTY.len(), "{keys:?}");
}

async fn entry_key(server: &Server, account: &str) -> String {
    for key in server.say::<Vec<String>>("KEYS *:entry").await {
        if server.ask::<Option<Vec<u8>>>(redis::cmd("HGET").arg(&key).arg("account")).await == Some(account.into()) {
            return key;
        }
    }
    panic!("no entry of {account:?}");
}

#[tokio::test]
async fn entries_stay_unless_they_are_to_be_forgotten() {
    let server = Server::start().await;
    let key = "PTTL jwt-refresh:{alice}:entry";
    let forgetful =
        RedisStore::builder(&server.url()).forget_after(std::time::Duration::from_secs(60)).build().unwrap();
    forgetful.save("alice", &entry(1, "x")).await.unwrap();
    assert!((50_000..=60_000).contains(&server.say::<i64>(key).await));
    store(&server).save("alice", &entry(2, "x")).await.unwrap();
    assert_eq!(server.say::<i64>(key).await, -1);
}
