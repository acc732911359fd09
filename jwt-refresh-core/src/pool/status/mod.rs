//! How a pool is doing, in numbers and as a table.

mod serialize;

use std::fmt;
use std::time::Duration;

use crate::pool::quarantine::QuarantineCause;

/// A snapshot of a pool: [`Pool::status`](crate::pool::Pool::status). `Display` shows it as a table, `serde::Serialize` gives it to
/// programs:
///
/// ```json
/// {
///   "health": "degraded",
///   "accounts": 2,
///   "active": 1,
///   "quarantined": [{ "account": "ada@example.com", "cause": "rate_limited", "returns_in_seconds": 12.5 }],
///   "waiting": 3,
///   "leases": 12345,
///   "average_ttl_seconds": 1800.0,
///   "refresh_success": 0.987,
///   "requests_per_token_per_minute": 12.3,
///   "auth_overhead": 0.012
/// }
/// ```
///
/// A `null` stands for what is `None` here. The names stay as they are; others may be added.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolStatus {
    /// Accounts that the pool was given: its target.
    pub accounts: usize,
    /// Those that serve.
    pub active: usize,
    /// Those that do not.
    pub quarantined: Vec<QuarantinedAccount>,
    /// Callers that wait for a lease.
    pub waiting: usize,
    /// Leases given so far.
    pub leases: u64,
    /// How long the tokens there are live from now, on average; `None` if there are none, or none that expires.
    pub average_ttl: Option<Duration>,
    /// The share of logins and refreshes that succeeded, from 0 to 1; `None` before the first.
    pub refresh_success: Option<f64>,
    /// Leases within the last minute for each account that serves.
    pub requests_per_token_per_minute: f64,
    /// Logins and refreshes, well or not, for each lease.
    pub auth_overhead: f64,
}

/// An account that does not serve.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QuarantinedAccount {
    /// Its name.
    pub account: String,
    /// Why it does not serve.
    pub cause: QuarantineCause,
    /// When it returns, or a login is tried again, from now; `None` if new tokens are on their way.
    pub returns_in: Option<Duration>,
}

/// How well a pool can do what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// At least nine in ten accounts serve.
    Good,
    /// Some do.
    Degraded,
    /// None does.
    Down,
}

impl PoolStatus {
    /// How well the pool can do what it is for.
    pub fn health(&self) -> Health {
        match self.active {
            0 => Health::Down,
            active if active * 10 >= self.accounts * 9 => Health::Good,
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

/// So many quarantined accounts are shown one by one.
const SHOWN: usize = 10;

impl fmt::Display for PoolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, value: String| writeln!(f, "│ {name:<28} {value:>25} │");
        let line = "─".repeat(56);
        writeln!(f, "┌{line}┐")?;
        row(f, "health", self.health().to_string())?;
        row(f, "active / target", format!("{} / {}", self.active, self.accounts))?;
        row(f, "quarantined", self.quarantined.len().to_string())?;
        row(f, "callers waiting", self.waiting.to_string())?;
        row(f, "leases", self.leases.to_string())?;
        let ttl = self.average_ttl.map_or_else(|| "–".to_owned(), |ttl| format!("{:.0} s", ttl.as_secs_f64()));
        row(f, "average token life left", ttl)?;
        let success = self.refresh_success.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0));
        row(f, "refresh success", success)?;
        row(f, "requests per token, minute", format!("{:.1}", self.requests_per_token_per_minute))?;
        row(f, "auth overhead", format!("{:.2} %", self.auth_overhead * 100.0))?;
        if !self.quarantined.is_empty() {
            writeln!(f, "├{line}┤")?;
        }
        for QuarantinedAccount { account, cause, returns_in } in self.quarantined.iter().take(SHOWN) {
            let until = returns_in.map_or_else(|| "renewing".to_owned(), |wait| format!("{:.0} s", wait.as_secs_f64()));
            writeln!(f, "│ {:<25} {cause:<19} {until:>8} │", shortened(account, 25))?;
        }
        if let Some(more @ 1..) = self.quarantined.len().checked_sub(SHOWN) {
            writeln!(f, "│ {:<54} │", format!("… and {more} more"))?;
        }
        write!(f, "└{line}┘")
    }
}

fn shortened(name: &str, width: usize) -> String {
    if name.chars().count() <= width { name.to_owned() } else { name.chars().take(width - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_of_one_width() {
        let quarantined = |account: &str, cause| QuarantinedAccount {
            account: account.to_owned(),
            cause,
            returns_in: Some(Duration::from_secs(30)),
        };
        let status = PoolStatus {
            accounts: 45,
            active: 43,
            quarantined: [QuarantineCause::UsageCap, QuarantineCause::Joining]
                .into_iter()
                .map(|cause| quarantined("somebody.with.a.long.name@example.com", cause))
                .cycle()
                .take(12)
                .collect(),
            waiting: 3,
            leases: 12_345,
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
