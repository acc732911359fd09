//! What happens to an account by the passing of time: its exchange is due, or its token expires.
//! Each account has one alarm, for whichever comes first.

use super::PoolState;
use crate::pool::local::entry::ExchangeState;
use crate::pool::local::rank::{Rank, Slot};
use crate::pool::local::time::NEVER;
use crate::pool::quarantine::Quarantine;
#[cfg(feature = "redis")]
use crate::pool::quarantine::QuarantineCause;

/// How many alarms are handled with each change of the state. Many may come at once, after the
/// machine was suspended; the scheduler handles the rest in further changes, so that callers get
/// leases in between.
const ALARMS_AT_ONCE: usize = 32;

impl PoolState {
    /// Handles alarms that are due.
    pub(super) fn handle_alarms(&mut self, now: i64) {
        self.endpoints.end_rests(now);
        for _ in 0..ALARMS_AT_ONCE {
            let Some(slot) = self.timers.due(now) else { break };
            self.alarm(slot, now);
        }
        for _ in 0..ALARMS_AT_ONCE {
            let Some(slot) = self.endpoints.next_to_tell() else { break };
            self.wait_for_endpoint(slot, now);
        }
    }

    fn alarm(&mut self, slot: Slot, now: i64) {
        self.timers.set(slot, None);
        let Some(entry) = self.table.get(slot) else { return };
        let retry_at = entry.rare.get().retry_at;
        if entry.exchange == ExchangeState::Planned && retry_at.is_none_or(|retry_at| retry_at <= now) {
            self.exchange_due(slot, now);
        }
        self.expire(slot, now);
        self.drop_expired_token(slot, now);
        self.set_alarm(slot);
        self.dispatch(slot, now);
    }

    fn drop_expired_token(&mut self, slot: Slot, now: i64) {
        if self.table.get(slot).is_some_and(|entry| now >= entry.times.expires) {
            #[cfg(feature = "redis")]
            self.note_spent(slot, QuarantineCause::Expired);
            self.take_token(slot, now);
        }
    }

    /// Sets the account's alarm. One for an exchange that is planned, and did not fail before, is
    /// set already: it comes before the token expires.
    pub(super) fn set_alarm(&mut self, slot: Slot) {
        let Some(entry) = self.table.get(slot) else { return };
        let retry_at = match entry.exchange {
            ExchangeState::Planned if entry.failures == 0 => return,
            ExchangeState::Planned => entry.rare.get().retry_at,
            ExchangeState::Due(_) | ExchangeState::Running => None,
            #[cfg(feature = "redis")]
            ExchangeState::Supplied => None,
        };
        let expires = entry.token.as_ref().map(|_| match entry.quarantine() {
            None => entry.usable_until(),
            Some(_) => entry.times.expires,
        });
        let alarm = [retry_at, expires.filter(|time| *time != NEVER)].into_iter().flatten().min();
        self.timers.set(slot, alarm.map(Rank::at));
    }

    /// Closes an account that needs new tokens whose endpoint is left alone: callers do not wait
    /// for it until its exchange begins.
    pub(super) fn wait_for_endpoint(&mut self, slot: Slot, now: i64) {
        let Some(entry) = self.table.get(slot) else { return };
        let Some((until, error)) = self.endpoints.left_alone(entry.limits.endpoint) else { return };
        let waits = matches!(entry.exchange, ExchangeState::Due(_)) && until > now;
        let quarantine = entry.quarantine().filter(|this| waits && !this.cause.is_rest() && this.until.is_none());
        if let Some(&Quarantine { cause, .. }) = quarantine {
            let error = Some(error.clone());
            self.set_quarantine(slot, Some(Quarantine { cause, until: Some(NEVER), error }));
        }
    }
}
