//! A pool whose state is in Redis, for processes on many machines: auth workers, which have the credentials and keep the tokens
//! fresh, and those that use the tokens, which never see a credential.
//!
//! What must happen at once is a script in `lua`, run by Redis; `scripts` names them. A user of tokens is a `RedisPool`: `fleet` is
//! what its handles share and `lease` what they hand out, `teller` who asks for them, `queue` where callers wait in turn, `outbox` what they have to say,
//! `clerk` the task that says it. An `AuthWorker` is in `worker`: `office` is what it knows, `errand` an exchange it makes,
//! `vault` what it keeps where no one else can read. Both have a `place`: which Redis, which pool, sealed with which key.

mod clerk;
mod errand;
mod fleet;
mod lease;
mod office;
mod outbox;
mod place;
mod queue;
mod record;
mod scripts;
mod status;
mod teller;
mod vault;
mod wire;
mod worker;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::fleet::Fleet;
use self::place::Settings;
use super::limits::Pin;
use super::provider::provide_leases;
use super::request::LeaseRequest;
use super::status::PoolStatus;
use crate::error::Error;
use crate::runtime;
#[cfg(feature = "seal")]
use crate::store::SealKey;

pub use worker::{AuthWorker, AuthWorkerBuilder};

/// A pool whose state is in Redis: for processes that use tokens, on however many machines, while [`AuthWorker`]s keep the tokens
/// fresh. It never sees a password or a refresh token.
///
/// A lease is one round trip: a script picks the account that can serve soonest, charges its rate and returns its token. If no
/// account can serve at once but one can later, the caller has its place then, and waits for it without asking again. Rates,
/// concurrency, usage caps and quarantine hold for the whole fleet.
///
/// Clones are handles to the same pool.
///
/// ```no_run
/// # async fn doc() -> Result<(), jwt_refresh::Error> {
/// use jwt_refresh::pool::RedisPool;
///
/// let pool = RedisPool::builder("redis://worker:password@redis.example.com/0", "catalog").build()?;
/// let lease = pool.lease().await?;
/// println!("{}\n{}", lease.account(), pool.status().await?);
/// # Ok(()) }
/// ```
///
/// With the attribute, `#[refresh_token(from = self.pool, token, retry)]`, as with a [`Pool`](super::Pool) on one machine.
///
/// # Differences from a pool on one machine
///
/// - Which account serves is the auth workers' [policy](AuthWorkerBuilder::policy). [`Soonest`](super::Selection::Soonest) is the
///   cheapest to decide.
/// - Callers that wait for a rate are served in the order in which they came, in the whole fleet. Those that wait for something
///   else (all leases are held, new tokens are on their way) are so within their process.
/// - A lease that no account can give before its deadline fails at once, not at the deadline.
/// - What leases report goes to Redis a moment later, many at once. A process that dies takes with it what it had not told; leases
///   that it held end [some time](AuthWorkerBuilder::lease_ttl) later.
/// - Times are on Redis's clock. If that is set back, rates hold calls up for as long.
///
/// # Redis
///
/// One node, or a proxy before several, of Redis 6.2 or later or Valkey. Keys of the pool `catalog`, with the default prefix, all
/// in one slot of a cluster: `jwt-refresh:{catalog}:pool:…`, and of auth workers `jwt-refresh:{catalog}:auth:vault`, where the
/// refresh tokens are. Channels: `jwt-refresh:{catalog}:free`, `…:void` and `…:due`. All that the user of such a process must be
/// allowed, and no more, so that it cannot read refresh tokens:
///
/// ```text
/// ACL SETUSER worker on >password resetkeys ~jwt-refresh:{catalog}:pool:*
///     resetchannels &jwt-refresh:{catalog}:* nocommands +evalsha +eval +time +ping +subscribe +unsubscribe +publish
///     +exists +set +del +pexpire +hget +hmget +hset +hdel +hexists +hgetall +hlen +hincrby
///     +zadd +zrem +zcard +zscore +zrange +zrangebyscore +zremrangebyscore
/// ```
///
/// # Time
///
/// Every question to Redis is answered, or has failed with [`Store`](crate::ErrorKind::Store), within
/// [`timeout`](RedisPoolBuilder::timeout).
#[derive(Clone)]
pub struct RedisPool(Arc<Fleet>);

impl RedisPool {
    /// The pool called `name` in the Redis behind `url`: see [`RedisStore`](crate::store::RedisStore) for what the URL may say.
    pub fn builder(url: &str, name: impl Into<String>) -> RedisPoolBuilder {
        RedisPoolBuilder { settings: Settings::new(url, name), queue: 10_000, pins: None }
    }

    /// Asks for a lease. `.await` it, or say before what it shall be: `pool.lease().tag("eu").within(time).await`.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::lease`](super::Pool::lease), and [`Store`](crate::ErrorKind::Store) if Redis does not answer.
    ///
    /// # Cancel safety
    ///
    /// A caller that is dropped leaves the queue, and what it was granted is given back: a lease whole, a place in time if no other
    /// caller has one after it with the same account; else the rate was charged for nothing.
    pub fn lease(&self) -> LeaseRequest {
        LeaseRequest::new(Arc::clone(&self.0) as _)
    }

    /// How the pool is doing, all processes together. What processes did in the last seconds may be missing. With the feature
    /// `metrics` this also sets the gauges, under the pool's name: call it every few seconds in one process of the fleet.
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Store`](crate::ErrorKind::Store) if Redis does not answer.
    pub async fn status(&self) -> Result<PoolStatus, Error> {
        self.0.status().await
    }

    /// Tells Redis what it was not told yet of leases: those given back, and what was reported of them. It is told all the same,
    /// a moment later, unless the program ends. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Store`](crate::ErrorKind::Store) if Redis does not answer.
    pub async fn flush(&self) -> Result<(), Error> {
        self.0.tell().await
    }
}

provide_leases!(RedisPool);

impl fmt::Debug for RedisPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPool").field("place", &self.0.place).finish_non_exhaustive()
    }
}

/// What a process pins to an account, by its name.
type Pins = Arc<dyn Fn(&str) -> Option<Pin> + Send + Sync>;

/// Sets up a [`RedisPool`]: [`RedisPool::builder`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct RedisPoolBuilder {
    settings: Settings,
    queue: usize,
    pins: Option<Pins>,
}

impl RedisPoolBuilder {
    /// What all keys and channels begin with. Default `jwt-refresh`. May hold ASCII letters, digits, `-`, `_`, `.`, `:` and `/`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = prefix.into();
        self
    }

    /// How long any one question to Redis may take, connecting included. Default 2 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How many callers of this process may wait for a lease; one more fails with [`Busy`](crate::ErrorKind::Busy). Default
    /// 10 000.
    pub fn queue(mut self, longest: usize) -> Self {
        self.queue = longest;
        self
    }

    /// What every lease of an account hands out, by the account's name: see [`Lease::pinned`](super::Lease::pinned) and [`Lease::client`](super::Lease::client). It is asked
    /// when an account's token is first seen, and must be quick.
    pub fn pin<T: Any + Send + Sync>(mut self, pin: impl Fn(&str) -> Option<T> + Send + Sync + 'static) -> Self {
        self.pins = Some(Arc::new(move |name| Some(Arc::new(pin(name)?) as _)));
        self
    }

    /// The key that access tokens in Redis are sealed with; the auth workers must be given it, too.
    #[cfg(feature = "seal")]
    pub fn key(mut self, key: SealKey) -> Self {
        self.settings.key = Some(key);
        self
    }

    /// The pool. It connects when it is first used: a Redis that is down does not keep a program from starting.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration): the URL cannot be used, the prefix holds other characters than it may,
    /// the time-out is zero, or there is no tokio runtime for the task that talks to Redis in the background.
    pub fn build(self) -> Result<RedisPool, Error> {
        let fleet = Fleet::new(self.settings.place()?, self.queue, self.pins, runtime::handle()?)?;
        clerk::start(&fleet)?;
        Ok(RedisPool(fleet))
    }
}

impl fmt::Debug for RedisPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPoolBuilder")
            .field("settings", &self.settings)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
