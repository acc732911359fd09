//! TLS: with each kind of Redis, only servers whose certificate is trusted are used, and an error
//! says what is wrong with the certificate or the URL.

use jwt_refresh::pool::{Account, AuthWorker, RedisPool};
use jwt_refresh::store::{RedisStore, StoreError, StoreErrorKind, TokenStore};
use jwt_refresh_testkit::TestServer;
use jwt_refresh_testkit::conformance::check;

#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
use crate::fail_over::fleet_goes_on;
#[cfg(feature = "redis-cluster")]
use crate::support::RedisCluster;
use crate::support::{
    Authority, Machine, RedisServer, SECOND, TlsFiles, account_login, account_name, child_command, entry, is_served,
    orders, until, with_accounts,
};
#[cfg(feature = "redis-sentinel")]
use crate::support::{RedisSentinel, SetLayout};

/// Runs a test of this module in a process that trusts an authority of its own. Whom a process
/// trusts is in its environment.
fn passes_where_the_authority_is_trusted(test: &str) {
    passes_where_it_is_trusted(&Authority::new(), test);
}

fn passes_where_it_is_trusted(authority: &Authority, test: &str) {
    let child = authority.trusting_child(&format!("tls::{test}")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{out}{err}");
    print!("{out}");
}

/// The files of the authority that this process trusts, if it is a child process.
fn trusted() -> Option<TlsFiles> {
    orders().map(|orders| TlsFiles::of_orders(&orders))
}

fn tls_url(server: &RedisServer) -> String {
    format!("rediss://127.0.0.1:{}", server.reached_at())
}

/// What a store says that cannot be used.
async fn refusal(url: &str) -> StoreError {
    RedisStore::new(url).unwrap().load("alice").await.expect_err(url)
}

/// Asserts that an error comes within the store's time-out, and says `words`.
async fn is_refused(url: &str, words: &[&str]) -> StoreError {
    let mut last = None;
    // On a busy machine the server may not answer in time.
    until("the server has answered", async || {
        let (machine, begun) = (Machine::watch(), std::time::Instant::now());
        let error = refusal(url).await;
        machine.assert_took(begun.elapsed(), SECOND * 2);
        let says = error.to_string();
        let is_answer = words.iter().all(|words| says.contains(words)) || !says.contains("timed out");
        last = Some(error);
        is_answer
    })
    .await;
    let error = last.unwrap();
    for words in words {
        assert!(error.to_string().contains(words), "{url}: {error}");
    }
    error
}

/// Asserts that a fleet gives out tokens, with these users for each role.
async fn fleet_serves(auth_url: &str, worker_url: &str) {
    let server = with_accounts(TestServer::builder(), 1).start();
    let account = Account::new(account_name(0), account_login(&server, 0).build().unwrap());
    let _worker = AuthWorker::builder(auth_url, "catalog").account(account).build().unwrap();
    let pool = RedisPool::builder(worker_url, "catalog").build().unwrap();
    until("the account serves", async || pool.status().await.is_ok_and(|status| status.active == 1)).await;
    let lease = pool.lease().within(SECOND * 20).await.unwrap();
    assert!(is_served(&server, lease.token()).await);
}

#[tokio::test]
async fn a_certificate_of_an_authority_that_is_not_trusted_is_refused_and_named() {
    let authority = Authority::new();
    let server = RedisServer::with_tls(Some(&authority.files()), &[]).await;
    let error = is_refused(&tls_url(&server), &["certificate: UnknownIssuer", "`SSL_CERT_FILE`"]).await;
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    // A file that is not there is named.
    let child =
        child_command("tls::child_has_no_authority", &tls_url(&server)).env("SSL_CERT_FILE", "/none.pem").output();
    let child = child.unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

#[tokio::test]
#[ignore = "runs as a child process of other tests"]
async fn child_has_no_authority() {
    let Some(url) = orders() else { return };
    is_refused(&url, &["/none.pem"]).await;
}

#[test]
fn a_store_and_a_fleet_use_one_node_whose_authority_is_trusted() {
    passes_where_the_authority_is_trusted("child_uses_one_node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as a child process of other tests"]
async fn child_uses_one_node() {
    let Some(files) = trusted() else { return };
    let server = RedisServer::with_tls(Some(&files), &[]).await;
    let url = tls_url(&server);
    check(async || RedisStore::new(&url).unwrap()).await;
    fleet_serves(&url, &url).await;
    RedisStore::new(&url.replace("rediss", "valkeys")).unwrap().ping().await.unwrap();
    assert!(server.run_command::<u32>("DBSIZE").await > 0);
}

#[test]
fn users_with_the_documented_rules_are_all_that_is_needed_with_tls() {
    passes_where_the_authority_is_trusted("child_has_users");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as a child process of other tests"]
async fn child_has_users() {
    let Some(files) = trusted() else { return };
    let server = RedisServer::with_tls(Some(&files), &[]).await;
    for source in [
        include_str!("../../jwt-refresh-core/src/store/redis/mod.rs"),
        include_str!("../../jwt-refresh-core/src/pool/fleet/worker.rs"),
        include_str!("../../jwt-refresh-core/src/pool/fleet/mod.rs"),
    ] {
        let () = server.run_command(&crate::access_rule(source)).await;
    }
    let url = |user: &str| tls_url(&server).replace("://", &format!("://{user}@"));
    let store = RedisStore::new(&url("app:password")).unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    fleet_serves(&url("auth:password"), &url("worker:password")).await;
    let denied: Vec<redis::Value> = server.run_command("ACL LOG").await;
    assert!(denied.is_empty(), "{denied:?}");
    let error = is_refused(&url("app:hunter2"), &["refused the user or the password"]).await;
    assert_eq!(error.kind(), StoreErrorKind::Configuration);
}

#[test]
fn an_error_says_what_is_wrong_with_the_certificate_or_the_url() {
    passes_where_the_authority_is_trusted("child_is_refused");
}

#[tokio::test]
#[ignore = "runs as a child process of other tests"]
async fn child_is_refused() {
    const TO_PLAIN: &str = "not for TLS, the URL has to begin with `redis`";
    const TO_TLS: &str = "for TLS, the URL has to begin with `rediss`";
    const NAME: &[&str] = &["certificate not valid for name \"localhost\"", "as its certificate does"];
    let Some(files) = trusted() else { return };
    let server = RedisServer::with_tls(Some(&files), &[]).await;
    let (plain, tls) = (server.port, server.reached_at());
    is_refused(&format!("rediss://127.0.0.1:{plain}"), &[TO_PLAIN]).await;
    is_refused(&format!("redis://127.0.0.1:{tls}"), &[TO_TLS]).await;
    is_refused(&format!("rediss://localhost:{tls}"), NAME).await;
    #[cfg(feature = "redis-cluster")]
    {
        is_refused(&format!("rediss-cluster://127.0.0.1:{plain}"), &[TO_PLAIN]).await;
        is_refused(&format!("redis-cluster://127.0.0.1:{tls}"), &[TO_TLS]).await;
        is_refused(&format!("rediss-cluster://localhost:{tls}"), NAME).await;
        let error = is_refused(&format!("rediss-cluster://127.0.0.1:{tls}"), &["is no node of a cluster"]).await;
        assert_eq!(error.kind(), StoreErrorKind::Configuration);
    }
    #[cfg(feature = "redis-sentinel")]
    {
        let service = "?sentinelServiceName=main";
        is_refused(&format!("rediss-sentinel://127.0.0.1:{plain}{service}"), &[TO_PLAIN]).await;
        is_refused(&format!("redis-sentinel://127.0.0.1:{tls}{service}"), &[TO_TLS]).await;
        is_refused(&format!("rediss-sentinel://localhost:{tls}{service}"), NAME).await;
        let error = is_refused(&format!("rediss-sentinel://127.0.0.1:{tls}{service}"), &["is no sentinel"]).await;
        assert_eq!(error.kind(), StoreErrorKind::Configuration);
    }
}

#[test]
fn a_server_that_asks_for_a_certificate_of_its_clients_is_said_to() {
    passes_where_the_authority_is_trusted("child_has_no_certificate");
}

#[tokio::test]
#[ignore = "runs as a child process of other tests"]
async fn child_has_no_certificate() {
    let Some(files) = trusted() else { return };
    let server = RedisServer::with_tls(Some(&files), &["--tls-auth-clients", "yes"]).await;
    let urls = [
        tls_url(&server),
        #[cfg(feature = "redis-cluster")]
        tls_url(&server).replace("rediss", "rediss-cluster"),
    ];
    for url in urls {
        let error = is_refused(&url, &["CertificateRequired", "`tls-auth-clients no`"]).await;
        assert_eq!(error.kind(), StoreErrorKind::Configuration);
    }
}

#[cfg(feature = "redis-cluster")]
async fn is_told_of_changes(cluster: &RedisCluster, reader: &RedisStore, writer: &RedisStore, account: &str) {
    let waiter = tokio::spawn({
        let (store, account) = (reader.clone(), account.to_owned());
        async move { tokio::time::timeout(crate::SOON, store.changed(&account, 0)).await }
    });
    let channel = format!("jwt-refresh:{{{account}}}:saved");
    until("the waiter has subscribed", async || cluster.has_subscriber(&channel).await).await;
    writer.save(account, &entry(1, "x")).await.unwrap();
    waiter.await.unwrap().expect("told of the change");
}

#[cfg(feature = "redis-cluster")]
#[test]
fn a_store_and_a_fleet_use_a_cluster_with_tls_and_go_on_when_its_master_dies() {
    passes_where_the_authority_is_trusted("child_uses_a_cluster");
}

#[cfg(feature = "redis-cluster")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as a child process of other tests"]
async fn child_uses_a_cluster() {
    let Some(files) = trusted() else { return };
    let mut cluster = RedisCluster::with_tls(1, &files).await;
    let url = cluster.url();
    assert!(url.starts_with("rediss-cluster://"), "{url}");
    check(async || RedisStore::new(&url).unwrap()).await;
    let [reader, writer] = [0, 1].map(|_| RedisStore::new(&url).unwrap());
    for account in (0..6).map(|number| format!("account-{number}")) {
        is_told_of_changes(&cluster, &reader, &writer, &account).await;
    }
    assert_eq!(cluster.nodes_with_keys().await, 6);
    fleet_goes_on(&url, async || {
        let master = cluster.master_of("jwt-refresh:{catalog}:fleet:state").await;
        cluster.nodes[master].stop();
        until("a replica is promoted", async || cluster.masters().await == 3).await;
    })
    .await;
}

/// As managed clusters do it, whose certificates have no addresses.
#[cfg(feature = "redis-cluster")]
#[test]
fn a_cluster_whose_certificates_are_for_names_is_used_by_the_names_that_it_announces() {
    passes_where_it_is_trusted(&Authority::with_server("localhost"), "child_uses_a_cluster_of_names");
}

#[cfg(feature = "redis-cluster")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as a child process of other tests"]
async fn child_uses_a_cluster_of_names() {
    let Some(files) = trusted() else { return };
    let cluster = RedisCluster::with_tls(0, &files).await;
    let url = format!("rediss-cluster://localhost:{}", cluster.nodes[0].reached_at());
    is_refused(&url, &["has a node at 127.0.0.1:", "certificate not valid for name"]).await;
    for node in &cluster.nodes {
        let () = node.run_command("CONFIG SET cluster-announce-hostname localhost").await;
        let () = node.run_command("CONFIG SET cluster-preferred-endpoint-type hostname").await;
    }
    for node in &cluster.nodes {
        until("the node knows all names", async || {
            node.run_command::<String>("CLUSTER NODES").await.matches(",localhost").count() == 3
        })
        .await;
    }
    let [reader, writer] = [0, 1].map(|_| RedisStore::new(&url).unwrap());
    for account in (0..6).map(|number| format!("account-{number}")) {
        is_told_of_changes(&cluster, &reader, &writer, &account).await;
    }
    assert_eq!(cluster.nodes_with_keys().await, 3);
    fleet_serves(&url, &url).await;
}

#[cfg(feature = "redis-sentinel")]
#[test]
fn a_store_and_a_fleet_use_sentinels_and_servers_with_tls_and_go_on_when_the_master_dies() {
    passes_where_the_authority_is_trusted("child_uses_sentinels");
}

#[cfg(feature = "redis-sentinel")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as a child process of other tests"]
async fn child_uses_sentinels() {
    let Some(files) = trusted() else { return };
    let tls = Some(&files);
    let layout = SetLayout { sentinels: 3, tls_of_servers: tls, tls_of_sentinels: tls };
    let mut set = RedisSentinel::with(layout).await;
    let url = set.url();
    assert!(url.starts_with("rediss-sentinel://"), "{url}");
    check(async || RedisStore::new(&url).unwrap()).await;
    fleet_goes_on(&url, async || {
        set.master.stop();
        set.promoted().await;
    })
    .await;
}

#[cfg(feature = "redis-sentinel")]
#[test]
fn where_only_sentinels_or_only_servers_have_tls_the_error_says_which_has_none() {
    passes_where_the_authority_is_trusted("child_uses_a_set_that_has_tls_in_part");
}

#[cfg(feature = "redis-sentinel")]
#[tokio::test]
#[ignore = "runs as a child process of other tests"]
async fn child_uses_a_set_that_has_tls_in_part() {
    let Some(files) = trusted() else { return };
    let (tls, with_tls) = (Some(&files), SetLayout { sentinels: 1, ..SetLayout::default() });
    let of_sentinels = RedisSentinel::with(SetLayout { tls_of_sentinels: tls, ..with_tls }).await;
    let master = format!("has its master at 127.0.0.1:{}, which", of_sentinels.master.port);
    is_refused(&of_sentinels.url(), &[&master, "not for TLS, the URL has to begin with `redis`"]).await;

    let of_servers = RedisSentinel::with(SetLayout { sentinels: 1, tls_of_servers: tls, tls_of_sentinels: None }).await;
    let master = format!("has its master at 127.0.0.1:{}, which", of_servers.master.reached_at());
    is_refused(&of_servers.url(), &[&master, "for TLS, the URL has to begin with `rediss`"]).await;
    let with_tls = of_servers.url().replace("redis-", "rediss-");
    is_refused(&with_tls, &["not for TLS, the URL has to begin with `redis`"]).await;
}
