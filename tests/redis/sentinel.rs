//! Sentinels: the store, sessions and a fleet follow the master that they name.

use futures_util::future::join_all;
use jwt_refresh::Session;
use jwt_refresh::store::{RedisStore, StoreErrorKind, TokenStore};
use jwt_refresh_testkit::conformance::check;
use redis::Value;
use tokio::net::TcpListener;

use crate::fail_over::fleet_goes_on;
use crate::support::{MINUTE, RedisSentinel, RedisServer, World, entry, until};
use crate::{access_rule, quoted_after};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_behind_sentinels_passes_the_conformance_suite() {
    let set = RedisSentinel::start().await;
    check(async || RedisStore::new(&set.url()).unwrap()).await;
}

#[tokio::test]
async fn the_documented_rule_and_the_role_are_all_that_is_needed() {
    let set = RedisSentinel::start().await;
    let rule = access_rule(include_str!("../../jwt-refresh-core/src/store/redis/mod.rs"));
    let () = set.master.run_command(&format!("{rule} +role")).await;
    let store = RedisStore::new(&set.url().replace("://", "://app:password@")).unwrap();
    store.ping().await.unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    drop(store.lease("alice").await.unwrap());
    let denied: Vec<Value> = set.master.run_command("ACL LOG").await;
    assert!(denied.is_empty(), "{denied:?}");
}

#[tokio::test]
async fn a_master_that_no_sentinel_knows_of_is_said_to_be_missing() {
    let set = RedisSentinel::start().await;
    let store = RedisStore::new(&set.url_for("other")).unwrap();
    let error = store.load("alice").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("(other of sentinels) has no master of that name"), "{error}");
}

#[tokio::test]
async fn the_documented_rights_of_the_sentinels_user_are_all_that_it_needs() {
    let set = RedisSentinel::start().await;
    let source = include_str!("../../jwt-refresh-core/src/store/redis/mod.rs");
    let rights = quoted_after(source, "`sentinelUsername`, needs ");
    set.run_on_sentinel(&format!("ACL SETUSER watcher on >password resetchannels nocommands {rights}")).await;
    let url = |password: &str| format!("{}&sentinelUsername=watcher&sentinelPassword={password}", set.url());
    RedisStore::new(&url("password")).unwrap().ping().await.unwrap();
    let error = RedisStore::new(&url("wrong")).unwrap().ping().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Configuration, "{error}");
}

#[tokio::test]
async fn a_wrong_password_of_the_master_is_a_mistake_of_the_user_and_not_named() {
    let set = RedisSentinel::start().await;
    let () = set.master.run_command("ACL SETUSER ursula on >hunter2 nocommands").await;
    for user in ["ursula:wrong-hunter2@", ":hunter2@", "ursula:hunter2@"] {
        let store = RedisStore::new(&set.url().replace("://", &format!("://{user}"))).unwrap();
        let error = store.load("alice").await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Configuration, "{user}: {error}");
        let shown = format!("{error} {error:?} {store:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("ursula"), "{shown}");
    }
}

#[tokio::test]
async fn a_sentinel_that_stands_still_keeps_nobody_from_the_master() {
    let set = RedisSentinel::start().await;
    // It takes connections, and says nothing.
    let still = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let still = still.local_addr().unwrap().port();
    let url = set.url().replace("?node=", &format!("?node=127.0.0.1:{still}&node="));
    RedisStore::new(&url).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn sessions_share_each_login_and_refresh_also_with_the_master_that_was_promoted() {
    let mut set = RedisSentinel::start().await;
    let world = World::new();
    let session = || world.session().store(RedisStore::new(&set.url()).unwrap(), "alice").build();
    let sessions: Vec<_> = (0..4).map(|_| session()).collect();
    let all_have_a_token = async || {
        for token in join_all(sessions.iter().map(Session::token)).await {
            token.unwrap();
        }
    };
    for _ in 0..3 {
        all_have_a_token().await;
        world.pass(MINUTE);
    }
    all_have_a_token().await;
    let offset = async |server: &RedisServer| server.info("master_repl_offset").await;
    until("the replica has everything", async || offset(&set.master).await == offset(&set.replica).await).await;
    set.master.stop();
    set.promoted().await;
    let store = RedisStore::new(&set.url()).unwrap();
    until("the promoted one serves", async || store.load("alice").await.is_ok()).await;
    for _ in 0..3 {
        world.pass(MINUTE);
        all_have_a_token().await;
    }
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.failed_refreshes, stats.reuses), (1, 0, 0), "{stats:?}");
    // Four sessions that did not share them would make 24. The real time that the fail-over takes
    // may make some more than six.
    assert!((6..12).contains(&stats.refreshes), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_behind_sentinels_goes_on_with_the_master_that_was_promoted() {
    let mut set = RedisSentinel::start().await;
    let url = set.url();
    let die = async || {
        set.master.stop();
        set.promoted().await;
    };
    fleet_goes_on(&url, die).await;
}
