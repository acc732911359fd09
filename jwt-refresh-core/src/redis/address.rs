//! Where Redis is, as a URL says it.

#[cfg(feature = "redis-sentinel")]
use redis::RedisConnectionInfo;
use redis::{ConnectionInfo, IntoConnectionInfo};
#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
use url::Url;

use crate::store::{StoreError, StoreErrorKind};

/// The nodes that a URL names, and what they are.
#[derive(Debug)]
pub(super) struct RedisAddress {
    /// At least one. Of sentinels these are their addresses, with the user of the master.
    pub(super) nodes: Vec<ConnectionInfo>,
    pub(super) topology: Topology,
}

#[derive(Debug)]
pub(super) enum Topology {
    Node,
    #[cfg(feature = "redis-cluster")]
    Cluster,
    #[cfg(feature = "redis-sentinel")]
    Sentinel {
        master: String,
        /// The user of the sentinels themselves.
        user: Box<RedisConnectionInfo>,
    },
}

/// What a URL's query may say of several nodes. The names are those that other clients have, too.
#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
#[derive(Default)]
struct Query {
    nodes: Vec<String>,
    service: Option<String>,
    user: Option<String>,
    password: Option<String>,
}

impl RedisAddress {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let is_tls = scheme.starts_with("rediss") || scheme.starts_with("valkeys");
        if is_tls && cfg!(not(feature = "redis-tls")) {
            return Err(wrong("asks for TLS, which needs the feature `redis-tls`"));
        }
        if url.ends_with("#insecure") {
            return Err(wrong("asks for TLS that trusts everybody"));
        }
        match scheme.split_once('-') {
            None => Ok(Self { nodes: vec![node(url)?], topology: Topology::Node }),
            Some((base @ ("redis" | "rediss" | "valkey" | "valkeys"), "cluster")) => cluster(url, base),
            Some((base @ ("redis" | "rediss" | "valkey" | "valkeys"), "sentinel")) => sentinel(url, base),
            Some(_) => Err(malformed()),
        }
    }
}

#[cfg(not(feature = "redis-cluster"))]
fn cluster(_url: &str, _base: &str) -> Result<RedisAddress, StoreError> {
    Err(wrong("asks for a cluster, which needs the feature `redis-cluster`"))
}

#[cfg(feature = "redis-cluster")]
fn cluster(url: &str, base: &str) -> Result<RedisAddress, StoreError> {
    let (nodes, query) = nodes(url, base, 6379)?;
    if query.service.is_some() || query.user.is_some() || query.password.is_some() {
        return Err(wrong("says something of sentinels, and asks for a cluster"));
    }
    if nodes.iter().any(|node| node.redis_settings().db() != 0) {
        return Err(wrong("names a database, and a cluster has but one"));
    }
    Ok(RedisAddress { nodes, topology: Topology::Cluster })
}

#[cfg(not(feature = "redis-sentinel"))]
fn sentinel(_url: &str, _base: &str) -> Result<RedisAddress, StoreError> {
    Err(wrong("asks for sentinels, which needs the feature `redis-sentinel`"))
}

#[cfg(feature = "redis-sentinel")]
fn sentinel(url: &str, base: &str) -> Result<RedisAddress, StoreError> {
    let (nodes, query) = nodes(url, base, 26379)?;
    let master = query.service.filter(|service| !service.is_empty());
    let master = master.ok_or_else(|| wrong("names sentinels, and no `sentinelServiceName` for them to tell of"))?;
    let settings = RedisConnectionInfo::default().set_skip_set_lib_name();
    let settings = match query.user {
        Some(user) => settings.set_username(user),
        None => settings,
    };
    let settings = match query.password {
        Some(password) => settings.set_password(password),
        None => settings,
    };
    Ok(RedisAddress { nodes, topology: Topology::Sentinel { master, user: Box::new(settings) } })
}

/// Returns all nodes of a URL that names several, and the rest of its query.
#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
fn nodes(url: &str, base: &str, port: u16) -> Result<(Vec<ConnectionInfo>, Query), StoreError> {
    let (_, rest) = url.split_once("://").ok_or_else(malformed)?;
    let mut first = Url::parse(&format!("{base}://{rest}")).map_err(|_| malformed())?;
    let mut query = Query::default();
    for (name, value) in first.query_pairs() {
        let value = value.into_owned();
        match &*name {
            "node" => query.nodes.push(value),
            "sentinelServiceName" => query.service = Some(value),
            "sentinelUsername" => query.user = Some(value),
            "sentinelPassword" => query.password = Some(value),
            _ => {
                return Err(wrong(
                    "says something else of its nodes than `node`, `sentinelServiceName`, `sentinelUsername` and \
                     `sentinelPassword`",
                ));
            }
        }
    }
    first.set_query(None);
    let mut all = vec![with_port(first.clone(), port)?];
    for other in &query.nodes {
        let other = Url::parse(&format!("{base}://{other}")).map_err(|_| malformed())?;
        let is_plain = other.username().is_empty() && other.password().is_none() && other.query().is_none();
        if !is_plain || !matches!(other.path(), "" | "/") || other.fragment().is_some() {
            return Err(wrong("has a `node` that is none of the form `host:port`"));
        }
        let address = with_port(other, port)?.addr().clone();
        all.push(all[0].clone().set_addr(address));
    }
    Ok((all, query))
}

#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
fn with_port(mut url: Url, port: u16) -> Result<ConnectionInfo, StoreError> {
    if url.port().is_none() {
        url.set_port(Some(port)).map_err(|()| malformed())?;
    }
    node(url.as_str())
}

fn node(url: &str) -> Result<ConnectionInfo, StoreError> {
    let info = url.into_connection_info().map_err(|_| malformed())?;
    // Without the commands that only tell the server the library's name, the user needs no
    // permission for them.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    Ok(info.set_redis_settings(settings))
}

fn malformed() -> StoreError {
    wrong("is none of the form `redis://user:password@host:port/database` (TLS: `rediss://`)")
}

/// Returns the error of a URL. The URL itself holds the password, and is not quoted.
fn wrong(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Configuration, format!("the Redis store's URL {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        let error = RedisAddress::parse(url).expect_err(url);
        assert_eq!(error.kind(), StoreErrorKind::Configuration, "{url}");
        assert!(!error.to_string().contains("secret"), "{error}");
        error.to_string()
    }

    #[cfg(feature = "redis-cluster")]
    fn addresses(address: &RedisAddress) -> Vec<String> {
        address.nodes.iter().map(|node| node.addr().to_string()).collect()
    }

    #[cfg(feature = "redis-cluster")]
    #[test]
    fn the_nodes_of_a_cluster_share_user_and_password() {
        let url = "redis-cluster://app:secret@one?node=two:7001&node=[::1]:7002";
        let address = RedisAddress::parse(url).unwrap();
        assert_eq!(addresses(&address), ["one:6379", "two:7001", "::1:7002"]);
        assert!(matches!(address.topology, Topology::Cluster));
        for node in &address.nodes {
            let settings = node.redis_settings();
            assert_eq!((settings.username(), settings.password()), (Some("app"), Some("secret")));
        }
    }

    #[cfg(all(feature = "redis-cluster", feature = "redis-sentinel"))]
    #[test]
    fn sentinels_have_a_user_of_their_own_and_the_master_the_one_of_the_url() {
        let url = "valkey-sentinel://app:secret@one/2?node=two:1&sentinelServiceName=main&sentinelUsername=s&sentinelPassword=p%26";
        let address = RedisAddress::parse(url).unwrap();
        assert_eq!(addresses(&address), ["one:26379", "two:1"]);
        let settings = address.nodes[1].redis_settings();
        assert_eq!((settings.username(), settings.password(), settings.db()), (Some("app"), Some("secret"), 2));
        let Topology::Sentinel { master, user } = address.topology else { panic!("{url}") };
        assert_eq!((&*master, user.username(), user.password()), ("main", Some("s"), Some("p&")));
    }

    #[cfg(all(feature = "redis-cluster", feature = "redis-sentinel"))]
    #[test]
    fn a_url_that_says_too_much_or_too_little_of_its_nodes_is_refused() {
        assert!(refused("redis-sentinel://:secret@one").contains("sentinelServiceName"));
        assert!(refused("redis-sentinel://:secret@one?sentinelServiceName=").contains("sentinelServiceName"));
        assert!(refused("redis-cluster://:secret@one/1").contains("database"));
        assert!(refused("redis-cluster://:secret@one?sentinelServiceName=main").contains("sentinels"));
        assert!(refused("redis-cluster://:secret@one?nodes=two").contains("`node`"));
        for node in ["u:secret@two", "two/1", "two?node=secret", "two%23insecure"] {
            assert!(refused(&format!("redis-cluster://one?node={}", node.replace('?', "%3F"))).contains("host:port"));
        }
        assert!(refused("rediss-cluster://:secret@one#insecure").contains("trusts everybody"));
        for url in ["redis-ring://:secret@one", "http-cluster://:secret@one", "redis-cluster:secret", "secret"] {
            assert!(refused(url).contains("of the form"), "{url}");
        }
    }

    #[cfg(not(any(feature = "redis-cluster", feature = "redis-sentinel")))]
    #[test]
    fn several_nodes_need_their_features() {
        assert!(refused("redis-cluster://:secret@one").contains("the feature `redis-cluster`"));
        assert!(refused("redis-sentinel://:secret@one").contains("the feature `redis-sentinel`"));
    }
}
