//! The pool on one machine.
//!
//! `state` is the state machine, and `shared` has the lock around it. The state consists of a
//! `table` with an `entry` for each account (what few accounts have is its `rare` part), the `tags`
//! that callers can ask for, the `waiters`, the `ready_queue`, which is the order in which accounts
//! serve, and the `quarantined` accounts.
//!
//! `acquire` is how a caller gets a lease. The `scheduler` is the one task that decides when an
//! account is logged in or refreshed; each such `job` is done by a task of `renew`.
//!
//! Accounts with limits that depend on what a call costs, are shared, strict, or learnt are
//! *metered*: `metered_queue` is their order, `limit_states` what is spent of their limits,
//! `shared_limits` what several of them have together, and `cost_class` how costs are sorted.
//!
//! `pool_account` is the handle to one account, and `operating` starts up and closes down, which
//! `lifecycle` keeps track of. `event_queue` holds events until they are sent.
//!
//! In a fleet, `shares` is what the pool of one of its processes is told. `share_table` has what
//! shares the process has, `reserve` how much it may use of quotas, `tag_uses` what its callers use
//! of each tag, and `changed_accounts` what the fleet has still to be told.
//!
//! `api_keys` tells whether a key was given twice. `stored` keeps tokens in a store. `heap` and
//! `pages` hold many accounts in little memory. `rank` is how accounts are numbered and sorted, and
//! `time` how the pool counts time.

mod acquire;
mod api_keys;
mod builder;
#[cfg(feature = "redis")]
mod changed_accounts;
mod cost_class;
mod endpoint;
mod endpoints;
mod entry;
mod event_queue;
mod groups;
mod heap;
mod job;
mod key_ring;
mod key_rings;
mod lease_timeouts;
mod lifecycle;
mod limit_states;
mod metered_queue;
mod operating;
mod overdue;
mod pages;
mod pool_account;
mod quarantined;
mod rank;
mod rare;
mod rate_queue;
mod ready_queue;
mod renew;
mod reserve;
mod scheduler;
#[cfg(feature = "redis")]
mod share_table;
mod shared;
mod shared_limits;
#[cfg(feature = "redis")]
mod shares;
mod slots;
mod state;
mod stored;
mod table;
#[cfg(feature = "redis")]
mod tag_uses;
mod tags;
mod time;
mod virtual_time;
mod waiters;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(in crate::pool) use self::shared::PoolShared;
use super::account::Account;
use super::close_report::CloseReport;
use super::event::PoolEvent;
use super::provider::provide_leases;
use super::request::LeaseRequest;
use super::status::{PoolStatus, QuarantinedAccount};
use crate::error::Error;
use crate::events::Events;

pub use builder::PoolBuilder;
pub use pool_account::PoolAccount;

/// Many accounts that stay logged in, for more calls than one account may make.
///
/// Each call gets a [`Lease`](super::Lease) of one account: by default of the account that can
/// serve soonest, within its rate, its concurrency and the usage cap of its token. If no account
/// can serve, callers wait in the order in which they came. A background task logs all accounts in
/// and renews their tokens, so that callers never do. An account whose server refuses it goes into
/// quarantine, and returns by itself once it can log in.
///
/// With the feature `metrics`, the background task also sets gauges (`jwt_refresh_pool_…`) of what
/// [`status`](Self::status) returns, every five seconds.
///
/// Clones are handles to the same pool. The background task ends when the last handle and the last
/// lease are dropped.
///
/// ```no_run
/// # #[cfg(feature = "reqwest")]
/// # async fn doc(logins: Vec<(String, String)>) -> Result<(), jwt_refresh::Error> {
/// # use std::time::Duration;
/// use jwt_refresh::pool::{Account, Pool};
/// use jwt_refresh::HttpAuthenticator;
///
/// let mut pool = Pool::builder();
/// for (email, password) in logins {
///     let login = HttpAuthenticator::builder("https://api.example/auth/login")
///         .field("email", &email)
///         .secret_field("password", password)
///         .build()?;
///     pool = pool.account(Account::new(email, login).rate(10, Duration::from_secs(1)));
/// }
/// let pool = pool.build()?;
/// let lease = pool.lease().await?;
/// println!("{}\n{}", lease.account(), pool.status());
/// # Ok(()) }
/// ```
///
/// # With the attribute
///
/// In `#[refresh_token(from = self.pool, token, retry)]`, `token` is the lease. A 401 is reported
/// to the pool, and the body runs again with another lease, which may be another account's. If that
/// is answered 401, too, this is also reported, and an account whose token was just renewed goes
/// into quarantine. What else an answer says of the account, `.observed(&token)` on the response
/// tells the pool: see [`Lease::answered`](super::Lease::answered). If the method returns the
/// response, this happens by itself. Of a client without such responses, the body reports
/// `token.rate_limited(retry_after)` after a 429; and `token.quota_used_up(resets_in)`, however the
/// API says that.
///
/// A method that does not bind its token with `token` does not compile, since it would be charged
/// for a lease that it does not use. This is checked of a pool that is named by `from`, but not of
/// a field called `session`.
#[derive(Clone)]
#[must_use = "a pool ends when its last handle is dropped"]
pub struct Pool(Arc<PoolShared>);

impl Pool {
    /// Adds an account. It logs in in the background, and serves from then on.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if the pool has an account of that name
    /// already, or if the account's rate lets nothing through.
    pub fn add(&self, account: Account) -> Result<(), Error> {
        self.0.add(account)
    }

    /// Removes an account. Returns whether the pool had one of that name.
    ///
    /// Leases of it that are held stay as they are. Callers that waited for this account alone get
    /// another one.
    ///
    /// With a [store](PoolBuilder::store), the account is logged out there, too.
    ///
    /// The account's refresh token is [revoked](crate::Authenticator::revoke) in the background. If
    /// a login or refresh is under way, the token that it brings is revoked when it ends. A
    /// revocation that fails is logged, and not tried again. If the server ends the access token
    /// along with the refresh token, calls with leases that are held are answered 401.
    pub fn remove(&self, name: &str) -> bool {
        let (removed, job) = self.0.remove(name);
        // The revocation is not left to the scheduler, which ends with the pool: the pool may be
        // dropped next.
        if let Some(job) = job {
            renew::spawn(&self.0, job);
        }
        removed
    }

    /// Returns a request for a lease. Awaiting it waits until there is one. Say before what is
    /// asked for: `pool.lease().tag("eu").within(time).await`.
    ///
    /// # Errors
    ///
    /// - [`NoAccount`](crate::ErrorKind::NoAccount) if the pool is empty, or if all accounts (with
    ///   the tag) are in quarantine and none has new tokens on the way. The error says which
    ///   account returns first, when, and why it is in quarantine.
    /// - [`Busy`](crate::ErrorKind::Busy) if no account came free in time, or if as many callers
    ///   wait as [may](super::PoolPolicy::queue).
    /// - [`Configuration`](crate::ErrorKind::Configuration) if no account ever had the tag, or if
    ///   the deadline had passed before the request was awaited.
    /// - [`Reentrant`](crate::ErrorKind::Reentrant) if a login or refresh of this pool would have
    ///   to wait for the lease.
    /// - [`Closed`](crate::ErrorKind::Closed) if the pool was [closed](Self::close).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the caller leaves the queue. If a lease was on the way to it, the
    /// lease goes to the next waiter.
    pub fn lease(&self) -> LeaseRequest {
        LeaseRequest::new(Arc::clone(&self.0) as _)
    }

    /// Returns a handle to the account of that name, with its figures, and to take it out of
    /// service by hand.
    ///
    /// # Errors
    ///
    /// [`NoAccount`](crate::ErrorKind::NoAccount) if the pool has no account of that name.
    pub fn account(&self, name: &str) -> Result<PoolAccount, Error> {
        PoolAccount::find(&self.0, name)
    }

    /// Waits until at least `accounts` accounts serve, for the time `within` at most, on the pool's
    /// clock. A program may wait so before it takes calls.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::ErrorKind::Busy) if fewer serve when the time is up; the error says how
    /// many, and why the others do not. [`Closed`](crate::ErrorKind::Closed) if the pool was
    /// [closed](Self::close).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, only the wait ends.
    pub async fn wait_ready(&self, accounts: usize, within: Duration) -> Result<(), Error> {
        operating::wait_ready(&self.0, accounts, within).await
    }

    /// Returns a receiver for what happens to the pool from now on. After
    /// [`Closed`](PoolEvent::Closed) there are no further events.
    ///
    /// Events are sent by whatever thread changes the pool, outside of the pool's lock. A waker of
    /// a receiver that blocks its thread holds up later events, and no lease.
    pub fn events(&self) -> Events<PoolEvent> {
        self.0.listen()
    }

    /// Closes the pool, from when this is called. No login or refresh begins any more, and callers
    /// get no lease: those that wait, and all later ones, get an error of the kind
    /// [`Closed`](crate::ErrorKind::Closed). Leases that are held stay as they are, and no account
    /// can be added.
    ///
    /// The future waits until the logins, refreshes and revocations that are under way have ended,
    /// and what they brought is in the pool's [store](PoolBuilder::store), for the time `within` at
    /// most, in real time. Those that have not ended by then are cut off, which takes a second at
    /// most. With a store they are not cut off, so that no new refresh token is lost, and go on in
    /// the background for as long as their time-outs allow.
    ///
    /// A pool may be closed more than once, also at the same time: each call waits, and the first
    /// whose time is up cuts off what is under way. All reports say what came of closing in all.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the pool stays closed, and what is under way goes on.
    pub fn close(&self, within: Duration) -> impl Future<Output = CloseReport> + Send + use<> {
        operating::close(&self.0, within)
    }

    /// Waits until no login or refresh of an account is under way, and what they brought is in the
    /// pool's [store](PoolBuilder::store), so that a program can end without losing a rotated
    /// refresh token. If the store fails, saving is tried 20 times more, after a pause each, and
    /// then given up. Returns at once if the pool has no store.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, only the wait ends.
    pub async fn flush(&self) {
        self.0.flush().await;
    }

    /// Returns a snapshot of the pool. It takes a fraction of a millisecond, however many accounts
    /// there are, and lists at most 100 of those in quarantine.
    pub fn status(&self) -> PoolStatus {
        self.0.status()
    }

    /// Returns all accounts that do not serve, in no particular order. They are copied in portions,
    /// while the pool goes on: an account that returns meanwhile may be missing, and one that goes
    /// into quarantine may not be there yet.
    pub fn quarantined(&self) -> impl Iterator<Item = QuarantinedAccount> + use<> {
        let (pool, mut next) = (Arc::clone(&self.0), 0);
        let portions = std::iter::from_fn(move || {
            let (portion, from) = pool.quarantined_from(next)?;
            next = from;
            Some(portion)
        });
        portions.flatten()
    }
}

impl Pool {
    pub(in crate::pool) fn shared(&self) -> &Arc<PoolShared> {
        &self.0
    }
}

provide_leases!(Pool);

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("id", &self.0.id).field("status", &self.status()).finish()
    }
}
