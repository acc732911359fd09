//! Redis Cluster: the store's promises, sessions and a fleet with three masters, one of which dies.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jwt_refresh::Session;
use jwt_refresh::pool::{Account, AuthWorker, RedisPool};
use jwt_refresh::store::{RedisStore, StoreErrorKind, TokenStore};
use jwt_refresh_testkit::TestServer;
use jwt_refresh_testkit::conformance::check;
use redis::Value;
use tokio::time::timeout;

use crate::fail_over::fleet_goes_on;
use crate::support::{
    MINUTE, Machine, RedisCluster, RedisServer, SECOND, World, account_login, account_name, entry, until, with_accounts,
};
use crate::{SHORT_TIMEOUT, SOON, access_rule, kind, quoted_after, with_short_timeouts};

/// Where the documentation of the store says what its user needs in a cluster beside the rule.
const CLUSTER_RIGHTS: &str = "In a cluster the user also needs ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_in_a_cluster_passes_the_conformance_suite_and_uses_all_masters() {
    let cluster = RedisCluster::start(0).await;
    check(async || RedisStore::new(&cluster.url()).unwrap()).await;
    let store = RedisStore::builder(&cluster.url()).prefix("clones").build().unwrap();
    store.ping().await.unwrap();
    check(async || store.clone()).await;
    for account in 0..30 {
        store.save(&format!("account-{account}"), &entry(1, "x")).await.unwrap();
    }
    assert_eq!(cluster.nodes_with_keys().await, 3);
}

#[tokio::test]
async fn sessions_in_a_cluster_share_each_login_and_refresh() {
    let cluster = RedisCluster::start(0).await;
    let world = World::new();
    let session = || world.session().store(RedisStore::new(&cluster.url()).unwrap(), "alice").build();
    let sessions: Vec<_> = (0..6).map(|_| session()).collect();
    for refreshes in 0..5 {
        for token in join_all(sessions.iter().map(Session::token)).await {
            token.unwrap();
        }
        let stats = world.server.stats();
        assert_eq!((stats.logins, stats.refreshes, stats.failed_refreshes), (1, refreshes, 0));
        world.pass(MINUTE);
    }
}

#[tokio::test]
async fn a_change_is_announced_in_the_whole_cluster_to_handles_that_know_one_node() {
    let cluster = RedisCluster::start(0).await;
    let url = cluster.nodes[0].url().replace("redis://", "redis-cluster://");
    let [reader, writer] = [0, 1].map(|_| RedisStore::new(&url).unwrap());
    // Each account is with a master that its name decides.
    for account in (0..6).map(|number| format!("account-{number}")) {
        let waiter = tokio::spawn({
            let (store, account) = (reader.clone(), account.clone());
            async move { timeout(SOON, store.changed(&account, 0)).await }
        });
        let channel = format!("jwt-refresh:{{{account}}}:saved");
        until("the waiter has subscribed", async || cluster.has_subscriber(&channel).await).await;
        writer.save(&account, &entry(1, "x")).await.unwrap();
        waiter.await.unwrap().expect("told of the change");
    }
}

#[tokio::test]
async fn the_url_of_one_node_that_is_a_cluster_is_said_to_need_another() {
    let cluster = RedisCluster::start(0).await;
    let store = RedisStore::new(&cluster.nodes[0].url()).unwrap();
    let mut refused = None;
    for account in 0..30 {
        refused = refused.or(store.load(&format!("account-{account}")).await.err());
    }
    let error = refused.expect("the node does not have all slots");
    assert_eq!(error.kind(), StoreErrorKind::Configuration);
    assert!(error.to_string().contains("`redis-cluster://`"), "{error}");
}

#[tokio::test]
async fn the_documented_rules_and_the_nodes_of_the_cluster_are_all_that_is_needed() {
    let cluster = RedisCluster::start(0).await;
    let source = include_str!("../../jwt-refresh-core/src/store/redis/mod.rs");
    let addition = quoted_after(source, CLUSTER_RIGHTS);
    let rules = [
        access_rule(source),
        access_rule(include_str!("../../jwt-refresh-core/src/pool/fleet/worker.rs")),
        access_rule(include_str!("../../jwt-refresh-core/src/pool/fleet/mod.rs")),
    ];
    for node in &cluster.nodes {
        for rule in &rules {
            let () = node.run_command(&format!("{rule} {addition}")).await;
        }
    }
    let store = RedisStore::new(&cluster.url_of("app:password@")).unwrap();
    store.ping().await.unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    drop(store.lease("alice").await.unwrap());
    let server = with_accounts(TestServer::builder(), 1).start();
    let account = Account::new(account_name(0), account_login(&server, 0).build().unwrap());
    let _worker = AuthWorker::builder(&cluster.url_of("auth:password@"), "catalog").account(account).build().unwrap();
    let pool = RedisPool::builder(&cluster.url_of("worker:password@"), "catalog").build().unwrap();
    until("the account serves", async || pool.status().await.is_ok_and(|status| status.active == 1)).await;
    drop(pool.lease().within(SECOND * 20).await.unwrap());
    for node in &cluster.nodes {
        let denied: Vec<Value> = node.run_command("ACL LOG").await;
        // The `redis` crate tells its name to each node of a cluster, and goes on if it may not.
        let others: Vec<_> = denied.iter().filter(|denial| !format!("{denial:?}").contains("client|setinfo")).collect();
        assert!(others.is_empty(), "{others:?}");
    }
}

/// A slot on its way from one master to another, as `redis-cli --cluster reshard` does it.
struct SlotMove<'a> {
    cluster: &'a RedisCluster,
    from: &'a RedisServer,
    to: &'a RedisServer,
    to_id: String,
    slot: u32,
}

impl<'a> SlotMove<'a> {
    /// Begins with the slot of `key`.
    async fn begin(cluster: &'a RedisCluster, key: &str) -> Self {
        let from = cluster.master_of(key).await;
        let (from, to) = (&cluster.nodes[from], &cluster.nodes[(from + 1) % 3]);
        let slot: u32 = from.run_command(&format!("CLUSTER KEYSLOT {key}")).await;
        let (from_id, to_id) = (node_id(from).await, node_id(to).await);
        let () = to.run_command(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}")).await;
        let () = from.run_command(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}")).await;
        Self { cluster, from, to, to_id, slot }
    }

    /// Takes one key along.
    async fn take(&self, key: &str) {
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(self.to.port).arg(key).arg(0).arg(5000);
        self.from.query::<()>(&migrate).await;
    }

    async fn end(self) {
        for node in &self.cluster.nodes {
            let () = node.run_command(&format!("CLUSTER SETSLOT {} NODE {}", self.slot, self.to_id)).await;
        }
    }
}

async fn node_id(node: &RedisServer) -> String {
    node.run_command("CLUSTER MYID").await
}

#[tokio::test]
async fn a_node_that_was_taken_out_of_the_cluster_is_not_listened_to_any_more() {
    const CHANNEL: &str = "jwt-refresh:{alice}:saved";
    let cluster = RedisCluster::start(1).await;
    let listens = async |node: &RedisServer| {
        !node.run_command::<Vec<String>>(&format!("PUBSUB CHANNELS {CHANNEL}")).await.is_empty()
    };
    // A replica can be taken out at any time. Which node is listened to is drawn by lot.
    let (mut stores, mut replica) = (Vec::new(), None);
    while replica.is_none() {
        let store = RedisStore::new(&cluster.url()).unwrap();
        assert_eq!(store.load("alice").await.unwrap(), None);
        let waiter = tokio::spawn({
            let store = store.clone();
            async move { store.changed("alice", 0).await }
        });
        until("it listens", async || cluster.has_subscriber(CHANNEL).await).await;
        for (number, node) in cluster.nodes.iter().enumerate() {
            if listens(node).await && node.info("role").await == "slave" {
                replica = Some(number);
            }
        }
        if replica.is_none() {
            waiter.abort();
            drop(store);
            until("nobody listens", async || !cluster.has_subscriber(CHANNEL).await).await;
        } else {
            stores.push(store);
        }
    }
    // As `redis-cli --cluster del-node` does. Its connections stay open.
    let removed = &cluster.nodes[replica.unwrap()];
    let id = node_id(removed).await;
    for node in cluster.nodes.iter().filter(|node| node.port != removed.port) {
        let () = node.run_command(&format!("CLUSTER FORGET {id}")).await;
    }
    let () = removed.run_command("CLUSTER RESET SOFT").await;
    until("another node is listened to", async || {
        for node in cluster.nodes.iter().filter(|node| node.port != removed.port) {
            if listens(node).await {
                return true;
            }
        }
        false
    })
    .await;
    assert!(!listens(removed).await);
}

#[tokio::test]
async fn while_an_account_moves_to_another_master_the_documented_rule_is_enough() {
    const ENTRY: &str = "jwt-refresh:{alice}:entry";
    let cluster = RedisCluster::start(0).await;
    let source = include_str!("../../jwt-refresh-core/src/store/redis/mod.rs");
    let rule = format!("{} {}", access_rule(source), quoted_after(source, CLUSTER_RIGHTS));
    for node in &cluster.nodes {
        let () = node.run_command(&rule).await;
    }
    let store = RedisStore::new(&cluster.url_of("app:password@")).unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    let moving = SlotMove::begin(&cluster, ENTRY).await;
    assert_eq!(store.load("alice").await.expect("read where it is"), Some(entry(1, "x")));
    moving.take(ENTRY).await;
    assert_eq!(store.load("alice").await.expect("read where it is by now"), Some(entry(1, "x")));

    store.save("alice", &entry(2, "y")).await.expect("sent to where the entry is by now");
    drop(store.lease("alice").await.expect("a lease that is not there is asked for where it will be"));
    moving.end().await;
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(2, "y")));
}

#[tokio::test]
async fn a_wrong_password_of_a_cluster_is_a_mistake_of_the_user_and_not_named() {
    let cluster = RedisCluster::start(0).await;
    for node in &cluster.nodes {
        let () = node.run_command("ACL SETUSER ursula on >hunter2 nocommands").await;
    }
    for user in ["ursula:wrong-hunter2@", ":hunter2@", "ursula:hunter2@"] {
        let store = RedisStore::new(&cluster.url_of(user)).unwrap();
        let error = store.load("alice").await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Configuration, "{user}: {error}");
        let shown = format!("{error} {error:?} {store:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("ursula"), "{shown}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_master_that_stands_still_slows_no_account_of_another() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    // Nobody takes the place of the master within this test.
    let cluster = RedisCluster::with_node_timeout(0, MINUTE).await;
    let store = RedisStore::builder(&cluster.url()).timeout(TIMEOUT).connect_timeout(TIMEOUT).build().unwrap();
    let mut accounts = Vec::new();
    for account in (0..20).map(|number| format!("account-{number}")) {
        store.save(&account, &entry(1, "x")).await.unwrap();
        accounts.push((cluster.master_of(&format!("jwt-refresh:{{{account}}}:entry")).await, account));
    }
    let (still, of_still) = accounts[0].clone();
    let (_, other) = accounts.into_iter().find(|(master, _)| *master != still).unwrap();
    cluster.nodes[still].pause();
    let waiter = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..2 {
                assert_eq!(kind(store.load(&of_still).await), Some(StoreErrorKind::Unavailable));
            }
        }
    });
    let (machine, mut slowest) = (Machine::watch(), Duration::ZERO);
    while !waiter.is_finished() {
        let begun = Instant::now();
        store.load(&other).await.unwrap();
        slowest = slowest.max(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    waiter.await.unwrap();
    // To connect to all nodes takes half of the time-out.
    machine.assert_took(slowest, TIMEOUT / 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_in_a_cluster_holds_its_limits_and_goes_on_when_its_master_dies() {
    let mut cluster = RedisCluster::start(1).await;
    let url = cluster.url();
    let die = async || {
        let master = cluster.master_of("jwt-refresh:{catalog}:fleet:state").await;
        cluster.nodes[master].stop();
        until("a replica is promoted", async || cluster.masters().await == 3).await;
    };
    fleet_goes_on(&url, die).await;
}

#[tokio::test]
async fn a_store_in_a_cluster_goes_on_when_a_master_dies() {
    let mut cluster = RedisCluster::start(1).await;
    let store = RedisStore::new(&cluster.url()).unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    let master = cluster.master_of("jwt-refresh:{alice}:entry").await;
    // An acknowledged write may still be on its way to the replica.
    until("the replica has it", async || cluster.nodes_with_keys().await == 2).await;
    let hasty = with_short_timeouts(&cluster.url()).build().unwrap();
    until("it is connected", async || hasty.load("alice").await.is_ok()).await;
    cluster.nodes[master].stop();
    // Sooner than a replica is promoted.
    assert_eq!(kind(hasty.load("alice").await), Some(StoreErrorKind::Unavailable), "no node has it yet");
    until("a replica serves", async || store.load("alice").await.is_ok()).await;
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(1, "x")));
    store.save("alice", &entry(2, "y")).await.unwrap();
    let (waiter, other) = (store.clone(), RedisStore::new(&cluster.url()).unwrap());
    let waiter = tokio::spawn(async move { waiter.changed("alice", 2).await });
    other.save("alice", &entry(3, "z")).await.unwrap();
    waiter.await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn while_a_master_stands_still_requests_fail_in_time_until_a_replica_takes_over() {
    let cluster = RedisCluster::start(1).await;
    let store = with_short_timeouts(&cluster.url()).build().unwrap();
    until("all nodes are connected to", async || store.load("alice").await.is_ok()).await;
    RedisStore::new(&cluster.url()).unwrap().save("alice", &entry(1, "x")).await.unwrap();
    let master = cluster.master_of("jwt-refresh:{alice}:entry").await;
    until("the replica has it", async || cluster.nodes_with_keys().await == 2).await;
    cluster.nodes[master].pause();
    let (machine, mut slowest) = (Machine::watch(), Duration::ZERO);
    until("a replica serves", async || {
        let begun = Instant::now();
        let loaded = store.load("alice").await;
        slowest = slowest.max(begun.elapsed());
        loaded.is_ok_and(|found| found == Some(entry(1, "x")))
    })
    .await;
    machine.assert_took(slowest, SHORT_TIMEOUT);
    cluster.nodes[master].resume();
    until("it is written", async || {
        let _ = store.save("alice", &entry(2, "y")).await;
        store.load("alice").await.is_ok_and(|found| found == Some(entry(2, "y")))
    })
    .await;
    until("the former master has become a replica", async || cluster.nodes[master].info("role").await == "slave").await;
    until("it is read", async || store.load("alice").await.is_ok_and(|found| found == Some(entry(2, "y")))).await;
}
