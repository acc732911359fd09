//! Why an account does not serve, and until when.

use std::fmt;

use crate::Error;

/// Why an account of a pool does not serve calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
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
    /// It was answered 429, and has to rest for longer than the policy's patience.
    RateLimited,
    /// Its quota is used up.
    QuotaUsedUp,
}

impl Cause {
    /// All there are, in the order of their declaration.
    pub(super) const ALL: [Self; 7] = [
        Self::Joining,
        Self::Rejected,
        Self::Denied,
        Self::Expired,
        Self::UsageCap,
        Self::RateLimited,
        Self::QuotaUsedUp,
    ];

    /// What programs know it by, which does not change from release to release.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Rejected => "rejected",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::UsageCap => "usage_cap",
            Self::RateLimited => "rate_limited",
            Self::QuotaUsedUp => "quota_used_up",
        }
    }

    /// Whether the account rests until a time, and new tokens would not help.
    pub(super) fn is_rest(self) -> bool {
        matches!(self, Self::RateLimited | Self::QuotaUsedUp)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Joining => "not logged in yet",
            Self::Rejected => "token rejected",
            Self::Denied => "login denied",
            Self::Expired => "token expired",
            Self::UsageCap => "usage cap reached",
            Self::RateLimited => "rate-limited",
            Self::QuotaUsedUp => "quota used up",
        })
    }
}

/// An account that does not serve.
#[derive(Clone, Debug)]
pub(super) struct Quarantine {
    pub(super) cause: Cause,
    /// When it returns, or is tried again, in nanoseconds since boot. `None`: new tokens are on their way, and callers may wait.
    pub(super) until: Option<i64>,
    pub(super) error: Option<Error>,
}

/// How many accounts do not serve, by why: to be had without looking at each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Causes([u32; Cause::ALL.len()]);

impl Causes {
    /// An account went into quarantine, out of it, or has another cause to be there.
    pub(super) fn change(&mut self, from: Option<Cause>, to: Option<Cause>) {
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
    pub(super) fn each(&self) -> impl Iterator<Item = (Cause, u32)> {
        Cause::ALL.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_count_of_its_own() {
        for (place, cause) in Cause::ALL.into_iter().enumerate() {
            let mut causes = Causes::default();
            causes.change(None, Some(cause));
            assert_eq!((causes.0[place], causes.total()), (1, 1), "{cause}");
            causes.change(Some(cause), None);
            assert_eq!(causes.total(), 0);
        }
    }
}
