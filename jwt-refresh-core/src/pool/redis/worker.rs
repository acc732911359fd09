//! The role that has the credentials: it keeps the tokens of a pool in Redis fresh.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::clerk::PULSE;
use super::errand;
use super::office::{Holds, Office};
use super::place::{Cloak, Settings};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::pool::account::Account;
use crate::pool::failure;
use crate::pool::policy::PoolPolicy;
use crate::redis::{Subscription, Subscriptions};
use crate::renewal::revoke;
use crate::runtime;
#[cfg(feature = "seal")]
use crate::store::SealKey;

/// Logs the accounts of a [`RedisPool`](super::RedisPool) in, and keeps their tokens fresh. Run one, or several on several
/// machines: whichever sees first that an account is due claims it, and if that one dies, another takes over.
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
/// - One exchange at a time for an account, in the whole fleet, and one a lifetime of its tokens.
/// - Passwords stay in this process. Refresh tokens are in a key of their own, which no other role need be allowed to read.
/// - A worker that dies in the middle of an exchange may cost a login: whoever takes over cannot know whether the refresh token is
///   spent, so logs in; where there is no way to log in, it tries the refresh token after all.
/// - If Redis is away when new tokens come, they are kept and told again until it is back. If it comes back empty, accounts are
///   registered anew and log in.
///
/// # Redis
///
/// All that the user of an auth worker must be allowed, beside what a [`RedisPool`](super::RedisPool)'s must: the keys
/// `~jwt-refresh:{catalog}:auth:*`, and the command `+hsetnx`.
#[derive(Clone)]
pub struct AuthWorker(Arc<Office>);

impl AuthWorker {
    /// A worker for the pool called `name` in the Redis behind `url`: see [`RedisStore`](crate::store::RedisStore) for what the URL may
    /// say.
    pub fn builder(url: &str, name: impl Into<String>) -> AuthWorkerBuilder {
        AuthWorkerBuilder {
            settings: Settings::new(url, name),
            policy: PoolPolicy::default(),
            accounts: Vec::new(),
            holds: Holds::default(),
            #[cfg(feature = "seal")]
            vault_key: None,
        }
    }

    /// Adds an account. If the fleet has it already, its limits and tags become these, and its tokens stay.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if this worker has an account of that name, or if the account's rate lets
    /// nothing through.
    pub fn add(&self, account: Account) -> Result<(), Error> {
        self.0.add(account)
    }

    /// Removes an account from the whole fleet, and revokes its refresh token if its authenticator can; whether there was one of
    /// that name. Give it to no other worker either, or it is back when that one starts.
    ///
    /// # Errors
    ///
    /// [`Store`](crate::ErrorKind::Store) if Redis does not answer: then it may or may not have been removed.
    pub async fn remove(&self, name: &str) -> Result<bool, Error> {
        let Some((charge, grant)) = self.0.remove(name).await? else { return Ok(false) };
        if let Some(charge) = charge {
            let timeout = self.0.policy.tokens.refresh_timeout;
            self.0.runtime.spawn(async move { revoke(&charge.authenticator, &grant, timeout).await });
        }
        Ok(true)
    }

    /// Begins no more logins and refreshes, and waits until those under way are done, so that a program can end without leaving
    /// them to another worker, which would have to log in.
    ///
    /// # Cancel safety
    ///
    /// The worker begins nothing more as soon as the future was polled.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

impl fmt::Debug for AuthWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthWorker")
            .field("place", &self.0.place)
            .field("accounts", &self.0.accounts())
            .finish_non_exhaustive()
    }
}

/// Sets up an [`AuthWorker`]: [`AuthWorker::builder`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct AuthWorkerBuilder {
    settings: Settings,
    policy: PoolPolicy,
    accounts: Vec<Account>,
    holds: Holds,
    #[cfg(feature = "seal")]
    vault_key: Option<SealKey>,
}

impl AuthWorkerBuilder {
    /// An account to begin with. More can be [added](AuthWorker::add) at any time.
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// Accounts to begin with.
    pub fn accounts(mut self, accounts: impl IntoIterator<Item = Account>) -> Self {
        self.accounts.extend(accounts);
        self
    }

    /// The numbers to go by. Those for quarantine, rests and probation, and the selection, hold for the fleet, as the last worker
    /// to start has them; another selection, for each account from its next token on.
    pub fn policy(mut self, policy: PoolPolicy) -> Self {
        self.policy = policy;
        self
    }

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

    /// How long after the last word of an auth worker another takes over what it was at. Default 10 s; at least twice
    /// [`timeout`](Self::timeout), so that one question without an answer loses nothing. It is no bound on an exchange: a living
    /// worker extends its claim. An account whose token ends meanwhile does not serve until it was taken over.
    pub fn claim_ttl(mut self, ttl: Duration) -> Self {
        self.holds.claim = ttl;
        self
    }

    /// How long after the last word of a process the leases that it held count against their accounts'
    /// [concurrency](Account::concurrency). Default 30 s; at least 4 s, since holders extend them every 2 s. It holds for the
    /// fleet, as the last worker to start has it.
    pub fn lease_ttl(mut self, ttl: Duration) -> Self {
        self.holds.lease = ttl;
        self
    }

    /// The key that access tokens in Redis are sealed with; those that use them must be given it, too.
    #[cfg(feature = "seal")]
    pub fn key(mut self, key: SealKey) -> Self {
        self.settings.key = Some(key);
        self
    }

    /// The key that refresh tokens in Redis are sealed with: one that auth workers alone have. Without it they are in the clear,
    /// kept from others by Redis's access rules.
    #[cfg(feature = "seal")]
    pub fn vault_key(mut self, key: SealKey) -> Self {
        self.vault_key = Some(key);
        self
    }

    /// The worker. It begins to register its accounts and to log them in; a Redis that is down does not keep a program from
    /// starting.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration): two accounts have one name, a rate lets nothing through, the URL cannot
    /// be used, the prefix holds other characters than it may, the time-out is zero, a time to live is too short, or there is no
    /// tokio runtime.
    pub fn build(self) -> Result<AuthWorker, Error> {
        let wrong = |what: &str| Err(Error::new(ErrorKind::Configuration, format!("an auth worker's {what}")));
        if self.holds.claim < self.settings.timeout * 2 {
            return wrong("claims must hold for at least twice its time-out for Redis");
        }
        if self.holds.lease < PULSE * 2 {
            return wrong("leases must count for at least 4 s without a word from their holders");
        }
        if self.policy.lease_timeout.is_some() {
            return Err(failure::not_in_redis("the policy", "a lease time-out (leases have a `lease_ttl` there)"));
        }
        let vault = Cloak {
            #[cfg(feature = "seal")]
            key: self.vault_key,
        };
        let place = self.settings.place()?;
        let runtime = runtime::handle()?;
        let hub = Subscriptions::new(place.link()?);
        let due = {
            let _on = runtime.enter();
            hub.subscribe(place.keys.channel("due"))
        };
        let office = Arc::new(Office::new(place, vault, self.policy, self.holds, Clock::system(), runtime)?);
        for account in self.accounts {
            office.add(account)?;
        }
        office.runtime.spawn(work(Arc::downgrade(&office), hub, due));
        Ok(AuthWorker(office))
    }
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

/// Rounds, until the worker is dropped. `_hub` lives as long.
async fn work(office: Weak<Office>, _hub: Subscriptions, mut due: Subscription) {
    let Some((bell, link, place, worker)) = office.upgrade().map(|office| {
        (Arc::clone(&office.bell), Arc::clone(&office.link), office.place.clone(), office.worker().to_owned())
    }) else {
        return;
    };
    loop {
        let pause = {
            let Some(office) = office.upgrade() else { break };
            round(&office).await
        };
        tokio::select! {
            () = bell.notified() => {}
            () = due.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    Office::sign_off(&link, &place, &worker).await;
}

/// How long to wait for the next.
async fn round(office: &Arc<Office>) -> Duration {
    // Often enough for what is claimed to be kept.
    let pulse = PULSE.min(office.holds.claim / 4);
    match office.round().await {
        Ok(round) => {
            for claim in round.claims {
                errand::run(office, claim);
            }
            round.next.map_or(pulse, |next| next.min(pulse))
        }
        Err(error) => {
            tracing::warn!(target: "jwt_refresh", %error, "an auth worker's round failed; it tries again");
            pulse
        }
    }
}
