//! Three sentinels, of which two have to agree: the store, sessions and a fleet use the master that
//! the latest fail-over has made, also while the former one goes on as a master.

use std::time::Instant;

use futures_util::future::join_all;
use jwt_refresh::Session;
use jwt_refresh::store::{RedisStore, TokenStore};

use crate::SOON;
use crate::fail_over::{HEALED, fleet_goes_on};
use crate::support::{MINUTE, Machine, RedisSentinel, RedisServer, World, entry, until};

/// The store in the promoted replica alone.
fn promoted_store(set: &RedisSentinel) -> RedisStore {
    RedisStore::new(&set.replica.url()).unwrap()
}

/// Waits until the replica has all that the master has.
async fn in_step(set: &RedisSentinel) {
    let offset = async |server: &RedisServer| server.info("master_repl_offset").await;
    until("the replica has everything", async || offset(&set.master).await == offset(&set.replica).await).await;
}

/// Waits until the stores have left the former master, which was not told to end.
async fn all_have_left(set: &RedisSentinel, stores: &[RedisStore]) {
    promoted_store(set).save("witness", &entry(1, "x")).await.unwrap();
    for store in stores {
        until("it has left", async || store.load("witness").await.is_ok_and(|found| found.is_some())).await;
    }
    assert_eq!(set.master.info("role").await, "master");
}

/// Whether somebody listens to the server.
async fn is_heard(server: &RedisServer) -> bool {
    !server.run_command::<Vec<String>>("PUBSUB CHANNELS jwt-refresh:*").await.is_empty()
}

#[tokio::test]
async fn a_store_leaves_the_former_master_while_that_goes_on() {
    let set = RedisSentinel::three().await;
    let store = RedisStore::new(&set.url()).unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { store.changed("bob", 0).await }
    });
    until("it listens", async || is_heard(&set.master).await).await;
    in_step(&set).await;
    set.fail_over().await;
    set.promoted().await;
    all_have_left(&set, std::slice::from_ref(&store)).await;
    store.save("alice", &entry(2, "y")).await.unwrap();
    let promoted = promoted_store(&set);
    assert_eq!(promoted.load("alice").await.unwrap(), Some(entry(2, "y")));
    until("it listens to the new master alone", async || is_heard(&set.replica).await && !is_heard(&set.master).await)
        .await;
    promoted.save("bob", &entry(1, "x")).await.unwrap();
    tokio::time::timeout(SOON, waiter).await.expect("told of the change").unwrap();
}

#[tokio::test]
async fn a_sentinel_that_still_names_the_former_master_is_not_believed() {
    let set = RedisSentinel::three().await;
    let deaf = set.deaf_sentinel().await;
    set.fail_over().await;
    set.promoted().await;
    let url = set.url_with_first(&deaf.address());
    for number in 0..10 {
        // A busy machine has time to ask more than one.
        let store = RedisStore::builder(&url).timeout(MINUTE).connect_timeout(MINUTE).lease_ttl(MINUTE * 2);
        let store = store.build().unwrap();
        store.save(&format!("account-{number}"), &entry(1, "x")).await.unwrap();
    }
    assert!(deaf.names(&set.master).await && set.master.info("role").await == "master");
    assert_eq!(set.replica.run_command::<u32>("DBSIZE").await, 10);
}

#[tokio::test]
async fn sessions_send_no_refresh_token_twice_while_the_former_master_goes_on() {
    let set = RedisSentinel::three().await;
    let world = World::new();
    let stores: Vec<_> = (0..4).map(|_| RedisStore::new(&set.url()).unwrap()).collect();
    let session = |store: &RedisStore| world.session().store(store.clone(), "alice").build();
    let sessions: Vec<_> = stores.iter().map(session).collect();
    let all_have_a_token = async |sessions: &[Session]| {
        for token in join_all(sessions.iter().map(Session::token)).await {
            token.unwrap();
        }
    };
    for _ in 0..3 {
        all_have_a_token(&sessions).await;
        world.pass(MINUTE);
    }
    in_step(&set).await;
    set.fail_over().await;
    set.promoted().await;
    all_have_left(&set, &stores).await;
    for _ in 0..3 {
        all_have_a_token(&sessions).await;
        all_have_a_token(&[session(&RedisStore::new(&set.url()).unwrap())]).await;
        world.pass(MINUTE);
    }
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.failed_refreshes, stats.reuses), (1, 0, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_leaves_the_former_master_while_that_goes_on() {
    let set = RedisSentinel::three().await;
    // As the guide says. Otherwise what it takes until it is left would be lost.
    let () = set.master.run_command("CONFIG SET min-replicas-to-write 1").await;
    let url = set.url();
    fleet_goes_on(&url, async || {
        set.fail_over().await;
        set.promoted().await;
        let (machine, begun) = (Machine::watch(), Instant::now());
        until("nobody listens to the former master", async || !is_heard(&set.master).await).await;
        machine.assert_took(begun.elapsed(), HEALED);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_goes_on_when_the_master_and_the_first_sentinel_die() {
    let mut set = RedisSentinel::three().await;
    let url = set.url();
    fleet_goes_on(&url, async || {
        set.stop_first_sentinel();
        set.master.stop();
        set.promoted().await;
    })
    .await;
}
