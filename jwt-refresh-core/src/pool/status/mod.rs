//! The status of a pool, in numbers and as a table.

mod serialize;

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::pool::quarantine::{CauseCounts, QuarantineCause};

/// A snapshot of a pool, returned by [`Pool::status`](crate::pool::Pool::status). `Display` shows
/// it as a table, and `serde::Serialize` is for programs:
///
/// ```json
/// {
///   "health": "degraded",
///   "accounts": 2,
///   "active": 1,
///   "auth_workers": null,
///   "failing": 0,
///   "quarantined": [
///     { "account": "ada@example.com", "cause": "rate_limited", "returns_in_seconds": 12.5 }
///   ],
///   "quarantined_by_cause": { "rate_limited": 1 },
///   "waiting": 3,
///   "leases": 12345,
///   "leases_timed_out": 0,
///   "average_ttl_seconds": 1800.0,
///   "refresh_success": 0.987,
///   "requests_per_token_per_minute": 12.3,
///   "auth_overhead": 0.012
/// }
/// ```
///
/// A `null` stands for `None`, and durations are in seconds. The names do not change; others may be
/// added.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolStatus {
    /// How many accounts the pool was given: the target for `active`.
    pub accounts: usize,
    /// How many accounts serve. In a fleet, an account whose token has expired does not, also if
    /// no auth worker lives that would say so.
    pub active: usize,
    /// How many auth workers of the fleet live: those that have told Redis of themselves within
    /// the last five seconds. `None` for a pool on one machine and for one process of a fleet,
    /// which know of none.
    pub auth_workers: Option<usize>,
    /// How many accounts cannot renew their tokens at present: their last login or refresh failed,
    /// or their token endpoint is out of order. Those among them that have a token serve until it
    /// expires. In a fleet, as the auth worker says that has most of them.
    pub failing: usize,
    /// The accounts that do not serve: at most 100, those first that return first.
    /// [`quarantined_for`](Self::quarantined_for) counts all of them, and
    /// [`Pool::quarantined`](crate::pool::Pool::quarantined) lists them.
    pub quarantined: Vec<QuarantinedAccount>,
    /// How many accounts do not serve, for each cause.
    pub(in crate::pool) causes: CauseCounts,
    /// How many callers wait for a lease.
    pub waiting: usize,
    /// How many leases the pool has given so far. In a fleet, those of the processes that are in it
    /// now.
    pub leases: u64,
    /// How many of them were not given back within the
    /// [time-out](crate::pool::PoolPolicy::lease_timeout). The status of a fleet does not count
    /// them, and says 0; that of each process does.
    pub leases_timed_out: u64,
    /// How long the tokens held live from now on, on average; `None` if there is none that expires.
    pub average_ttl: Option<Duration>,
    /// The share of logins and refreshes that succeeded, from 0 to 1; `None` before the first.
    pub refresh_success: Option<f64>,
    /// Leases within the last minute, divided by the number of accounts that serve.
    pub requests_per_token_per_minute: f64,
    /// Logins and refreshes, whether they succeeded or not, divided by the number of leases.
    pub auth_overhead: f64,
}

/// An account that does not serve.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QuarantinedAccount {
    /// The account's name.
    pub account: String,
    /// Why the account does not serve.
    pub cause: QuarantineCause,
    /// The time from now until the account returns, or a login is tried again; `None` if new tokens
    /// are on their way, or if the account does not return by itself.
    pub returns_in: Option<Duration>,
    /// The failure that led to this, or the reason that was given [by
    /// hand](crate::pool::PoolAccount::quarantine). In a fleet, what an auth worker says of it, as
    /// a text without a cause of its own; none for a rest.
    pub error: Option<Error>,
}

/// How many of a pool's accounts serve, and will go on to do so, in three grades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// At least nine in ten accounts serve, and at least nine in ten can renew their tokens. In a
    /// fleet, an auth worker lives.
    Good,
    /// At least one account serves, but not all is good.
    Degraded,
    /// No account serves.
    Down,
}

impl PoolStatus {
    /// Returns how many accounts do not serve for a cause.
    pub fn quarantined_for(&self, cause: QuarantineCause) -> usize {
        self.causes.of(cause)
    }

    /// Returns whether most, some or none of the accounts serve, and can renew their tokens.
    pub fn health(&self) -> Health {
        match self.active {
            0 => Health::Down,
            // Nobody renews the tokens.
            _ if self.auth_workers == Some(0) => Health::Degraded,
            active if active * 10 >= self.accounts * 9 && self.failing * 10 <= self.accounts => Health::Good,
            _ => Health::Degraded,
        }
    }
}

impl Health {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many quarantined accounts the table shows by name.
const ACCOUNTS_SHOWN: usize = 10;

impl fmt::Display for PoolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, value: String| writeln!(f, "│ {name:<28} {value:>25} │");
        let line = "─".repeat(56);
        writeln!(f, "┌{line}┐")?;
        row(f, "health", self.health().to_string())?;
        row(f, "active / target", format!("{} / {}", self.active, self.accounts))?;
        if let Some(auth_workers) = self.auth_workers {
            row(f, "auth workers", auth_workers.to_string())?;
        }
        row(f, "cannot renew", self.failing.to_string())?;
        row(f, "quarantined", self.causes.total().to_string())?;
        row(f, "callers waiting", self.waiting.to_string())?;
        row(f, "leases", self.leases.to_string())?;
        if self.leases_timed_out > 0 {
            row(f, "leases that timed out", self.leases_timed_out.to_string())?;
        }
        let ttl = self.average_ttl.map_or_else(|| "–".to_owned(), |ttl| format!("{:.0} s", ttl.as_secs_f64()));
        row(f, "average token life left", ttl)?;
        let success = self.refresh_success.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0));
        row(f, "refresh success", success)?;
        row(f, "requests per token, minute", format!("{:.1}", self.requests_per_token_per_minute))?;
        row(f, "auth overhead", format!("{:.2} %", self.auth_overhead * 100.0))?;
        if !self.quarantined.is_empty() {
            writeln!(f, "├{line}┤")?;
        }
        for QuarantinedAccount { account, cause, returns_in, .. } in self.quarantined.iter().take(ACCOUNTS_SHOWN) {
            let until = match returns_in {
                Some(wait) => format!("{:.0} s", wait.as_secs_f64()),
                None if !cause.needs_tokens() => "never".to_owned(),
                None => "renewing".to_owned(),
            };
            writeln!(f, "│ {:<25} {cause:<19} {until:>8} │", shortened(account, 25))?;
        }
        if let Some(more @ 1..) = self.causes.total().checked_sub(ACCOUNTS_SHOWN) {
            writeln!(f, "│ {:<54} │", format!("… and {more} more"))?;
        }
        write!(f, "└{line}┘")
    }
}

/// Returns `name` with at most `width` characters, the last of them `…` if it was cut.
fn shortened(name: &str, width: usize) -> String {
    if name.chars().count() <= width { name.to_owned() } else { name.chars().take(width - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_has_the_same_width() {
        let quarantined = |account: &str, cause| QuarantinedAccount {
            account: account.to_owned(),
            cause,
            returns_in: Some(Duration::from_secs(30)),
            error: None,
        };
        let status = PoolStatus {
            accounts: 45,
            active: 43,
            auth_workers: Some(2),
            failing: 2,
            quarantined: [QuarantineCause::UsageCap, QuarantineCause::Joining]
                .into_iter()
                .map(|cause| quarantined("somebody.with.a.long.name@example.com", cause))
                .cycle()
                .take(12)
                .collect(),
            causes: CauseCounts::of_each(
                [QuarantineCause::UsageCap, QuarantineCause::Joining].into_iter().cycle().take(12),
            ),
            waiting: 3,
            leases: 12_345,
            leases_timed_out: 7,
            average_ttl: Some(Duration::from_secs(1800)),
            refresh_success: Some(0.987),
            requests_per_token_per_minute: 12.3,
            auth_overhead: 0.012,
        };
        let table = status.to_string();
        assert!(table.lines().all(|line| line.chars().count() == 58), "{table}");
        assert!(table.contains("43 / 45") && table.contains("… and 2 more"), "{table}");
    }
}
