//! Why an account does not serve, and until when.

use std::fmt;

use crate::error::Error;

/// Why an account of a pool does not serve calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuarantineCause {
    /// The account was added, and has not logged in yet.
    Joining,
    /// Its token was rejected with 401.
    Rejected,
    /// The server refuses to log the account in, or to refresh its token.
    Denied,
    /// Its token has expired, and there is no new one yet: the server does not answer, or is out of
    /// order.
    Expired,
    /// Its token has served as many calls as its [usage cap](super::Account::usage_cap) allows.
    UsageCap,
    /// The server answered 429, and the account has to rest for longer than
    /// [callers wait](super::PoolPolicy::max_inline_wait) for it.
    RateLimited,
    /// Its quota is used up.
    QuotaUsedUp,
    /// Its [API key](super::Account::api_key) was rejected with 401. It does not return by itself:
    /// remove the account, and add it with another key.
    KeyRejected,
    /// Its tokens have ended, and it has [no login](super::Account::without_login). It does not
    /// return by itself: remove the account, and add it with other tokens.
    NoLogin,
    /// It was taken out of service [by hand](super::PoolAccount::quarantine).
    ByHand,
    /// It was [drained](super::PoolAccount::drain). It does not return until it is
    /// [lifted](super::PoolAccount::lift).
    Drained,
    /// Another process of the fleet has it at present. Callers may wait for it, and it serves here
    /// once this process has it. A [`Pool`](super::Pool) by itself has no such account.
    Elsewhere,
}

impl QuarantineCause {
    /// Each cause, its name for programs, and its text for people, in the order of the variants.
    /// The names do not change from release to release.
    const TABLE: [(Self, &'static str, &'static str); 12] = [
        (Self::Joining, "joining", "not logged in yet"),
        (Self::Rejected, "rejected", "token rejected"),
        (Self::Denied, "denied", "login denied"),
        (Self::Expired, "expired", "token expired"),
        (Self::UsageCap, "usage_cap", "usage cap reached"),
        (Self::RateLimited, "rate_limited", "rate-limited"),
        (Self::QuotaUsedUp, "quota_used_up", "quota used up"),
        (Self::KeyRejected, "key_rejected", "API key rejected"),
        (Self::NoLogin, "no_login", "no tokens and no login"),
        (Self::ByHand, "by_hand", "taken out by hand"),
        (Self::Drained, "drained", "drained"),
        (Self::Elsewhere, "elsewhere", "another process of the fleet has it"),
    ];

    /// Returns the name for programs.
    pub(super) const fn name(self) -> &'static str {
        Self::TABLE[self as usize].1
    }

    /// Returns the cause with a name for programs.
    #[cfg(feature = "redis")]
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(_, known, _)| *known == name).map(|(cause, ..)| *cause)
    }

    /// Returns whether the account never returns by itself: it has nothing to renew its token with,
    /// or it was drained.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::KeyRejected | Self::NoLogin | Self::Drained)
    }

    /// Returns whether the account returns once it has new tokens, which are to come.
    pub(super) fn needs_tokens(self) -> bool {
        !self.is_rest() && !self.is_final() && self != Self::Elsewhere
    }

    /// Returns whether the account rests for a time, so that new tokens would not help.
    pub(super) fn is_rest(self) -> bool {
        matches!(self, Self::RateLimited | Self::QuotaUsedUp | Self::ByHand | Self::Drained)
    }
}

impl fmt::Display for QuarantineCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::TABLE[*self as usize].2)
    }
}

/// As its name for programs.
#[cfg(feature = "redis")]
impl<'de> serde::Deserialize<'de> for QuarantineCause {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Self::by_name(&name).ok_or_else(|| serde::de::Error::custom("no cause of a quarantine has that name"))
    }
}

/// The quarantine of an account: why the account does not serve, and until when.
#[derive(Clone, Debug)]
pub(super) struct Quarantine {
    pub(super) cause: QuarantineCause,
    /// When the account returns, or a login is tried again, in nanoseconds since boot. `None` if
    /// new tokens are on their way: then callers may wait for the account. `Timestamp::NEVER` if it
    /// does not return by itself.
    pub(super) until: Option<i64>,
    /// The failure that led to the quarantine, if there was one.
    pub(super) error: Option<Error>,
}

/// How many accounts are in quarantine for each cause. It is kept up to date with each change, so
/// that nothing has to look at all accounts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CauseCounts([u32; QuarantineCause::TABLE.len()]);

impl CauseCounts {
    /// The counts of a pool that has no account in quarantine.
    #[cfg(feature = "metrics")]
    pub(super) const NONE: Self = Self([0; QuarantineCause::TABLE.len()]);

    /// Returns the counts of these accounts' causes.
    #[cfg(any(test, feature = "redis"))]
    pub(super) fn of_each(causes: impl IntoIterator<Item = QuarantineCause>) -> Self {
        let mut counts = Self::default();
        causes.into_iter().for_each(|cause| counts.change(None, Some(cause)));
        counts
    }

    /// Counts that an account's cause changed from `from` to `to`; `None` is no quarantine.
    pub(super) fn change(&mut self, from: Option<QuarantineCause>, to: Option<QuarantineCause>) {
        if let Some(count) = from.and_then(|cause| self.0.get_mut(cause as usize)) {
            *count -= 1;
        }
        if let Some(count) = to.and_then(|cause| self.0.get_mut(cause as usize)) {
            *count += 1;
        }
    }

    /// Returns how many accounts are in quarantine.
    pub(super) fn total(&self) -> usize {
        self.0.iter().map(|&count| count as usize).sum()
    }

    /// Returns how many accounts are in quarantine for a cause.
    pub(super) fn of(&self, cause: QuarantineCause) -> usize {
        self.0.get(cause as usize).map_or(0, |&count| count as usize)
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (QuarantineCause, u32)> {
        QuarantineCause::TABLE.into_iter().map(|(cause, ..)| cause).zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_count_of_its_own() {
        for (index, (cause, ..)) in QuarantineCause::TABLE.into_iter().enumerate() {
            let mut causes = CauseCounts::default();
            causes.change(None, Some(cause));
            assert_eq!((causes.0[index], causes.total()), (1, 1), "{cause}");
            assert_eq!(cause as usize, index, "{cause} stands elsewhere in the table");
            causes.change(Some(cause), None);
            assert_eq!(causes.total(), 0);
        }
    }
}
