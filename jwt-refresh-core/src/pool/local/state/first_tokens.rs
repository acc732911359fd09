//! Accounts that have a token without a login: captured tokens, and API keys.

use super::PoolState;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::pool::failure;
use crate::pool::local::entry::{AccountEntry, TokenTimes};
use crate::pool::local::rank::Slot;
use crate::pool::local::time::NEVER;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::renewal::IssuedTokens;
use crate::token::AccessToken;

impl PoolState {
    /// Gives a new account tokens that were captured elsewhere.
    pub(super) fn captured(&mut self, slot: Slot, issued: IssuedTokens, now: i64) {
        if issued.life.expires.boot.as_nanos() > now {
            return self.renewed(slot, issued, now);
        }
        if let Some(entry) = self.table.get_mut(slot) {
            entry.set_credential(issued.credential);
            self.exchange_due(slot, now);
        }
    }

    /// Returns an error if another account of the pool has the key already.
    pub(super) fn expect_new_key(&self, name: &str, key: &AccessToken) -> Result<(), Error> {
        let other = self.keys.account_with(key).and_then(|slot| self.table.get(slot));
        match other {
            Some(other) => Err(failure::duplicate_key(name, other.identity.name())),
            None => Ok(()),
        }
    }

    /// Gives a new account its API key, with which it serves at once.
    pub(super) fn key_given(&mut self, slot: Slot, key: AccessToken, now: i64) {
        self.keys.insert(&key, slot);
        self.last_generation += 1;
        let generation = self.last_generation;
        if let Some(entry) = self.table.get_mut(slot) {
            entry.token = Some(key.issued(Timestamp::NEVER, generation));
            entry.times = TokenTimes { due: NEVER, expires: NEVER };
            self.counters.token_issued(NEVER);
            self.set_quarantine(slot, None);
            self.dispatch(slot, now);
        }
    }

    /// Has a rejected key tried anew: calls that were leased before do not count for it any more.
    pub(super) fn try_key_again(&mut self, slot: Slot) {
        self.last_generation += 1;
        let generation = self.last_generation;
        if let Some(entry) = self.table.get_mut(slot) {
            entry.token = entry.token.take().map(|key| key.issued(Timestamp::NEVER, generation));
        }
    }

    /// Takes an account out of service whose API key was answered 401. Nothing can renew it. One
    /// that is drained stays so: it is out of service as it is.
    pub(super) fn key_rejected(&mut self, slot: Slot) {
        let error = Error::new(ErrorKind::Denied, "the API key was rejected with 401");
        let is_drained = |entry: &AccountEntry| entry.rare.get().cause() == Some(QuarantineCause::Drained);
        let is_drained = self.table.get(slot).is_some_and(is_drained);
        let cause = if is_drained { QuarantineCause::Drained } else { QuarantineCause::KeyRejected };
        self.set_quarantine(slot, Some(Quarantine { cause, until: Some(NEVER), error: Some(error) }));
    }
}
