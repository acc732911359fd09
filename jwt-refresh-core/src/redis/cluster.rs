//! The nodes of a Redis Cluster.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{Client, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::time::timeout;

use super::failure::RedisFailure;
use super::node::{node_like, open_node};
use super::transport::RedisTransport;

/// The shortest and the longest pause before a command is sent again that a node could not take, in
/// milliseconds.
const PAUSE: (u64, u64) = (25, 250);

/// Connections to the nodes of a cluster, for commands. Each command goes to the one that has its
/// keys.
pub(super) type OpenCluster = ClusterConnection;

/// The nodes that are asked for the others. At least one.
pub(crate) struct ClusterNodes(Vec<ConnectionInfo>);

impl ClusterNodes {
    /// Returns the nodes, or `None` if they cannot be those of a cluster.
    pub(super) fn new(nodes: Vec<ConnectionInfo>) -> Option<Self> {
        ClusterClientBuilder::new(nodes.clone()).build().is_ok().then_some(Self(nodes))
    }

    pub(super) fn name(&self) -> String {
        let mut addresses: Vec<_> = self.0.iter().map(|node| node.addr().to_string()).collect();
        addresses.sort();
        format!("{} (cluster)", addresses.join(", "))
    }

    pub(super) async fn open(&self, timeout: Duration, connect_timeout: Duration) -> Result<OpenCluster, RedisFailure> {
        // A node that does not answer costs half of the time-out, so there is time to ask another.
        let builder = ClusterClientBuilder::new(self.0.clone())
            .connection_timeout(connect_timeout.min(timeout / 2))
            .response_timeout(timeout / 2)
            .overall_response_timeout(None)
            // Its own pauses are longer than most time-outs.
            .min_retry_wait(PAUSE.0)
            .max_retry_wait(PAUSE.1);
        match builder.build()?.get_async_connection().await {
            Err(error) if tells_no_cause(&error) => Err(self.cause(connect_timeout).await.unwrap_or(error.into())),
            opened => Ok(opened?),
        }
    }

    /// Returns why a node cannot be connected to: what one has said, or else why there was no
    /// answer. `None` if all can be by now.
    pub(super) async fn cause(&self, connect_timeout: Duration) -> Option<RedisFailure> {
        let mut cause = None;
        for node in &self.0 {
            match ask_for_nodes(node, connect_timeout).await {
                Ok(others) => return self.cause_of(others, connect_timeout).await,
                Err(error) if !error.is_io_error() => return Some(error.into()),
                Err(error) => cause = Some(error.into()),
            }
        }
        cause
    }

    /// Returns why the first of these nodes that cannot be connected to cannot be.
    async fn cause_of(&self, nodes: BTreeSet<(String, u16)>, connect_timeout: Duration) -> Option<RedisFailure> {
        for (host, port) in nodes {
            let node = node_like(&self.0[0], host, port);
            if let Err(error) = open_node(node.clone(), connect_timeout).await {
                return Some(RedisFailure::from(error).of_node("a node", &node));
            }
        }
        None
    }

    pub(super) fn transport(&self) -> RedisTransport {
        self.0[0].addr().into()
    }

    /// Returns any node: each passes on all messages of the cluster. If connections are open, they
    /// tell which there are now, if they do so within `time`.
    pub(super) async fn any(&self, open: Option<OpenCluster>, time: Duration) -> Result<Client, RedisError> {
        let known = match open {
            Some(open) => addresses(open, time).await,
            None => Vec::new(),
        };
        let named = &self.0[fastrand::usize(..self.0.len())];
        if known.is_empty() {
            return Client::open(named.clone());
        }
        let (host, port) = known[fastrand::usize(..known.len())].clone();
        Client::open(node_like(named, host, port))
    }
}

/// Returns whether an error sums up those of several nodes: it has their words, and no kinds.
fn tells_no_cause(error: &RedisError) -> bool {
    error.is_io_error() && error.source().is_none()
}

/// Asks one node, over a connection of its own, for all that have slots. To have a connection is
/// not enough: a server may refuse a client after that.
async fn ask_for_nodes(
    node: &ConnectionInfo,
    connect_timeout: Duration,
) -> Result<BTreeSet<(String, u16)>, RedisError> {
    let mut connection = open_node(node.clone(), connect_timeout).await?;
    let answer: Value = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
    Ok(addresses_in(answer).into_iter().collect())
}

/// Returns whether a cluster says that none of its nodes is at `address`. If it says nothing within
/// `time`, it may be.
pub(super) async fn is_none_of(open: OpenCluster, address: &ConnectionAddr, time: Duration) -> bool {
    let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) = address else { return false };
    let known = addresses(open, time).await;
    !known.is_empty() && !known.iter().any(|(other, at)| (other, at) == (host, port))
}

/// Returns the addresses of a cluster's nodes, or none if it does not tell within `time`.
async fn addresses(mut cluster: OpenCluster, time: Duration) -> Vec<(String, u16)> {
    let command = redis::cmd("CLUSTER").arg("SLOTS").clone();
    // A master that has slots has not been taken out of the cluster.
    let route = RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary);
    let answer = timeout(time, cluster.route_command(command, route)).await;
    let Ok(Ok(answer)) = answer else { return Vec::new() };
    addresses_in(answer)
}

/// Returns the addresses in an answer to `CLUSTER SLOTS`.
fn addresses_in(answer: Value) -> Vec<(String, u16)> {
    let Value::Array(ranges) = answer else { return Vec::new() };
    let address = |node: Value| {
        let Value::Array(node) = node else { return None };
        let [Value::BulkString(host), Value::Int(port), ..] = &node[..] else { return None };
        let host = String::from_utf8(host.clone()).ok().filter(|host| !host.is_empty())?;
        Some((host, u16::try_from(*port).ok()?))
    };
    // A range is its first and its last slot, its master and the replicas.
    let nodes = ranges.into_iter().flat_map(|range| match range {
        Value::Array(range) => range.into_iter().skip(2).collect(),
        _ => Vec::new(),
    });
    nodes.filter_map(address).collect()
}

/// Returns the error of a command that its nodes have sent back and forth, which passes when they
/// agree. To a client of one node a redirection says that it is set up for the wrong Redis.
pub(super) fn undecided(error: RedisError) -> RedisError {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => {
            (ErrorKind::ClusterConnectionNotFound, "the nodes do not agree on who has the key").into()
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreErrorKind;

    fn kind(answer: &[u8]) -> StoreErrorKind {
        let error = redis::parse_redis_value(answer).unwrap().extract_error().unwrap_err();
        RedisFailure::from(undecided(error)).into_store_error("the cluster", RedisTransport::Plain).kind()
    }

    #[test]
    fn a_redirection_that_does_not_end_is_no_mistake_of_the_user() {
        assert_eq!(kind(b"-MOVED 3999 127.0.0.1:6381\r\n"), StoreErrorKind::Unavailable);
        assert_eq!(kind(b"-ASK 3999 127.0.0.1:6381\r\n"), StoreErrorKind::Unavailable);
        assert_eq!(kind(b"-CLUSTERDOWN The cluster is down\r\n"), StoreErrorKind::Unavailable);
        assert_eq!(kind(b"-NOPERM no permission\r\n"), StoreErrorKind::Configuration);
    }
}
