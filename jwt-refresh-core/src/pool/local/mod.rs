//! The pool on one machine.
//!
//! `state` is the machine that decides, and `shared` the lock round it. The state has a `table` with an
//! `entry` for each account, the `tags` that callers can ask for, the `waiters`, the `ready_queue`,
//! which is the order in which accounts serve, and the `quarantined` accounts.
//!
//! `acquire` is how a caller gets a lease. The `scheduler` is the one task that has accounts logged in
//! and refreshed; each such `job` is done by a task of `renew`.

mod acquire;
mod builder;
mod entry;
mod heap;
mod job;
mod pages;
mod quarantined;
mod rank;
mod ready_queue;
mod renew;
mod scheduler;
mod shared;
mod state;
mod table;
mod tags;
mod time;
mod waiters;

use std::fmt;
use std::sync::Arc;

use self::shared::PoolShared;
use super::account::Account;
use super::provider::provide_leases;
use super::request::LeaseRequest;
use super::status::PoolStatus;
use crate::error::Error;

pub use builder::PoolBuilder;

/// Many accounts that stay logged in, for calls that are more than one account may make.
///
/// Each call gets a [`Lease`] of one account: by default of the one that can serve soonest, within its rate, its concurrency and
/// the cap on its token's use. If none can, callers wait in the order in which they came. One task in the background logs all
/// accounts in and renews their tokens, so that callers never do. An account whose server refuses it goes into quarantine, and
/// returns by itself once it can log in.
///
/// With the feature `metrics`, what [`status`](Self::status) says is also there as gauges, `jwt_refresh_pool_…`, which the task in the
/// background sets every five seconds.
///
/// Clones are handles to the same pool. That task ends when the last of them, and the last lease, is dropped.
///
/// ```no_run
/// # #[cfg(feature = "reqwest")]
/// # async fn doc(logins: Vec<(String, String)>) -> Result<(), jwt_refresh_core::Error> {
/// # use std::time::Duration;
/// use jwt_refresh_core::pool::{Account, Pool};
/// use jwt_refresh_core::HttpAuthenticator;
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
/// With the attribute, `#[refresh_token(from = self.pool, token, retry)]`: `token` is the lease then, and a 401 is reported and
/// the body run again with a lease that may be another account's. A 401 to that one is reported, too: an account whose token was just
/// renewed goes into quarantine by it. What else an answer says of the account, the body tells the lease:
/// `token.rate_limited(retry_after)` after a 429, `token.quota_used_up(resets_in)`, and `token.fine()` if all went well, which may be
/// left out.
///
/// A method that does not bind its token with `token` does not compile: it would be charged for a lease that nobody uses. (Name the
/// pool by `from`; of a field called `session` the compiler is not asked.)
#[derive(Clone)]
pub struct Pool(Arc<PoolShared>);

impl Pool {
    /// Adds an account, which logs in in the background and serves from then on.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if the pool has an account of that name, or if the account's rate lets
    /// nothing through.
    pub fn add(&self, account: Account) -> Result<(), Error> {
        self.0.add(account)
    }

    /// Removes an account; whether there was one of that name. Leases of it that are held stay as they are; callers that waited for
    /// it alone get another.
    ///
    /// Its refresh token is [revoked](crate::Authenticator::revoke) in the background: also the one that a login or refresh under
    /// way still brings. A revocation that fails is logged, and not tried again. A server that then refuses the access token, too,
    /// answers calls of leases that are held with 401.
    pub fn remove(&self, name: &str) -> bool {
        let (removed, job) = self.0.change(|state, now| (state.remove(name), state.begin(&self.0.policy, now)));
        // Not left to the scheduler, which ends with the pool: that may be dropped next.
        if let Some(job) = job {
            renew::spawn(&self.0, job);
        }
        removed.is_some()
    }

    /// Asks for a lease. `.await` it, or say before what it shall be: `pool.lease().tag("eu").within(time).await`.
    ///
    /// # Errors
    ///
    /// - [`NoAccount`](crate::ErrorKind::NoAccount) if the pool is empty, or if all accounts (with the tag) are in quarantine and
    ///   none has new tokens on the way; then it says when the first returns, and why it is there.
    /// - [`Busy`](crate::ErrorKind::Busy) if none came free in time, or if too many callers wait already.
    /// - [`Configuration`](crate::ErrorKind::Configuration) if no account ever had the tag, or if the deadline has passed before
    ///   anything was asked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the queue; a lease that came meanwhile goes to the next caller.
    pub fn lease(&self) -> LeaseRequest {
        LeaseRequest::new(Arc::clone(&self.0) as _)
    }

    /// How the pool is doing.
    pub fn status(&self) -> PoolStatus {
        self.0.status()
    }
}

provide_leases!(Pool);

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("id", &self.0.id).field("status", &self.status()).finish()
    }
}
