//! A store in Redis or Valkey, for processes on many machines that share a login.

mod builder;
mod keys;
mod lease;
mod scripts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::time::timeout;
use zeroize::Zeroizing;

use self::keys::EntryKeys;
use self::lease::LeaseHolder;
use super::look_rate::LookRate;
use super::{StoreEntry, StoreError, StoreErrorKind, TokenStore};
use crate::redis::{Connection, Subscriptions, random_name};

pub use self::builder::RedisStoreBuilder;
pub use self::lease::RedisLease;

/// The longest entry, a thousand times what tokens need. This store has written nothing longer.
const LONGEST: usize = 1024 * 1024;
/// How long what was found instead of an entry is kept aside. Not for ever: it may hold secrets.
const KEPT_ASIDE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often the store looks for a change that no message announced: every 5 s for each account,
/// and for all accounts together at most 500 times a second.
static LOOKS: LookRate = LookRate::new(Duration::from_secs(5), Duration::from_millis(2));

/// Keeps entries in [Redis](https://redis.io) 6.2 or later, or [Valkey](https://valkey.io), for
/// processes on many machines that share a login. Clones are the same store.
///
/// ```no_run
/// use jwt_refresh::store::RedisStore;
///
/// let store = RedisStore::new("rediss://app:password@redis.example.com:6380/0")?;
/// # Ok::<(), jwt_refresh::store::StoreError>(())
/// ```
///
/// The URL is `redis://user:password@host:port/database`, where all but the host may be left out.
/// Everything in user and password but plain letters and digits is percent-encoded. `rediss://` is
/// TLS, for which enable the feature `redis-tls`; `unix:///path` is a socket; `valkey://` and
/// `valkeys://` mean the same as `redis://` and `rediss://`. Entries hold tokens, in the clear
/// unless the session was given a key: use TLS on every network that others can use, too.
///
/// # TLS
///
/// The store trusts the certificate authorities that the system does. There are two ways to trust
/// another, such as that of a managed Redis with a private one:
///
/// - Add it to those of the system (`update-ca-certificates`, or what the system has for that).
/// - Start the program with the environment variable `SSL_CERT_FILE`, the name of a PEM file, or
///   `SSL_CERT_DIR`, a folder of such files. These replace the system's authorities, and on Linux
///   those of reqwest with rustls as well, so they have to hold all that the program needs:
///   `cat /etc/ssl/certs/ca-certificates.crt redis-ca.pem > authorities.pem`. They are read for
///   each new connection.
///
/// The certificate of a node has to be for the host that the URL names: a name, or an IP address in
/// its `subjectAltName`. A node that asks its clients for a certificate, as Redis does unless it is
/// told otherwise, cannot be used: set `tls-auth-clients no`, or `optional`. The error of a
/// connection that TLS is missing on, or that it is not expected on, says so.
///
/// # Several nodes
///
/// - One node, or a proxy: `redis://user:password@host:6379/0`.
/// - A cluster, with the feature `redis-cluster`:
///   `redis-cluster://user:password@host:6379?node=host2:6379&node=host3:6379`.
/// - The master that sentinels name, with the feature `redis-sentinel`:
///   `redis-sentinel://user:password@host:26379/0?node=host2:26379&sentinelServiceName=main`.
///
/// `rediss-cluster://` and `rediss-sentinel://` are TLS, and `valkey` stands for `redis` in each.
/// User, password and database are those of the nodes that hold the data; sentinels that have
/// users have theirs as `sentinelUsername` and `sentinelPassword`. The nodes of a cluster tell of
/// the others, so one is enough as long as it lives; name several. Of a cluster, every account is
/// with one master; messages go over one connection to any of its nodes.
///
/// With `rediss-cluster://` all nodes have to use TLS (`tls-cluster yes`), and with
/// `rediss-sentinel://` both the sentinels and the nodes that they name (`tls-replication yes`, for
/// the sentinels, too); with `redis-sentinel://` neither does. If only some do, an error says which
/// address it is about. The certificate of each has to be for the address that it announces. A
/// cluster announces names with `cluster-announce-hostname` and `cluster-preferred-endpoint-type
/// hostname`, sentinels with `resolve-hostnames` and `announce-hostnames`.
///
/// While a node that died has not been replaced, requests fail as if Redis were away
/// ([`StoreErrorKind::Unavailable`]), and the next one looks for its successor. In a cluster those
/// are the accounts of that node alone.
///
/// All sentinels are asked, and the one that knows of the latest fail-over is believed. They are
/// asked again at most once a second, before a request: a former master that goes on, as it does
/// for some seconds after `SENTINEL FAILOVER`, is left within a second after they name another.
/// Name all of them. What the former one has taken until then is lost, so have it refuse that, with
/// `min-replicas-to-write`.
///
/// # What Redis promises
///
/// As much as its configuration does. An answered write survives a crash of Redis with
/// `appendonly yes` and `appendfsync always`; with `everysec` the last second may be lost, and
/// without either, everything. A fail-over may lose what the replica had not received. An entry
/// that was lost or replaced by an older one shows as a revision that went back.
///
/// # Keys
///
/// Of the account `alice`, with the default prefix:
///
/// | key | is |
/// |---|---|
/// | `jwt-refresh:{alice}:entry` | a hash: `account`, `revision`, `data`, `writer` (random) |
/// | `jwt-refresh:{alice}:lease` | the random name of the one that may renew; expires by itself |
/// | `jwt-refresh:{alice}:corrupt` | what was found instead of an entry, for 7 days |
///
/// An entry that has a field `format` too is a later version's. It is left as it is
/// ([`StoreErrorKind::LaterFormat`]).
///
/// Beside these there are the channels `jwt-refresh:{alice}:saved` and `…:freed`. Other characters
/// than letters, digits and `-_.@` are percent-encoded. All keys of an account are in one slot of a
/// cluster.
///
/// # Access
///
/// These are all the permissions that the store's user needs:
///
/// ```text
/// ACL SETUSER app on >password resetkeys ~jwt-refresh:* resetchannels &jwt-refresh:* nocommands
///     +evalsha +eval +type +hmget +hget +hstrlen +hset +rename +pexpire +persist +publish
///     +get +set +pttl +del +subscribe +unsubscribe +ping
/// ```
///
/// and `+select` if the URL names a database.
///
/// In a cluster the user also needs `+cluster|slots +asking` (`ACL LOG` shows that `client|setinfo`
/// was denied, which does no harm), and behind sentinels `+role`. The user of the sentinels
/// themselves, `sentinelUsername`, needs `+sentinel|masters`.
///
/// # Time
///
/// Every request to Redis is answered, or has failed, within
/// [`timeout`](RedisStoreBuilder::timeout). After a connection broke, the next request opens
/// another. The store must be used inside a tokio runtime with time and I/O enabled, and panics
/// elsewhere; it may be used from several.
///
/// # Errors
///
/// A message names the store by host and port, never by user or password. Denied access and a wrong
/// password are [`StoreErrorKind::Configuration`]. Everything else that keeps Redis from answering
/// a request is [`StoreErrorKind::Unavailable`].
#[derive(Clone)]
pub struct RedisStore {
    connection: Arc<Connection>,
    subscriptions: Arc<Subscriptions>,
    prefix: Arc<str>,
    lease_ttl: Duration,
    forget_after: Option<Duration>,
}

impl RedisStore {
    /// Checks that the store can be reached with the user and password given, for a program that
    /// wants to know when it starts. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Unavailable`] and [`StoreErrorKind::Configuration`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.connection.query(&redis::cmd("PING")).await
    }

    fn keys(&self, account: &str) -> EntryKeys {
        EntryKeys::new(&self.prefix, account)
    }

    fn error(&self, kind: StoreErrorKind, what: &str) -> StoreError {
        StoreError::new(kind, format!("{what} the Redis store at {}", self.connection.name()))
    }

    fn later_format(&self) -> StoreError {
        self.error(StoreErrorKind::LaterFormat, "the entry was written by a later jwt-refresh, in")
    }

    /// Returns whether the entry may be another than that of `revision`.
    async fn is_other(&self, account: &str, revision: u64) -> Result<bool, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(self.keys(account).entry()).arg("revision");
        let held: Option<Vec<u8>> = self.connection.query(&command).await?;
        let same = if revision == 0 { None } else { Some(revision.to_string().into_bytes()) };
        Ok(held != same)
    }
}

impl TokenStore for RedisStore {
    type Lease = RedisLease;

    /// Cancel-safe.
    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        let keys = self.keys(account);
        let (longest, kept) = (LONGEST.to_string(), KEPT_ASIDE.as_millis().to_string());
        let (saved, corrupt) = (keys.saved(), keys.corrupt());
        let arguments = [account, &longest, &kept, &saved, &corrupt].map(str::as_bytes);
        match self.connection.run(&scripts::LOAD, &[&keys.entry()], &arguments).await? {
            Value::Nil => Ok(None),
            Value::BulkString(why) => {
                let why = String::from_utf8_lossy(&why);
                let what = format!("what was there {why}, and is kept as `{corrupt}` for 7 days, in");
                Err(self.error(StoreErrorKind::Corrupt, &what))
            }
            Value::Int(_) => Err(self.later_format()),
            answer => entry(answer).map(Some).ok_or_else(|| {
                self.error(StoreErrorKind::Unavailable, "a script was not answered as it is written by")
            }),
        }
    }

    /// Cancel-safe: if it is cancelled, the entry has been written or not. At most 1 MiB.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Configuration`] also if the entry is too large.
    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        let conflict = || self.error(StoreErrorKind::Conflict, "another has written meanwhile to");
        if entry.data.len() > LONGEST {
            return Err(self.error(StoreErrorKind::Configuration, "an entry is too large for"));
        }
        let before = match entry.revision {
            0 => return Err(conflict()),
            1 => String::new(),
            revision => (revision - 1).to_string(),
        };
        let keys = self.keys(account);
        let revision = entry.revision.to_string();
        let writer = random_name()?;
        let time_to_live = self.forget_after.map_or(0, |time| time.as_millis()).to_string();
        let channel = keys.saved();
        let arguments: [&[u8]; 7] = [
            before.as_bytes(),
            revision.as_bytes(),
            &entry.data,
            account.as_bytes(),
            writer.as_bytes(),
            time_to_live.as_bytes(),
            channel.as_bytes(),
        ];
        match self.connection.run(&scripts::SAVE, &[&keys.entry()], &arguments).await? {
            1 => Ok(()),
            2 => Err(self.later_format()),
            _ => Err(conflict()),
        }
    }

    /// Cancel-safe: a caller that is cancelled leaves no lease behind.
    async fn lease(&self, account: &str) -> Result<RedisLease, StoreError> {
        LeaseHolder::new(self.connection.clone(), self.subscriptions.clone(), self.keys(account), self.lease_ttl)?
            .lease()
            .await
    }

    /// Cancel-safe.
    async fn delete_corrupt(&self, account: &str) -> Result<(), StoreError> {
        let mut command = redis::cmd("DEL");
        command.arg(self.keys(account).corrupt());
        self.connection.query(&command).await
    }

    /// Cancel-safe. Redis announces a change at once. A change that was not announced is found
    /// within about 5 s after Redis is back; if a process waits for more than 2500 accounts, within
    /// 2 ms for each.
    async fn changed(&self, account: &str, revision: u64) {
        // Subscribed before the first look, so that a change after that look is announced.
        let mut saved = self.subscriptions.subscribe(self.keys(account).saved());
        loop {
            match self.is_other(account, revision).await {
                Ok(true) => return,
                // Loading it will set it aside.
                Err(error) if error.kind() == StoreErrorKind::Corrupt => return,
                // While Redis is away there is nothing that the caller could load.
                Ok(false) | Err(_) => {}
            }
            // After a message and after the time, look again.
            let waiting = LOOKS.wait();
            let _ = timeout(waiting.pause, saved.notified()).await;
        }
    }
}

fn entry(answer: Value) -> Option<StoreEntry> {
    let Value::Array(fields) = answer else { return None };
    let [Value::BulkString(revision), Value::BulkString(data)] = <[Value; 2]>::try_from(fields).ok()? else {
        return None;
    };
    let data = Zeroizing::new(data);
    let revision = str::from_utf8(&revision).ok()?.parse().ok()?;
    Some(StoreEntry { revision, data })
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("at", &self.connection.name())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
