//! How a Redis store is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::RedisStore;
use crate::redis::{Connection, Subscriptions, client, encode, is_prefix};
use crate::secret::Secret;
use crate::store::{StoreError, StoreErrorKind};

impl RedisStore {
    /// Returns the store behind `url`, with default settings. It connects when it is first used.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Configuration`] if the URL cannot be used.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).build()
    }

    /// Returns a builder for the store behind `url`.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }
}

/// The longest time that is asked of Redis or of a timer, which count in numbers that
/// `Duration::MAX` does not fit into: a hundred years. It stands for ever.
const LONGEST_TIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Sets up a [`RedisStore`]; made by [`RedisStore::builder`]. A time of more than a hundred years
/// (`Duration::MAX`) counts as a hundred years.
///
/// ```
/// use std::time::Duration;
///
/// use jwt_refresh::store::{RedisStore, StoreError};
///
/// fn store() -> Result<RedisStore, StoreError> {
///     RedisStore::builder("redis://user:password@redis.example/0")
///         .prefix("catalog")
///         .timeout(Duration::from_secs(2))
///         .build()
/// }
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct RedisStoreBuilder {
    url: Secret,
    prefix: String,
    timeout: Duration,
    connect_timeout: Duration,
    lease_ttl: Duration,
    forget_after: Option<Duration>,
    is_vault: bool,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            prefix: "jwt-refresh".to_owned(),
            timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(1),
            lease_ttl: Duration::from_secs(10),
            forget_after: None,
            is_vault: false,
        }
    }

    /// Sets what the names of all keys and channels begin with: ASCII letters, digits, `-`, `_`,
    /// `.`, `:` and `/`. Default `jwt-refresh`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets that the store is the vault of a fleet, whose name may have any characters.
    pub(crate) fn vault_of(mut self, prefix: &str, fleet: &str) -> Self {
        self.prefix = format!("{prefix}/{}/vault", encode(fleet));
        self.is_vault = true;
        self
    }

    /// Sets how long any one request to Redis may take, connecting included. Default 2 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long an attempt to connect may take, TLS and authentication included. Default 1 s;
    /// never longer than [`timeout`](Self::timeout).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets after how long a lease expires whose holder died. Default 10 s; at least twice
    /// [`timeout`](Self::timeout), so that one request without an answer loses no lease. It does
    /// not limit how long a lease can be held: a living holder extends it.
    pub fn lease_ttl(mut self, ttl: Duration) -> Self {
        self.lease_ttl = ttl;
        self
    }

    /// Makes Redis forget the entry of an account once it was not written for `time`. Default:
    /// entries stay. Give it more than the lifetime of a refresh token.
    pub fn forget_after(mut self, time: Duration) -> Self {
        self.forget_after = Some(time);
        self
    }

    /// Returns the store. It connects when it is first used, so that a program can start while
    /// Redis is down.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Configuration`]: the URL cannot be used, the prefix holds other characters
    /// than it may, a time-out is zero, or the lease's time to live is too short for the time-out.
    pub fn build(self) -> Result<RedisStore, StoreError> {
        let wrong =
            |what: &str| Err(StoreError::new(StoreErrorKind::Configuration, format!("the Redis store's {what}")));
        if !self.is_vault && !is_prefix(&self.prefix) {
            return wrong("prefix is empty or holds more than ASCII letters, digits, `-`, `_`, `.`, `:` and `/`");
        }
        let timeout = self.timeout.min(LONGEST_TIME / 2);
        let lease_ttl = self.lease_ttl.min(LONGEST_TIME);
        let forget_after = self.forget_after.map(|time| time.min(LONGEST_TIME));
        if timeout.is_zero() || self.connect_timeout.is_zero() {
            return wrong("time-outs must not be zero");
        }
        if lease_ttl < timeout * 2 || lease_ttl.as_millis() == 0 {
            return wrong("lease must live for at least twice the time-out");
        }
        if forget_after.is_some_and(|time| time.as_millis() == 0) {
            return wrong("entries must not be forgotten at once");
        }
        let client = client(self.url.expose())?;
        let connection = Arc::new(Connection::new(client, timeout, self.connect_timeout.min(timeout)));
        let subscriptions = Arc::new(Subscriptions::new(connection.clone()));
        Ok(RedisStore { connection, subscriptions, prefix: self.prefix.into(), lease_ttl, forget_after })
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("url", &self.url)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("lease_ttl", &self.lease_ttl)
            .field("forget_after", &self.forget_after)
            .finish_non_exhaustive()
    }
}
