//! A client for a URL: of one node, of a cluster, or of the master that sentinels name.

#[cfg(feature = "redis-cluster")]
use std::error::Error as _;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, RedisError, Value};

use super::address::{RedisAddress, Topology};
#[cfg(feature = "redis-cluster")]
use super::cluster::{ClusterNodes, OpenCluster, is_none_of, undecided};
#[cfg(feature = "redis-sentinel")]
use super::sentinel::Sentinels;
use crate::store::{StoreError, StoreErrorKind};

/// Opens connections. It has none itself.
pub(crate) enum RedisClient {
    Node(Client),
    #[cfg(feature = "redis-cluster")]
    Cluster(ClusterNodes),
    #[cfg(feature = "redis-sentinel")]
    Sentinel(Sentinels),
}

/// An open connection for commands.
#[derive(Clone)]
pub(super) enum OpenClient {
    Node(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(OpenCluster),
}

/// Returns the client for `url`, which has no connection yet.
///
/// Errors of the `redis` crate quote the URL, which holds the password, so they are not passed on.
pub(crate) fn client(url: &str) -> Result<RedisClient, StoreError> {
    let unusable = || StoreError::new(StoreErrorKind::Configuration, "the Redis store's URL cannot be used");
    let RedisAddress { nodes, topology } = RedisAddress::parse(url)?;
    #[cfg(feature = "redis-tls")]
    if nodes.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. })) {
        install_crypto_provider();
    }
    let client = match topology {
        Topology::Node => nodes.into_iter().next().and_then(|node| Client::open(node).ok()).map(RedisClient::Node),
        #[cfg(feature = "redis-cluster")]
        Topology::Cluster => ClusterNodes::new(nodes).map(RedisClient::Cluster),
        #[cfg(feature = "redis-sentinel")]
        Topology::Sentinel { master, user } => Sentinels::new(nodes, master, &user).map(RedisClient::Sentinel),
    };
    client.ok_or_else(unusable)
}

/// Makes `aws-lc-rs` the provider of rustls, unless the program has chosen one. Without a choice
/// rustls panics in a program that is built with two providers.
#[cfg(feature = "redis-tls")]
fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread has installed a provider meanwhile.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

impl RedisClient {
    /// Returns what errors name: hosts and ports, and neither user nor password.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Node(client) => client.get_connection_info().addr().to_string(),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(nodes) => nodes.name(),
            #[cfg(feature = "redis-sentinel")]
            Self::Sentinel(sentinels) => sentinels.name(),
        }
    }

    /// Opens a connection for commands. `timeout` is that of a command, and `connect_timeout` that
    /// of connecting to one node.
    #[cfg_attr(not(feature = "redis-cluster"), expect(unused_variables))]
    pub(super) async fn open(&self, timeout: Duration, connect_timeout: Duration) -> Result<OpenClient, RedisError> {
        match self {
            Self::Node(client) => open_node(client, connect_timeout).await,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(nodes) => match nodes.open(timeout, connect_timeout).await {
                Ok(open) => Ok(OpenClient::Cluster(open)),
                Err(error) if tells_no_cause(&error) => Err(cause(nodes, connect_timeout).await.unwrap_or(error)),
                Err(error) => Err(error),
            },
            #[cfg(feature = "redis-sentinel")]
            Self::Sentinel(sentinels) => open_node(&sentinels.master().await?, connect_timeout).await,
        }
    }

    /// Whether there are nodes that can be taken out while the others go on.
    pub(super) fn is_cluster(&self) -> bool {
        match self {
            Self::Node(_) => false,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(_) => true,
            #[cfg(feature = "redis-sentinel")]
            Self::Sentinel(_) => false,
        }
    }

    /// Opens a connection for subscriptions, and returns the node that it is to. `open` is that for
    /// commands, if there is one, which may be asked for a node for a quarter of `timeout`.
    #[cfg_attr(not(feature = "redis-cluster"), expect(unused_variables))]
    pub(super) async fn open_pubsub(
        &self,
        open: Option<OpenClient>,
        timeout: Duration,
    ) -> Result<(PubSub, ConnectionAddr), RedisError> {
        let client = match self {
            Self::Node(client) => client.clone(),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(nodes) => {
                let open = open.and_then(|open| if let OpenClient::Cluster(open) = open { Some(open) } else { None });
                nodes.any(open, timeout / 4).await?
            }
            #[cfg(feature = "redis-sentinel")]
            Self::Sentinel(sentinels) => sentinels.master().await?,
        };
        Ok((client.get_async_pubsub().await?, client.get_connection_info().addr().clone()))
    }
}

async fn open_node(client: &Client, connect_timeout: Duration) -> Result<OpenClient, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect_timeout))
        // The deadline of a command covers connecting and answering together.
        .set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await.map(OpenClient::Node)
}

/// Returns whether an error sums up those of several nodes: it has their words, and no kinds.
#[cfg(feature = "redis-cluster")]
fn tells_no_cause(error: &RedisError) -> bool {
    error.is_io_error() && error.source().is_none()
}

/// Returns why no node of a cluster can be connected to: what a node has said, or else why there
/// was no answer. `None` if one can be by now.
#[cfg(feature = "redis-cluster")]
async fn cause(nodes: &ClusterNodes, connect_timeout: Duration) -> Option<RedisError> {
    let mut cause = None;
    for node in nodes.named() {
        match open_node(&Client::open(node.clone()).ok()?, connect_timeout).await {
            Ok(_) => return None,
            Err(error) if !error.is_io_error() => return Some(error),
            Err(error) => cause = Some(error),
        }
    }
    cause
}

impl OpenClient {
    /// Whether a node that does not answer says nothing of others.
    pub(super) fn has_several_nodes(&self) -> bool {
        match self {
            Self::Node(_) => false,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(_) => true,
        }
    }

    /// Returns whether the node at `address` was taken out of the cluster. If no other says so
    /// within `time`, it was not.
    #[cfg_attr(not(feature = "redis-cluster"), expect(unused_variables, clippy::unused_async))]
    pub(super) async fn has_lost(self, address: &ConnectionAddr, time: Duration) -> bool {
        match self {
            Self::Node(_) => false,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => is_none_of(connection, address, time).await,
        }
    }

    pub(super) async fn query(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::Node(connection) => command.query_async(connection).await,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => command.query_async(connection).await.map_err(undecided),
        }
    }
}
