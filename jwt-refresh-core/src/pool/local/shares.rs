//! What a fleet does with the pool of one of its processes: it says which accounts the process has
//! a share of, supplies their tokens, and is told of what changes.
//!
//! The accounts of such a pool are added by `add_elsewhere`. They never log in here: their tokens
//! are supplied. A process that logs accounts in has an ordinary pool, and watches that.

use std::time::Duration;

use super::Pool;
use super::key_ring::hash;
use super::state::PoolState;
use crate::clock::Moment;
use crate::error::Error;
use crate::pool::account::Account;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::request::LeaseTerms;
use crate::pool::share::{AccountChange, AccountState, Demand, KnownState, Share, SuppliedToken};

impl Pool {
    /// Adds an account that this process has no share of, and whose tokens are supplied.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub(in crate::pool) fn add_elsewhere(&self, account: Account) -> Result<(), Error> {
        self.0.add_elsewhere(account)
    }

    /// Gives an account whose tokens are supplied other limits and tags, in place of its own. Its
    /// leases go on to count. A share of it stays, and is to be [supplied](Self::supply) with a
    /// token. Returns whether there is such an account.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub(in crate::pool) fn redefine(&self, account: &Account) -> Result<bool, Error> {
        self.0.change(|state, now| state.redefine(account, now))
    }

    /// Gives this process a share of an account. Returns whether it has one now: `false` if there
    /// is no such account here whose tokens are supplied. A share that it has already is
    /// [changed](Self::change_share).
    ///
    /// The account serves once it is [supplied](Self::supply) with a token, until then it stays
    /// [`Elsewhere`](QuarantineCause::Elsewhere). `offset` is what the reference clock of `before`
    /// is ahead of the time since boot here.
    pub(in crate::pool) fn grant_share(&self, name: &str, share: Share, before: &KnownState, offset: i64) -> bool {
        self.0.change(|state, now| state.grant_share(name, share, before, offset, now))
    }

    /// Changes the share that this process has of an account.
    pub(in crate::pool) fn change_share(&self, name: &str, share: Share) {
        self.0.change(|state, now| state.change_share(name, share, now));
    }

    /// Takes the share of an account away from this process. Returns the state to be handed over,
    /// or `None` if there was no share. Leases that are held stay as they are.
    pub(in crate::pool) fn release_share(&self, name: &str, offset: i64) -> Option<AccountState> {
        self.0.change(|state, now| state.release_share(name, offset, now))
    }

    /// Returns the state of an account that this process has a share of.
    pub(in crate::pool) fn state_of(&self, name: &str, offset: i64) -> Option<AccountState> {
        self.0.change(|state, now| state.state_of(name, offset, now))
    }

    /// Returns the state of an account with quotas, to be told the fleet with what may be spent of
    /// these beside. That may be used here once it is [confirmed](Self::confirm_reserve).
    pub(in crate::pool) fn reserve(&self, name: &str, share_time: Duration, offset: i64) -> Option<AccountState> {
        self.0.change(|state, now| state.reserve(name, share_time, offset, now))
    }

    /// Says that the fleet was told of what was [reserved](Self::reserve).
    pub(in crate::pool) fn confirm_reserve(&self, name: &str) {
        self.0.change(|state, now| state.confirm_reserve(name, now));
    }

    /// Gives an account a token, if this process has a share of it, and if the token is newer than
    /// the one that it has, or has used up.
    pub(in crate::pool) fn supply(&self, name: &str, token: SuppliedToken) {
        self.0.change(|state, now| state.supply(name, token, now));
    }

    /// Takes an account out of service for what another process says of it, whether this process
    /// has a share of it or not. `until` is as that of a [`Quarantine`], in nanoseconds since boot.
    pub(in crate::pool) fn set_unavailable(
        &self,
        name: &str,
        cause: QuarantineCause,
        until: Option<i64>,
        error: Option<Error>,
    ) {
        let quarantine = Quarantine { cause, until, error };
        self.0.change(|state, now| state.set_unavailable(name, quarantine, now));
    }

    /// Lets an account, of which this process has a part, rest for what another that has one was
    /// told. `until` is in nanoseconds since boot.
    pub(in crate::pool) fn rest_as_told_others(&self, name: &str, cause: QuarantineCause, until: i64) {
        let rest = Quarantine { cause, until: Some(until), error: None };
        self.0.change(|state, now| state.rest_as_told_others(name, rest, now));
    }

    /// Ends what [`set_unavailable`](Self::set_unavailable) has begun.
    pub(in crate::pool) fn set_available(&self, name: &str) {
        self.0.change(|state, now| state.set_available(name, now));
    }

    /// Keeps track of which accounts change from now on. All that the pool has count as changed.
    pub(in crate::pool) fn watch(&self) {
        self.0.change(|state, _| state.watch());
    }

    /// Takes at most `most` accounts that have changed since they were taken last, with what is
    /// true of them now.
    pub(in crate::pool) fn take_changed(&self, most: usize) -> Vec<AccountChange> {
        self.0.change(|state, now| state.take_changed(most, now))
    }

    /// Waits until an account has changed that is not taken yet. Nothing is lost if the future is
    /// dropped.
    pub(in crate::pool) async fn changed(&self) {
        self.wait_until(|state, _| state.has_changed().then_some(())).await;
    }

    /// Has the token of that sequence replaced, as if the holder of a lease had reported that it
    /// was rejected, or its usage cap reached. If the account has another token, nothing happens
    /// but that the account counts as changed.
    pub(in crate::pool) fn renew_rejected(&self, name: &str, sequence: u64, cause: QuarantineCause) {
        self.0.change(|state, now| state.renew_rejected(name, sequence, cause, &self.0.policy, now));
    }

    /// Has the token replaced if its sequence is below `sequence`, which another token of the
    /// account has; until then it serves. If it is not, the token was got since it was told, and is
    /// told.
    pub(in crate::pool) fn catch_up(&self, name: &str, sequence: u64) {
        self.0.change(|state, now| state.catch_up(name, sequence, now));
    }

    /// Returns what callers ask for: at most 64 tags and 64 accounts, those that most callers wait
    /// for, and then those tags that are used most.
    pub(in crate::pool) fn demand(&self) -> Demand {
        self.0.change(|state, _| state.demand())
    }

    /// Returns the same, to be told: from now on it is counted anew which leases callers are given.
    pub(in crate::pool) fn take_demand(&self) -> Demand {
        self.0.change(|state, _| state.take_demand())
    }

    /// Returns whether an account serves here that a caller may be given who asks by `terms`.
    pub(in crate::pool) fn serves(&self, terms: &LeaseTerms) -> bool {
        let key = terms.key.as_deref().map(hash);
        let selector = |state: &PoolState| state.selector(terms.tag.as_deref(), key, terms.cost);
        self.0.change(|state, _| selector(state).is_ok_and(|selector| state.serves(selector)))
    }

    /// Waits until a caller has begun to wait, since this returned last, for a tag or an account
    /// that nothing here can serve. Nothing is lost if the future is dropped.
    pub(in crate::pool) async fn demand_arose(&self) {
        self.wait_until(|state, _| state.take_new_demand().then_some(())).await;
    }

    /// Lets all shares end at a time since boot, until this is called again: from then on no
    /// account that is held gives a lease. Until this is called first, shares do not end.
    pub(in crate::pool) fn shares_end_at(&self, until_boot_ns: i64) {
        self.0.change(|state, now| state.shares_end_at(until_boot_ns, now));
    }

    /// Says why the fleet cannot be reached. While it cannot, and the shares have
    /// [ended](Self::shares_end_at), callers get this error instead of waiting.
    pub(in crate::pool) fn set_disconnected(&self, error: Option<Error>) {
        self.0.change(|state, _| state.set_disconnected(error));
    }

    /// Returns how many leases were given in the last minute.
    pub(in crate::pool) fn calls_per_minute(&self) -> f64 {
        self.0.change(|state, now| state.counters.per_minute(now))
    }

    /// Returns how many logins and refreshes have succeeded, and how many have failed.
    pub(in crate::pool) fn exchange_counts(&self) -> (u64, u64) {
        self.0.exchange_counts()
    }

    /// Waits until `look` finds something. In a fork that never happens.
    async fn wait_until(&self, look: impl FnMut(&mut PoolState, i64) -> Option<()>) {
        if self.0.wait_for(&self.0.clock, Moment::NEVER, look).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
