//! A Redis Cluster on loopback for one test.

use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;

use super::{RedisServer, TlsFiles, until};

/// Three masters, each with as many replicas as was asked for. They end with the test.
pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<RedisServer>,
    scheme: &'static str,
}

/// How long the nodes wait for one that does not answer until they take it for dead.
const NODE_TIMEOUT: Duration = Duration::from_millis(1500);

impl RedisCluster {
    pub(crate) async fn start(replicas: usize) -> Self {
        Self::with(replicas, NODE_TIMEOUT, None).await
    }

    /// With TLS between the nodes and with their clients.
    pub(crate) async fn with_tls(replicas: usize, tls: &TlsFiles) -> Self {
        Self::with(replicas, NODE_TIMEOUT, Some(tls)).await
    }

    /// With nodes that take one which does not answer for dead after `timeout`.
    pub(crate) async fn with_node_timeout(replicas: usize, timeout: Duration) -> Self {
        Self::with(replicas, timeout, None).await
    }

    async fn with(replicas: usize, timeout: Duration, tls: Option<&TlsFiles>) -> Self {
        // Until all nodes have met, a busy machine would make one that is slow pass for dead.
        let options =
            ["--cluster-enabled", "yes", "--cluster-node-timeout", "60000", "--repl-diskless-sync-delay", "0"];
        let nodes = join_all((0..3 * (1 + replicas)).map(|_| RedisServer::cluster_node(tls, &options))).await;
        let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.reached_at()));
        let created = Command::new("redis-cli")
            .args(tls.map(TlsFiles::redis_cli_options).into_iter().flatten())
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"])
            .output()
            .expect("the tests need redis-cli: see scripts/test");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        let cluster = Self { nodes, scheme: if tls.is_some() { "rediss" } else { "redis" } };
        cluster.is_well(replicas).await;
        for node in &cluster.nodes {
            let set = format!("CONFIG SET cluster-node-timeout {}", timeout.as_millis());
            let () = node.run_command(&set).await;
        }
        cluster
    }

    /// Waits until each node sees all slots served, and each master has its replicas.
    async fn is_well(&self, replicas: usize) {
        for node in &self.nodes {
            until("the node sees all slots served", async || {
                node.run_command::<String>("CLUSTER INFO").await.contains("cluster_state:ok")
            })
            .await;
            until("the master has its replicas", async || {
                node.info("role").await != "master" || node.info("connected_slaves").await == replicas.to_string()
            })
            .await;
        }
    }

    /// A URL that names all nodes but the first by parameters.
    pub(crate) fn url(&self) -> String {
        self.url_of("")
    }

    /// The same with a user, written `name:password@`.
    pub(crate) fn url_of(&self, user: &str) -> String {
        let others: Vec<_> =
            self.nodes[1..].iter().map(|node| format!("node=127.0.0.1:{}", node.reached_at())).collect();
        format!("{}-cluster://{user}127.0.0.1:{}?{}", self.scheme, self.nodes[0].reached_at(), others.join("&"))
    }

    /// The number of the master that has the key.
    pub(crate) async fn master_of(&self, key: &str) -> usize {
        for (number, node) in self.nodes.iter().enumerate() {
            let is_there = node.run_command::<Vec<String>>("KEYS *").await.iter().any(|held| held == key);
            if is_there && node.info("role").await == "master" {
                return number;
            }
        }
        panic!("no master has {key:?}");
    }

    /// Whether one of the nodes has a subscriber of the channel.
    pub(crate) async fn has_subscriber(&self, channel: &str) -> bool {
        for node in &self.nodes {
            if !node.run_command::<Vec<String>>(&format!("PUBSUB CHANNELS {channel}")).await.is_empty() {
                return true;
            }
        }
        false
    }

    /// How many of the nodes that run are masters.
    pub(crate) async fn masters(&self) -> usize {
        let mut count = 0;
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            count += usize::from(node.info("role").await == "master");
        }
        count
    }

    /// How many nodes have keys, masters and replicas.
    pub(crate) async fn nodes_with_keys(&self) -> usize {
        let mut count = 0;
        for node in &self.nodes {
            count += usize::from(node.run_command::<u32>("DBSIZE").await > 0);
        }
        count
    }
}
