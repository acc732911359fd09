//! Why an account does not serve, and until when.

use std::fmt;

use crate::error::Error;

/// Why an account of a pool does not serve calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuarantineCause {
    /// It was added, and has not logged in yet.
    Joining,
    /// Its token was rejected with 401.
    Rejected,
    /// The server refuses to log it in, or to refresh its token.
    Denied,
    /// Its token has expired, and the server does not answer, or is out of order.
    Expired,
    /// Its token has served as many calls as one may.
    UsageCap,
    /// It was answered 429, and has to rest for longer than a caller waits in line for it.
    RateLimited,
    /// Its quota is used up.
    QuotaUsedUp,
}

impl QuarantineCause {
    /// Each cause, the name that programs know it by, and what people read. The names do not change
    /// from release to release.
    const TABLE: [(Self, &'static str, &'static str); 7] = [
        (Self::Joining, "joining", "not logged in yet"),
        (Self::Rejected, "rejected", "token rejected"),
        (Self::Denied, "denied", "login denied"),
        (Self::Expired, "expired", "token expired"),
        (Self::UsageCap, "usage_cap", "usage cap reached"),
        (Self::RateLimited, "rate_limited", "rate-limited"),
        (Self::QuotaUsedUp, "quota_used_up", "quota used up"),
    ];

    /// What programs know it by.
    pub(super) const fn name(self) -> &'static str {
        Self::TABLE[self as usize].1
    }

    /// The cause that programs know by `name`.
    #[cfg(feature = "redis")]
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(_, known, _)| *known == name).map(|(cause, ..)| *cause)
    }

    /// Whether the account rests until a time, and new tokens would not help.
    pub(super) fn is_rest(self) -> bool {
        matches!(self, Self::RateLimited | Self::QuotaUsedUp)
    }
}

impl fmt::Display for QuarantineCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::TABLE[*self as usize].2)
    }
}

/// An account that does not serve.
#[derive(Clone, Debug)]
pub(super) struct Quarantine {
    pub(super) cause: QuarantineCause,
    /// When it returns, or is tried again, in nanoseconds since boot. `None`: new tokens are on their way, and callers may wait.
    pub(super) until: Option<i64>,
    pub(super) error: Option<Error>,
}

/// How many accounts do not serve, by why: to be had without looking at each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CauseCounts([u32; QuarantineCause::TABLE.len()]);

impl CauseCounts {
    /// An account went into quarantine, out of it, or has another cause to be there.
    pub(super) fn change(&mut self, from: Option<QuarantineCause>, to: Option<QuarantineCause>) {
        if let Some(count) = from.and_then(|cause| self.0.get_mut(cause as usize)) {
            *count -= 1;
        }
        if let Some(count) = to.and_then(|cause| self.0.get_mut(cause as usize)) {
            *count += 1;
        }
    }

    pub(super) fn total(&self) -> usize {
        self.0.iter().map(|&count| count as usize).sum()
    }

    #[cfg(feature = "metrics")]
    pub(super) fn each(&self) -> impl Iterator<Item = (QuarantineCause, u32)> {
        QuarantineCause::TABLE.into_iter().map(|(cause, ..)| cause).zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_count_of_its_own() {
        for (place, (cause, ..)) in QuarantineCause::TABLE.into_iter().enumerate() {
            let mut causes = CauseCounts::default();
            causes.change(None, Some(cause));
            assert_eq!((causes.0[place], causes.total()), (1, 1), "{cause}");
            assert_eq!(cause as usize, place, "{cause} stands elsewhere in the table");
            causes.change(Some(cause), None);
            assert_eq!(causes.total(), 0);
        }
    }
}
