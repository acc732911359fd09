//! One account of a pool, to look at, to limit, and to take out of service by hand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::entry::AccountHandle;
use super::shared::PoolShared;
use super::state::{DrainProgress, PoolState};
use super::time::after;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::pool::account::NamedAuthenticator;
use crate::pool::account_stats::AccountStats;
use crate::pool::failure;
use crate::pool::limit::Limit;

/// A handle to one account of a pool, returned by [`Pool::account`](super::Pool::account). It keeps
/// the pool alive.
///
/// If the account was removed, the methods return an error of the kind
/// [`NoAccount`](crate::ErrorKind::NoAccount), also if another account was added by the same name.
///
/// ```
/// # use std::time::Duration;
/// # async fn doc(pool: jwt_refresh::pool::Pool) -> Result<(), jwt_refresh::Error> {
/// let ada = pool.account("ada@example.com")?;
/// ada.quarantine("its owner is on leave", Duration::from_secs(86_400))?;
/// println!("{:?}", ada.stats()?);
/// ada.lift()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PoolAccount {
    pool: Arc<PoolShared>,
    handle: AccountHandle,
    identity: Arc<dyn NamedAuthenticator>,
}

impl PoolAccount {
    pub(super) fn find(pool: &Arc<PoolShared>, name: &str) -> Result<Self, Error> {
        let found =
            pool.change(|state, _| state.account(name).map(|(handle, entry)| (handle, Arc::clone(&entry.identity))));
        let (handle, identity) = found.ok_or_else(|| failure::unknown_account(name))?;
        Ok(Self { pool: Arc::clone(pool), handle, identity })
    }

    /// Returns the account's name.
    pub fn name(&self) -> &str {
        self.identity.name()
    }

    /// Returns the account's figures, also of a pool that was closed.
    ///
    /// # Errors
    ///
    /// [`NoAccount`](crate::ErrorKind::NoAccount) if the account was removed.
    pub fn stats(&self) -> Result<AccountStats, Error> {
        let stats = self.pool.change(|state, now| state.stats(self.handle, &self.pool.policy, now));
        stats.ok_or_else(|| self.removed())
    }

    /// Takes the account out of service for a time. Leases that are held stay as they are, and the
    /// account stays logged in. Callers that wait for it get another account, or an error of the
    /// kind [`NoAccount`](crate::ErrorKind::NoAccount) if there is none. A time too long for a
    /// clock (`Duration::MAX`) means until it is [lifted](Self::lift).
    ///
    /// A later call sets the time anew. An account that rests for longer, is drained, or does not
    /// return by itself stays as it is.
    ///
    /// `reason` is shown in the status, and is the cause of errors of callers. It must not contain
    /// a secret.
    ///
    /// # Errors
    ///
    /// [`NoAccount`](crate::ErrorKind::NoAccount) if the account was removed,
    /// [`Closed`](crate::ErrorKind::Closed) if the pool was closed.
    pub fn quarantine(&self, reason: impl Into<String>, time: Duration) -> Result<(), Error> {
        let reason = Error::new(ErrorKind::NoAccount, reason).advising("lift the quarantine to use the account again");
        self.change(|state, handle, now| state.quarantine_by_hand(handle, after(now, time), reason))
    }

    /// Puts the account back into service, from whatever quarantine, and forgets its 429s. An
    /// account without a token logs in at once, unless its token endpoint is left alone; a login
    /// that fails again is followed by the pause that would have come next. An API key that was
    /// rejected is tried again; rejections of calls leased before do not count. An account that
    /// serves is left as it is.
    ///
    /// # Errors
    ///
    /// [`NoAccount`](crate::ErrorKind::NoAccount) if the account was removed,
    /// [`Closed`](crate::ErrorKind::Closed) if the pool was closed.
    pub fn lift(&self) -> Result<(), Error> {
        self.change(PoolState::lift)
    }

    /// Takes the account out of service until it is [lifted](Self::lift), from when this is called,
    /// whatever becomes of the future. The account keeps its token, which is renewed. Callers that
    /// wait for it get another account, or an error of the kind
    /// [`NoAccount`](crate::ErrorKind::NoAccount) if there is none.
    ///
    /// The future waits until no lease of the account is held, for the time `within` at most, on
    /// the pool's clock.
    ///
    /// # Errors
    ///
    /// - [`Busy`](crate::ErrorKind::Busy) if leases are still held when the time is up.
    /// - [`Aborted`](crate::ErrorKind::Aborted) if the account was lifted meanwhile.
    /// - [`NoAccount`](crate::ErrorKind::NoAccount) if it was removed, before or meanwhile.
    /// - [`Closed`](crate::ErrorKind::Closed) if the pool was closed before.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, only the wait ends.
    pub fn drain(&self, within: Duration) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let begun = self.change(|state, handle, _| state.drain(handle));
        let deadline = Moment::since_boot((self.pool.clock.moment() + within).boot);
        let this = self.clone();
        async move {
            begun?;
            let look = |state: &mut PoolState, _| match state.drain_progress(this.handle) {
                DrainProgress::Held(1..) => None,
                progress => Some(progress),
            };
            let ended = this.pool.wait_for(&this.pool.clock, deadline, look).await?;
            match ended.unwrap_or_else(|| this.pool.change(|state, _| state.drain_progress(this.handle))) {
                DrainProgress::Held(0) => Ok(()),
                DrainProgress::Held(held) => Err(this.not_drained(held, within)),
                DrainProgress::Lifted => Err(this.lifted()),
                DrainProgress::Removed => Err(this.removed()),
            }
        }
    }

    /// Gives the account other limits, without a new login: `limits` take the place of its
    /// [rate](crate::pool::Account::rate) and of all that it was
    /// [given](crate::pool::Account::limit), also of [shared](Limit::shared) ones.
    ///
    /// What was spent counts on where a limit is of the same kind as one before: what is owed of a
    /// rate, the calls of a strict limit, what was spent of a day. What a server has told is
    /// remembered. Leases that are held count for the limits that they were charged to, and for
    /// strict limits that are new; callers that wait are served as the new limits allow, and told
    /// if no account ever will.
    ///
    /// # Errors
    ///
    /// - [`Configuration`](crate::ErrorKind::Configuration) if a limit lets nothing through, or if
    ///   another account shares another limit of the same name. The account keeps its limits then.
    /// - [`NoAccount`](crate::ErrorKind::NoAccount) if the account was removed,
    ///   [`Closed`](crate::ErrorKind::Closed) if the pool was closed.
    pub fn set_limits(&self, limits: impl IntoIterator<Item = Limit>) -> Result<(), Error> {
        let limits: Vec<_> = limits.into_iter().collect();
        self.change(|state, handle, now| state.set_limits(handle, &limits, now)).flatten()
    }

    /// Sets how many leases of the account may be held at once, without a new login: see
    /// [`Account::concurrency`](crate::pool::Account::concurrency). Leases that are held stay as
    /// they are.
    ///
    /// # Errors
    ///
    /// [`NoAccount`](crate::ErrorKind::NoAccount) if the account was removed,
    /// [`Closed`](crate::ErrorKind::Closed) if the pool was closed.
    pub fn set_concurrency(&self, leases: u32) -> Result<(), Error> {
        self.change(|state, handle, now| state.set_concurrency(handle, leases, now))
    }

    /// Changes the account, unless it was removed or the pool was closed.
    fn change<T>(&self, change: impl FnOnce(&mut PoolState, AccountHandle, i64) -> T) -> Result<T, Error> {
        let changed = self.pool.change(|state, now| {
            state.expect_open().map(|()| state.has(self.handle).then(|| change(state, self.handle, now)))
        });
        changed?.ok_or_else(|| self.removed())
    }

    fn removed(&self) -> Error {
        failure::removed_account(self.name())
    }

    fn lifted(&self) -> Error {
        let what = format!("the account {:?} was lifted while it was drained", self.name());
        Error::new(ErrorKind::Aborted, what).advising("drain it again, if it is to be out of service")
    }

    fn not_drained(&self, held: u32, within: Duration) -> Error {
        let what = format!("{held} leases of the account {:?} are held after {within:.1?}", self.name());
        Error::new(ErrorKind::Busy, what).advising("end the calls that hold them, or wait longer")
    }
}

impl fmt::Debug for PoolAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolAccount")
            .field("name", &self.name())
            .field("stats", &self.stats().ok())
            .finish_non_exhaustive()
    }
}
