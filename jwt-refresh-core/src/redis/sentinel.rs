//! Sentinels, and the master that they name.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{Client, ConnectionAddr, ConnectionInfo, ErrorKind, RedisConnectionInfo, RedisError, TlsMode};

pub(crate) struct Sentinels {
    /// At least one.
    addresses: Vec<ConnectionInfo>,
    /// The name that they have for the master.
    service: String,
    /// User, password, database and TLS of the master.
    master: SentinelNodeConnectionInfo,
}

impl Sentinels {
    /// Returns the sentinels at `nodes`, whose settings are those of the master; their own user is
    /// `user`. `None` if they cannot be used.
    pub(super) fn new(nodes: Vec<ConnectionInfo>, service: String, user: &RedisConnectionInfo) -> Option<Self> {
        let first = nodes.first()?;
        let master = SentinelNodeConnectionInfo::default().set_redis_connection_info(first.redis_settings().clone());
        let is_tls = matches!(first.addr(), ConnectionAddr::TcpTls { .. });
        let master = if is_tls { master.set_tls_mode(TlsMode::Secure) } else { master };
        let addresses = nodes.into_iter().map(|node| node.set_redis_settings(user.clone())).collect();
        let sentinels = Self { addresses, service, master };
        sentinels.addresses.iter().all(|address| sentinels.client(address.clone()).is_ok()).then_some(sentinels)
    }

    pub(super) fn name(&self) -> String {
        let mut addresses: Vec<_> = self.addresses.iter().map(|sentinel| sentinel.addr().to_string()).collect();
        addresses.sort();
        format!("{} ({} of sentinels)", addresses.join(", "), self.service)
    }

    /// Asks all sentinels for the master, and each master that one names whether it is one. The
    /// first that is answers for all, so a sentinel that does not answer costs no time.
    pub(super) async fn master(&self) -> Result<Client, RedisError> {
        let mut clients = Vec::new();
        for address in &self.addresses {
            // A client that was kept would have connections that another runtime drives.
            clients.push(self.client(address.clone())?);
        }
        let mut lookups: FuturesUnordered<_> = clients.iter_mut().map(SentinelClient::async_get_client).collect();
        let mut cause = None;
        while let Some(found) = lookups.next().await {
            let Err(error) = found else { return found };
            if cause.as_ref().is_none_or(|known| telling(&error) > telling(known)) {
                cause = Some(error);
            }
        }
        Err(cause.unwrap_or_else(|| (ErrorKind::EmptySentinelList, "no sentinel is named").into()))
    }

    fn client(&self, address: ConnectionInfo) -> Result<SentinelClient, RedisError> {
        let (service, master) = (self.service.clone(), self.master.clone());
        SentinelClient::build(vec![address], service, Some(master), SentinelServerType::Master)
    }
}

/// Returns how much an error tells of why there is no master: what a node has said tells more than
/// that a sentinel knows of none, and that more than that another cannot be reached.
fn telling(error: &RedisError) -> u8 {
    match error.kind() {
        ErrorKind::Io => 0,
        ErrorKind::MasterNameNotFoundBySentinel => 1,
        _ => 2,
    }
}
