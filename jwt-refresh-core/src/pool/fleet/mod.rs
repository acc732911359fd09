//! The fleet: pools of many processes that divide the accounts' capacity among themselves.
//!
//! Each process that uses tokens is a `member`: it has the local pool with all accounts, and for
//! some of them a share, by which the local pool decides who is served. Auth workers (`worker`) are
//! local pools with a store, which keep the tokens fresh; the `publisher` tells the fleet of them.
//! One of the auth workers is the `coordinator`: by the members' demand, and the `assignment` that
//! follows from it, it moves `shares`.
//!
//! All talk through Redis: `place` says where and under which keys, `messages` what, and `scripts`
//! have what must happen at once, which decides nothing. A `mirror` is a copy of rows in Redis,
//! `tokens` are access tokens there, sealed by a `cipher`, and `redis_time` is how far its clock is
//! from this machine's. `auth_workers` are those that live, and `status` is how all of it is doing.

mod assignment;
#[cfg(test)]
mod assignment_tests;
mod auth_workers;
mod cipher;
mod coordinator;
mod member;
mod member_rows;
mod member_task;
mod messages;
mod mirror;
mod place;
mod publisher;
mod redis_time;
mod scripts;
mod seen;
mod share_plan;
mod shares;
mod starving;
mod status;
mod tokens;
mod vault;
mod worker;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::member::{FleetMember, Pins};
use self::place::Settings;
use super::local::{Pool, PoolShared};
use super::policy::PoolPolicy;
use super::provider::provide_leases;
use super::request::LeaseRequest;
use super::status::PoolStatus;
use crate::error::Error;
#[cfg(feature = "seal")]
use crate::store::SealKey;

pub use worker::{AuthWorker, AuthWorkerBuilder};

/// The pool of a process that uses tokens of a fleet, on one of many machines, while
/// [`AuthWorker`]s keep the tokens fresh. It never sees a password or a refresh token.
///
/// The accounts are divided among the processes: each has a *share* of some, and grants leases of
/// them as a [`Pool`] on one machine does, without asking anybody. The auth workers move shares to
/// where callers wait. Rates, concurrency, usage caps and quarantine hold for the whole fleet.
///
/// Clones are handles to the same pool.
///
/// ```no_run
/// # async fn doc() -> Result<(), jwt_refresh::Error> {
/// use jwt_refresh::pool::RedisPool;
///
/// let pool = RedisPool::builder("redis://worker:password@redis.example.com/0",
/// "catalog").build()?; let lease = pool.lease().await?; println!("{}\n{}", lease.account(),
/// pool.status().await?);
/// # Ok(()) }
/// ```
///
/// With the attribute, `#[refresh_token(from = self.pool, token, retry)]`, as with a [`Pool`] on
/// one machine.
///
/// # Differences from a pool on one machine
///
/// - The first call in a process that has no share waits until it is given one: some milliseconds,
///   while an auth worker lives. Shares move by messages. In a fresh fleet, and in one whose Redis
///   came back empty, it waits for 1.1 times the [share time](AuthWorkerBuilder::share_time): 3.3 s
///   by default.
/// - A caller with a deadline waits for the fleet's first account. Others get
///   [`NoAccount`](crate::ErrorKind::NoAccount) until an auth worker has registered one.
/// - The order of callers, [weights](super::Account::weight), tiers and selection hold within a
///   process, among the accounts that it has a share of. Processes do not ask each other.
/// - An account that several processes need at once is divided, if its
///   [burst](super::Account::burst) and its concurrency can be. Else they have it by turns of a
///   quarter of a second: a rate without a burst is one call at a time.
/// - A [key](super::LeaseRequest::key) belongs to one account of the whole fleet, for which the
///   caller waits.
/// - Limits that accounts [share](super::Limit::shared) and API keys cannot be had. What a server
///   [tells](super::Lease::answered) of limits, each process learns anew that is given the account.
///   Of a rest after a 429, the others that have a part of the account hear a moment later.
/// - The leases of a process that died count against the concurrency
///   [for a while](AuthWorkerBuilder::lease_ttl). Of its share, the worst is assumed. Of a
///   [quota](super::Limit::daily), that is a portion of at most an eighth, which the process had
///   told Redis that it may use.
/// - There is no `account()` (figures, drain, quarantine, lift), `events()`, `wait_ready` or
///   `set_limits`, and an [`AuthWorker`] has no `status()`. The guide
///   says what there is instead, under "What a fleet lacks".
///
/// # When Redis is away
///
/// Processes go on with their shares and tokens for the
/// [share time](AuthWorkerBuilder::share_time), and with what they have told of quotas. From then
/// on callers get an error of the kind [`Store`](crate::ErrorKind::Store), until Redis is back. If
/// all auth workers are away, processes go on for as long as tokens live.
///
/// # Redis
///
/// Redis 7 or later or Valkey, with `maxmemory-policy noeviction`: one node, a proxy, a cluster, or
/// the master that sentinels name, as the URL says
/// ([several nodes](crate::store::RedisStore#several-nodes)). Keys of the fleet `catalog`, with the
/// default prefix, all but those of the vault in one slot of a cluster:
///
/// - `jwt-refresh:{catalog}:fleet:*`: accounts, access tokens and shares. A process that uses
///   tokens
///   only reads them.
/// - `jwt-refresh:{catalog}:member:*`: demand, what was released, what calls have cost since, what
///   was rejected, and how much may be used of quotas. Such a process reads and writes them.
/// - `jwt-refresh:{catalog}:auth:*` and `jwt-refresh/catalog/vault:*`: which auth worker is the
///   coordinator, and refresh tokens, as a [`RedisStore`](crate::store::RedisStore) keeps them.
///   Such a process needs neither.
///
/// All that the user of such a process must be allowed, and no more, so that it can neither read
/// refresh tokens nor change what others rely on:
///
/// ```text
/// ACL SETUSER worker on >password
///     resetkeys %R~jwt-refresh:{catalog}:fleet:* ~jwt-refresh:{catalog}:member:*
///     resetchannels &jwt-refresh:{catalog}:* nocommands +evalsha +eval +time +ping
///     +subscribe +unsubscribe +publish +exists +hget +hmget +hgetall +hset
///     +hdel +hexists +zrangebyscore
/// ```
///
/// and what a [`RedisStore`](crate::store::RedisStore#access) needs beside its rule.
///
/// # Time
///
/// Every request to Redis is answered, or has failed, within
/// [`timeout`](RedisPoolBuilder::timeout). No lease asks Redis for anything.
#[derive(Clone)]
#[must_use = "a pool ends when its last handle is dropped"]
pub struct RedisPool(Arc<FleetMember>);

impl RedisPool {
    /// Returns a builder of the pool called `name` in the Redis behind `url`: see
    /// [`RedisStore`](crate::store::RedisStore) for what the URL may say.
    pub fn builder(url: &str, name: impl Into<String>) -> RedisPoolBuilder {
        RedisPoolBuilder { settings: Settings::new(url, name), policy: PoolPolicy::default(), pins: None }
    }

    /// Returns a request for a lease. Await it, or say before what is asked for:
    /// `pool.lease().tag("eu").within(time).await`.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::lease`], [`Store`](crate::ErrorKind::Store) if Redis is away for so long
    /// that this process has no share any more, and [`Busy`](crate::ErrorKind::Busy) for a caller
    /// without a deadline whom no account here can serve, once no auth worker has lived for a
    /// minute.
    ///
    /// # Cancel safety
    ///
    /// As of [`Pool::lease`].
    pub fn lease(&self) -> LeaseRequest {
        LeaseRequest::new(Arc::clone(&self.0) as _)
    }

    /// Returns how the fleet is doing, all processes together, as far as they have told Redis: what
    /// they did in the last second or two may be missing. With the feature `metrics` this also sets
    /// the gauges, under the fleet's name: call it every few seconds in one process of the fleet.
    /// Cancel-safe.
    ///
    /// It says how many auth workers live, and counts an account whose token has expired as one
    /// that does not serve, also if nobody is left to say so. It reads no token, and needs no
    /// [`key`](RedisPoolBuilder::key).
    ///
    /// # Errors
    ///
    /// [`Store`](crate::ErrorKind::Store) if Redis does not answer.
    pub async fn status(&self) -> Result<PoolStatus, Error> {
        self.0.status().await
    }

    /// Returns the status of this process alone, without asking Redis. Accounts that other
    /// processes have are [elsewhere](super::QuarantineCause::Elsewhere).
    pub fn local_status(&self) -> PoolStatus {
        self.0.pool.status()
    }

    /// Ends this process' part in the fleet: gives all shares back, tells Redis what was reported
    /// of leases, and waits until those that are held have ended, for the time `within` at most.
    /// Others can use the shares at once, but for the
    /// [concurrency](super::Account::concurrency) of leases that are held: of those that end later
    /// nobody hears, and they count for the workers'
    /// [`lease_ttl`](super::AuthWorkerBuilder::lease_ttl). No caller gets a lease any more:
    /// [`Closed`](crate::ErrorKind::Closed). If this is called more than once, the time that ends
    /// first holds for all of these calls.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, only the wait ends.
    pub async fn close(&self, within: Duration) {
        self.0.close(within).await;
    }
}

impl RedisPool {
    fn shared(&self) -> &Arc<PoolShared> {
        self.0.pool.shared()
    }
}

provide_leases!(RedisPool);

impl fmt::Debug for RedisPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPool").field("place", &self.0.place).finish_non_exhaustive()
    }
}

/// Sets up a [`RedisPool`]: [`RedisPool::builder`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct RedisPoolBuilder {
    settings: Settings,
    policy: PoolPolicy,
    pins: Option<Pins>,
}

impl RedisPoolBuilder {
    /// Sets what all keys and channels begin with. Default `jwt-refresh`. May hold ASCII letters,
    /// digits, `-`, `_`, `.`, `:` and `/`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = prefix.into();
        self
    }

    /// Sets how long any one request to Redis may take, connecting included. Default 2 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Sets the numbers that leases go by: which account serves, how many callers may wait, how
    /// long an account rests after a 429. Those of logins and refreshes are the [auth
    /// workers'](AuthWorkerBuilder::policy).
    pub fn policy(mut self, policy: PoolPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets what every lease of an account hands out, by the account's name: see
    /// [`Lease::pinned`](super::Lease::pinned) and [`Lease::client`](super::Lease::client). It is
    /// asked when an account is first seen, and must be quick.
    pub fn pin<T: Any + Send + Sync>(mut self, pin: impl Fn(&str) -> Option<T> + Send + Sync + 'static) -> Self {
        self.pins = Some(Arc::new(move |name| Some(Arc::new(pin(name)?) as _)));
        self
    }

    /// Sets the key that access tokens in Redis are sealed with; the auth workers must be given it,
    /// too. If this is called more than once, each of the keys opens what was sealed with it.
    #[cfg(feature = "seal")]
    pub fn key(mut self, key: SealKey) -> Self {
        self.settings.cipher.keys.push(key);
        self
    }

    /// Returns the pool. It connects when it is built, in the background: a Redis that is down does
    /// not keep a program from starting.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration): the URL cannot be used, the prefix holds
    /// other characters than it may, the time-out is zero, or the threads that talk to Redis in the
    /// background cannot be started.
    pub fn build(self) -> Result<RedisPool, Error> {
        let place = self.settings.place()?;
        let pool = Pool::builder().policy(self.policy).id(place.id(&*place.link()?)).build()?;
        Ok(RedisPool(member_task::start(place, pool, self.pins)?))
    }
}

impl fmt::Debug for RedisPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPoolBuilder")
            .field("settings", &self.settings)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
