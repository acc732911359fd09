//! A client for a URL: of one node, of a cluster, or of the master that sentinels name.

#[cfg(feature = "redis-sentinel")]
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{Client, Cmd, ConnectionAddr, RedisError, Value};

use super::address::{RedisAddress, Topology};
#[cfg(feature = "redis-cluster")]
use super::cluster::{ClusterNodes, OpenCluster, is_none_of, undecided};
use super::failure::RedisFailure;
use super::node::open_node;
#[cfg(feature = "redis-sentinel")]
use super::sentinel::{OpenMaster, Sentinels};
use super::transport::RedisTransport;
use crate::store::{StoreError, StoreErrorKind};

/// Opens connections. It has none itself.
pub(crate) enum RedisClient {
    Node(Box<Client>),
    #[cfg(feature = "redis-cluster")]
    Cluster(ClusterNodes),
    #[cfg(feature = "redis-sentinel")]
    Sentinel(Box<Sentinels>),
}

/// An open connection for commands.
#[derive(Clone)]
pub(super) enum OpenClient {
    Node(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(OpenCluster),
    #[cfg(feature = "redis-sentinel")]
    Master(Arc<OpenMaster>),
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
        Topology::Node => nodes
            .into_iter()
            .next()
            .and_then(|node| Client::open(node).ok())
            .map(|client| RedisClient::Node(Box::new(client))),
        #[cfg(feature = "redis-cluster")]
        Topology::Cluster => ClusterNodes::new(nodes).map(RedisClient::Cluster),
        #[cfg(feature = "redis-sentinel")]
        Topology::Sentinel { master, user } => {
            Sentinels::new(nodes, master, &user).map(|sentinels| RedisClient::Sentinel(Box::new(sentinels)))
        }
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

    pub(super) fn transport(&self) -> RedisTransport {
        match self {
            Self::Node(client) => client.get_connection_info().addr().into(),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(nodes) => nodes.transport(),
            #[cfg(feature = "redis-sentinel")]
            Self::Sentinel(sentinels) => sentinels.transport(),
        }
    }

    /// Opens a connection for commands. `timeout` is that of a command, and `connect_timeout` that
    /// of connecting to one node.
    #[cfg_attr(not(feature = "redis-cluster"), expect(unused_variables))]
    pub(super) async fn open(&self, timeout: Duration, connect_timeout: Duration) -> Result<OpenClient, RedisFailure> {
        Ok(match self {
            Self::Node(client) => {
                OpenClient::Node(open_node(client.get_connection_info().clone(), connect_timeout).await?)
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(nodes) => OpenClient::Cluster(nodes.open(timeout, connect_timeout).await?),
            #[cfg(feature = "redis-sentinel")]
            Self::Sentinel(sentinels) => OpenClient::Master(Arc::new(sentinels.open(connect_timeout).await?)),
        })
    }

    /// Whether another node may take the place of one while that goes on.
    pub(super) fn has_successors(&self) -> bool {
        match self {
            Self::Node(_) => false,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(_) => true,
            #[cfg(feature = "redis-sentinel")]
            Self::Sentinel(_) => true,
        }
    }

    /// Returns whether another node is known to have taken the place of the one that `open` is to.
    /// If that is to be looked up, and nobody answers within `time`, it is not.
    #[cfg_attr(not(feature = "redis-sentinel"), expect(unused_variables, clippy::unused_async))]
    pub(super) async fn has_replaced(&self, open: &OpenClient, time: Duration) -> bool {
        match (self, open) {
            #[cfg(feature = "redis-sentinel")]
            (Self::Sentinel(sentinels), OpenClient::Master(master)) if master.is_due() => {
                sentinels.name_another(master, time).await
            }
            _ => false,
        }
    }

    /// Returns why a node cannot be connected to, if others tell.
    #[cfg_attr(not(feature = "redis-cluster"), expect(unused_variables, clippy::unused_async))]
    pub(super) async fn cause(&self, connect_timeout: Duration) -> Option<RedisFailure> {
        match self {
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(nodes) => nodes.cause(connect_timeout).await,
            _ => None,
        }
    }

    /// Opens a connection for subscriptions, and returns the node that it is to. `open` is that for
    /// commands, if there is one, which may be asked for a node for a quarter of `timeout`.
    #[cfg_attr(not(any(feature = "redis-cluster", feature = "redis-sentinel")), expect(unused_variables))]
    pub(super) async fn open_pubsub(
        &self,
        open: Option<OpenClient>,
        timeout: Duration,
    ) -> Result<(PubSub, ConnectionAddr), RedisFailure> {
        let client = match (self, open) {
            (Self::Node(client), _) => Client::clone(client),
            #[cfg(feature = "redis-cluster")]
            (Self::Cluster(nodes), Some(OpenClient::Cluster(open))) => nodes.any(Some(open), timeout / 4).await?,
            #[cfg(feature = "redis-cluster")]
            (Self::Cluster(nodes), _) => nodes.any(None, timeout / 4).await?,
            #[cfg(feature = "redis-sentinel")]
            (Self::Sentinel(_), Some(OpenClient::Master(open))) => Client::open(open.node.clone())?,
            #[cfg(feature = "redis-sentinel")]
            (Self::Sentinel(sentinels), _) => Client::open(sentinels.open(timeout / 2).await?.node)?,
        };
        Ok((client.get_async_pubsub().await?, client.get_connection_info().addr().clone()))
    }
}

impl OpenClient {
    /// Whether a node that does not answer says nothing of others.
    pub(super) fn has_several_nodes(&self) -> bool {
        match self {
            Self::Node(_) => false,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(_) => true,
            #[cfg(feature = "redis-sentinel")]
            Self::Master(_) => false,
        }
    }

    /// Whether somebody is to be asked if the node is still the one to be used.
    pub(super) fn is_due(&self) -> bool {
        match self {
            #[cfg(feature = "redis-sentinel")]
            Self::Master(master) => master.is_due(),
            _ => false,
        }
    }

    /// Returns whether the node at `address` was taken out of the cluster, or is another than the
    /// master. If no other node of a cluster says so within `time`, it was not.
    #[cfg_attr(not(feature = "redis-cluster"), expect(unused_variables, clippy::unused_async))]
    pub(super) async fn has_lost(self, address: &ConnectionAddr, time: Duration) -> bool {
        match self {
            Self::Node(_) => false,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => is_none_of(connection, address, time).await,
            #[cfg(feature = "redis-sentinel")]
            Self::Master(master) => !master.is_at(address),
        }
    }

    pub(super) async fn query(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::Node(connection) => command.query_async(connection).await,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => command.query_async(connection).await.map_err(undecided),
            #[cfg(feature = "redis-sentinel")]
            Self::Master(master) => command.query_async(&mut master.connection.clone()).await,
        }
    }
}
