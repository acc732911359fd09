//! One node: its address, and a connection to it.

use std::time::Duration;

#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
use redis::ConnectionAddr;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, RedisError};

/// Returns the node at another address that has the settings of `node`, TLS included.
#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
pub(super) fn node_like(node: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let address = match node.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    node.clone().set_addr(address)
}

pub(super) async fn open_node(
    node: ConnectionInfo,
    connect_timeout: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect_timeout))
        // The deadline of a command covers connecting and answering together.
        .set_response_timeout(None);
    Client::open(node)?.get_multiplexed_async_connection_with_config(&config).await
}
