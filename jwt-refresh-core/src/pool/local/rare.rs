//! What a pool holds of few accounts only: why one is in quarantine, and what went wrong with it
//! lately.
//!
//! A pool may have a million accounts, most of which have nothing of this. So it is behind one
//! pointer of the entry, which is null for them.

use super::limit_states::LimitStates;
use super::time::LONG_AGO;
use crate::error::Error;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::strikes::Strikes;

/// The unusual part of an account's state. An account that serves without trouble has none.
#[derive(Debug)]
pub(super) struct RareState {
    /// Why the account does not serve.
    pub(super) quarantine: Option<Quarantine>,
    /// When the exchange that failed is tried again, in nanoseconds since boot.
    pub(super) retry_at: Option<i64>,
    /// The 429s that count against the account.
    pub(super) strikes: Strikes,
    /// How many renewals in a row, each because of a 401, brought a token that was rejected, too.
    pub(super) rejected_renewals: u8,
    /// When the token was last renewed because of a 401, in nanoseconds since boot. `LONG_AGO` if
    /// it never was.
    pub(super) renewed_after_rejection: i64,
    /// The last failure of a login or refresh since one succeeded.
    pub(super) last_error: Option<Error>,
    /// The cause for which the account is out of service, as it was told by an event.
    pub(super) told: Option<QuarantineCause>,
    /// The states of the limits that depend on what a call costs, are strict, or learnt.
    pub(super) limits: Option<Box<LimitStates>>,
}

impl RareState {
    const EMPTY: Self = Self {
        quarantine: None,
        retry_at: None,
        strikes: Strikes::NONE,
        rejected_renewals: 0,
        renewed_after_rejection: LONG_AGO,
        last_error: None,
        told: None,
        limits: None,
    };

    /// Returns whether there is nothing in it. A field that is missing here does not compile.
    fn is_empty(&self) -> bool {
        let Self {
            quarantine,
            retry_at,
            strikes,
            rejected_renewals,
            renewed_after_rejection,
            last_error,
            told,
            limits,
        } = self;
        quarantine.is_none()
            && retry_at.is_none()
            && *strikes == Strikes::NONE
            && *rejected_renewals == 0
            && *renewed_after_rejection == LONG_AGO
            && last_error.is_none()
            && told.is_none()
            && limits.is_none()
    }

    /// Returns the cause of the quarantine, if the account is in quarantine.
    pub(super) fn cause(&self) -> Option<QuarantineCause> {
        self.quarantine.as_ref().map(|quarantine| quarantine.cause)
    }
}

static EMPTY: RareState = RareState::EMPTY;

/// A pointer to an account's [`RareState`], or to nothing while that is empty.
#[derive(Debug, Default)]
pub(super) struct Rare(Option<Box<RareState>>);

impl Rare {
    pub(super) fn get(&self) -> &RareState {
        self.0.as_deref().unwrap_or(&EMPTY)
    }

    /// Changes the state. Memory is taken when the state becomes more than empty, and is given back
    /// when it becomes empty again.
    pub(super) fn change<T>(&mut self, change: impl FnOnce(&mut RareState) -> T) -> T {
        if let Some(state) = &mut self.0 {
            let result = change(state);
            if state.is_empty() {
                self.0 = None;
            }
            return result;
        }
        let mut state = RareState::EMPTY;
        let result = change(&mut state);
        if !state.is_empty() {
            self.0 = Some(Box::new(state));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_held_only_while_there_is_something_to_hold() {
        let mut rare = Rare::default();
        assert_eq!(rare.change(|state| state.rejected_renewals), 0);
        assert!(rare.0.is_none());
        rare.change(|state| state.rejected_renewals = 3);
        rare.change(|state| {
            state.quarantine = Some(Quarantine { cause: QuarantineCause::Denied, until: None, error: None });
        });
        assert_eq!((rare.get().rejected_renewals, rare.get().cause()), (3, Some(QuarantineCause::Denied)));
        rare.change(|state| state.rejected_renewals = 0);
        assert!(rare.0.is_some());
        rare.change(|state| state.quarantine = None);
        assert!(rare.0.is_none() && rare.get().is_empty());
    }
}
