//! The role that has the credentials: it keeps the tokens of a fleet fresh.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::coordinator::Coordinator;
use super::place::{FleetPlace, Settings, failed, unusable};
use super::publisher::{Publisher, Registered};
use super::scripts::REMOVE;
use super::vault::Vault;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::pool::account::Account;
use crate::pool::close_report::CloseReport;
use crate::pool::definition::Definition;
use crate::pool::failure;
use crate::pool::local::Pool;
use crate::pool::policy::PoolPolicy;
use crate::redis::{Connection, Subscriptions, random_name};
use crate::runtime;
use crate::store::RedisStore;
#[cfg(feature = "seal")]
use crate::store::{SealKey, Sealed};

/// Logs the accounts of a [`RedisPool`](super::RedisPool) in, and keeps their tokens fresh. Run
/// one, or several on several machines: they share each account's login, and one of them divides
/// the accounts among the processes that use them. If one dies, the others go on.
///
/// Its tasks run until the last clone is dropped.
///
/// ```no_run
/// # #[cfg(feature = "reqwest")]
/// # async fn doc(logins: Vec<(String, String)>) -> Result<(), jwt_refresh::Error> {
/// # use std::time::Duration;
/// use jwt_refresh::pool::{Account, AuthWorker};
/// use jwt_refresh::HttpAuthenticator;
///
/// let mut worker = AuthWorker::builder("redis://auth:password@redis.example.com/0", "catalog");
/// for (email, password) in logins {
///     let login = HttpAuthenticator::builder("https://api.example/auth/login")
///         .field("email", &email)
///         .secret_field("password", password)
///         .build()?;
///     worker = worker.account(Account::new(email, login).rate(10, Duration::from_secs(1)));
/// }
/// let worker = worker.build()?;
/// # Ok(()) }
/// ```
///
/// What is [pinned](Account::pin) to an account here is not seen by those that use its token: see
/// [`RedisPoolBuilder::pin`](super::RedisPoolBuilder::pin).
///
/// # Promises
///
/// - Refresh tokens are kept as a [`RedisStore`] keeps them, under names of their own: one exchange
///   of an account at a time, in the whole fleet, and new tokens are in Redis before they are used.
/// - Passwords stay in this process. Refresh tokens are in keys that no other role need be allowed
///   to read.
/// - If Redis is away when new tokens come, they are kept and written once it is back. If it comes
///   back empty, the accounts are registered anew.
///
/// # Redis
///
/// What the user of an auth worker must be allowed, beside what a [`RedisStore`] needs for the keys
/// and channels `jwt-refresh/catalog/vault:*`:
///
/// ```text
/// ACL SETUSER auth on >password
///     resetkeys ~jwt-refresh:{catalog}:* ~jwt-refresh/catalog/vault:*
///     resetchannels &jwt-refresh:{catalog}:* &jwt-refresh/catalog/vault:* nocommands
///     +evalsha +eval +time +info +ping +subscribe +unsubscribe +publish +type +rename +persist
///     +get +set +del +pttl +pexpire +exists +hget +hmget +hset +hdel +hstrlen +hexists
///     +hgetall +zadd +zscore +zrevrange +zrangebyscore
/// ```
///
/// and what a [`RedisStore`](RedisStore#access) needs beside its rule.
#[derive(Clone)]
#[must_use = "an auth worker ends when its last handle is dropped"]
pub struct AuthWorker(Arc<WorkerShared>);

struct WorkerShared {
    pool: Pool,
    place: FleetPlace,
    link: Arc<Connection>,
    registered: Arc<Registered>,
    /// Ends the tasks when it is dropped.
    alive: watch::Sender<()>,
}

impl AuthWorker {
    /// Returns a builder of a worker for the fleet called `name` in the Redis behind `url`: see
    /// [`RedisStore`] for what the URL may say.
    pub fn builder(url: &str, name: impl Into<String>) -> AuthWorkerBuilder {
        AuthWorkerBuilder {
            settings: Settings::new(url, name),
            policy: PoolPolicy::default(),
            accounts: Vec::new(),
            share_time: Duration::from_secs(3),
            claim_ttl: Duration::from_secs(10),
            lease_ttl: Duration::from_secs(30),
            #[cfg(feature = "seal")]
            vault_keys: Vec::new(),
            #[cfg(feature = "seal")]
            vault_seal: |sealed| sealed,
        }
    }

    /// Adds an account. If the fleet has it already, its limits and tags become these, and its
    /// login stays.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if this worker has an account of that
    /// name, if the account's rate lets nothing through, or if the account has what a fleet does
    /// not support: an API key or a limit that it shares with others.
    pub fn add(&self, account: Account) -> Result<(), Error> {
        self.0.add(account)
    }

    /// Removes an account from the whole fleet: it is logged out, and its refresh token is revoked
    /// if its authenticator can. Returns whether the fleet had one of that name. Give it to no
    /// other worker either, or it is back when that one starts.
    ///
    /// # Errors
    ///
    /// [`Store`](crate::ErrorKind::Store) if Redis does not answer: then it may or may not have
    /// been removed.
    pub async fn remove(&self, name: &str) -> Result<bool, Error> {
        let Self(worker) = self;
        worker.registered.definitions.lock().remove(name);
        let had = worker.pool.remove(name);
        worker.registered.until_told().await;
        let keys = &worker.place.keys;
        let channel = keys.channel("changes");
        let names = [&*keys.accounts, &keys.account_changes, &keys.tokens, &keys.state, &keys.wants];
        let removed: i64 =
            worker.link.run(&REMOVE, &names, &[channel.as_bytes(), name.as_bytes()]).await.map_err(failed)?;
        Ok(had || removed > 0)
    }

    /// Begins no more logins and refreshes, and waits until those under way have ended and what
    /// they brought is in Redis, for the time `within` at most: as
    /// [`Pool::close`](super::super::Pool::close) does. The fleet goes on with its other workers.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the worker stays closed, and what is under way goes on.
    pub fn close(&self, within: Duration) -> impl Future<Output = CloseReport> + Send + use<> {
        self.0.pool.close(within)
    }
}

impl WorkerShared {
    fn add(&self, account: Account) -> Result<(), Error> {
        let name = account.identity.name().to_owned();
        if account.has_api_key() {
            return Err(failure::not_in_redis(&format!("the account {name:?}"), "an API key"));
        }
        let definition = Definition::of(&account)?;
        // The publisher may see the account as soon as the pool has it.
        let before = self.registered.definitions.lock().insert(name.clone(), definition);
        self.pool.add(account).inspect_err(|_| {
            let mut definitions = self.registered.definitions.lock();
            match before {
                Some(before) => drop(definitions.insert(name, before)),
                None => drop(definitions.remove(&name)),
            }
        })
    }
}

impl fmt::Debug for AuthWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthWorker")
            .field("place", &self.0.place)
            .field("accounts", &self.0.registered.definitions.lock().len())
            .finish_non_exhaustive()
    }
}

/// Sets up an [`AuthWorker`]: [`AuthWorker::builder`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct AuthWorkerBuilder {
    settings: Settings,
    policy: PoolPolicy,
    accounts: Vec<Account>,
    share_time: Duration,
    claim_ttl: Duration,
    lease_ttl: Duration,
    #[cfg(feature = "seal")]
    vault_keys: Vec<SealKey>,
    /// Says what is done with entries in the clear.
    #[cfg(feature = "seal")]
    vault_seal: fn(Sealed<RedisStore>) -> Sealed<RedisStore>,
}

impl AuthWorkerBuilder {
    /// Adds an account. More can be [added](AuthWorker::add) at any time.
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// Adds several accounts.
    pub fn accounts(mut self, accounts: impl IntoIterator<Item = Account>) -> Self {
        self.accounts.extend(accounts);
        self
    }

    /// Sets the numbers that logins and refreshes go by. Those of leases, such as rests after a
    /// 429, are each process' own: [`RedisPoolBuilder::policy`](super::RedisPoolBuilder::policy).
    pub fn policy(mut self, policy: PoolPolicy) -> Self {
        self.policy = policy;
        self
    }

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

    /// Sets for how long a process may use its shares without a word from Redis. Default 3 s; at
    /// least half a second. A longer time survives longer outages of Redis; after a shorter one,
    /// the shares of a process that died serve others sooner. It holds for the fleet, as its
    /// coordinator has it: give all workers the same.
    ///
    /// | share time | Redis may be away for | of a process killed every 5 s, of six, lies idle |
    /// |---|---|---|
    /// | 1 s | 0.7 s | 3 % |
    /// | 3 s | 2 s | 10 % |
    /// | 30 s | 29 s | until 30 s after the kill, what it held |
    ///
    /// Of an account with a concurrency, what the killed process held is idle for
    /// [`lease_ttl`](Self::lease_ttl) more.
    ///
    /// A fresh fleet, and one whose Redis came back empty, serves nobody for 1.1 times this time:
    /// for that long, processes may use shares of which this Redis has never heard.
    pub fn share_time(mut self, time: Duration) -> Self {
        self.share_time = time;
        self
    }

    /// Sets how long after the last word of an auth worker another goes on with a login or refresh
    /// that it was at. Default 10 s; at least twice [`timeout`](Self::timeout), so that one request
    /// without an answer loses nothing. It is no bound on an exchange: a living worker extends its
    /// claim.
    pub fn claim_ttl(mut self, ttl: Duration) -> Self {
        self.claim_ttl = ttl;
        self
    }

    /// Sets for how long the leases of a process that died count against their accounts'
    /// [concurrency](Account::concurrency), after its shares have ended: so until
    /// [`share_time`](Self::share_time) and this time after its last word. Default 30 s. Make it
    /// shorter for accounts with a concurrency whose calls are short, but longer than any call. It
    /// holds for the fleet, as its coordinator has it.
    pub fn lease_ttl(mut self, ttl: Duration) -> Self {
        self.lease_ttl = ttl;
        self
    }

    /// Sets the key that access tokens in Redis are sealed with; those that use them must be given
    /// it, too. If this is called more than once, the first key seals, and each opens what was
    /// sealed with it: so a key can be changed without a pause.
    #[cfg(feature = "seal")]
    pub fn key(mut self, key: SealKey) -> Self {
        self.settings.cipher.keys.push(key);
        self
    }

    /// Sets the key that refresh tokens in Redis are sealed with: one that auth workers alone have.
    /// Without it they are in the clear, kept from others by Redis' access rules. If this is called
    /// more than once, the first key seals, and each opens what was sealed with it.
    ///
    /// Give all workers the same. One whose keys do not fit what another has written, or that has
    /// none, leaves the account to the others: it neither logs in nor refreshes, and logs an error.
    #[cfg(feature = "seal")]
    pub fn vault_key(mut self, key: SealKey) -> Self {
        self.vault_keys.push(key);
        self
    }

    /// Reads refresh tokens in the clear, too, and seals them as they are renewed: for the time
    /// after the fleet was given its first [`vault_key`](Self::vault_key), as
    /// [`Sealed::read_unsealed`] does.
    #[cfg(feature = "seal")]
    pub fn read_unsealed_vault(mut self) -> Self {
        self.vault_seal = Sealed::read_unsealed;
        self
    }

    /// Writes refresh tokens in the clear, and reads them sealed, too: for the time before all
    /// workers have the first [`vault_key`](Self::vault_key) of the fleet, or before they go on
    /// without one, as [`Sealed::write_unsealed`] does.
    #[cfg(feature = "seal")]
    pub fn write_unsealed_vault(mut self) -> Self {
        self.vault_seal = Sealed::write_unsealed;
        self
    }

    /// Returns the worker. It begins to log its accounts in and to register them; a Redis that is
    /// down does not keep a program from starting.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration): two accounts have one name, a rate lets
    /// nothing through, an account has what a fleet does not support, the URL cannot be used, the
    /// prefix holds other characters than it may, a time is zero or too short, or the threads that
    /// renew tokens cannot be started.
    pub fn build(self) -> Result<AuthWorker, Error> {
        let wrong = |what: &str| Err(Error::new(ErrorKind::Configuration, format!("an auth worker's {what}")));
        if self.share_time < Duration::from_millis(500) {
            return wrong("shares must hold for at least half a second");
        }
        if self.claim_ttl < self.settings.timeout * 2 {
            return wrong("`claim_ttl` must be at least twice its `timeout`");
        }
        let place = self.settings.place()?;
        let Settings { url, name: fleet, prefix, timeout, .. } = &place.settings;
        let store = RedisStore::builder(url.expose())
            .vault_of(prefix, fleet)
            .timeout(*timeout)
            .lease_ttl(self.claim_ttl)
            .build()
            .map_err(unusable)?;
        let link = place.link()?;
        let builder = Pool::builder().policy(self.policy).id(place.id(&link));
        let redis = link.name();
        #[cfg(feature = "seal")]
        let builder = match self.vault_keys {
            keys if keys.is_empty() => builder.store(Vault::new(store, fleet, redis)),
            keys => {
                let sealed = (self.vault_seal)(Sealed::with_keys(store, move || Ok(keys.clone())));
                builder.store(Vault::new(sealed, fleet, redis))
            }
        };
        #[cfg(not(feature = "seal"))]
        let builder = builder.store(Vault::new(store, fleet, redis));
        let worker = Arc::new(WorkerShared {
            pool: builder.build()?,
            link,
            place,
            registered: Arc::default(),
            alive: watch::Sender::default(),
        });
        worker.pool.watch();
        for account in self.accounts {
            worker.add(account)?;
        }
        start(&worker, (self.share_time, self.lease_ttl))?;
        Ok(AuthWorker(worker))
    }
}

/// Starts the tasks of a worker, which end with it.
fn start(worker: &WorkerShared, times: (Duration, Duration)) -> Result<(), Error> {
    let runtime = runtime::handle()?;
    let (name, clock) = (random_name().map_err(failed)?, Clock::system());
    let place = &worker.place;
    let coordinator = Coordinator::new(place, clock.clone(), &name, times)?;
    let publisher = Publisher::new(place, &worker.pool, clock, name, Arc::clone(&worker.registered))?;
    let hub = Subscriptions::new(place.link()?);
    let (mut alive, channel) = (worker.alive.subscribe(), |noun: &str| place.keys.channel(noun));
    let [news, changes, wants] = {
        let _on = runtime.enter();
        ["coordinator", "changes", "wants"].map(|noun| hub.subscribe(channel(noun)))
    };
    runtime.spawn(async move {
        let _hub = hub;
        tokio::select! {
            _ = alive.changed() => {}
            () = coordinator.run(news, changes) => {}
            () = publisher.run(wants) => {}
        }
    });
    Ok(())
}

impl fmt::Debug for AuthWorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthWorkerBuilder")
            .field("settings", &self.settings)
            .field("accounts", &self.accounts.len())
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
