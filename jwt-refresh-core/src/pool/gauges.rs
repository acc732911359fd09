//! Gauges of a pool through the `metrics` facade, for dashboards.
//!
//! The scheduler of a local pool sets them every few seconds. So they are right for an idle pool
//! too, and a lease pays nothing for them. The gauges of a fleet are set each time its status is
//! asked for, beside those of each of its processes.
//!
//! The label `pool` is the number of a local pool, or the name of a fleet. There is no label for
//! the account: each account would be a time series of its own.

use super::quarantine::CauseCounts;
use super::status::{Health, PoolStatus};
use crate::clock::Clock;

/// How often the gauges are set, in nanoseconds: a few times between two scrapes of a collector
/// with a usual configuration.
const INTERVAL: i64 = 5_000_000_000;

/// What the gauges show of a pool that has ended.
const ENDED: PoolStatus = PoolStatus {
    accounts: 0,
    active: 0,
    auth_workers: None,
    failing: 0,
    quarantined: Vec::new(),
    causes: CauseCounts::NONE,
    waiting: 0,
    leases: 0,
    leases_timed_out: 0,
    average_ttl: None,
    refresh_success: None,
    requests_per_token_per_minute: 0.0,
    auth_overhead: 0.0,
};

/// The gauges of one local pool. Dropping it sets them to those of a pool that has ended.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// The pool's number, once its gauges were set.
    pool: Option<u64>,
    /// When the gauges are to be set next, in nanoseconds since boot.
    due: i64,
}

impl Gauges {
    /// Sets the gauges from the pool's `status`, if they are due. Returns when they are due next,
    /// in nanoseconds since boot.
    pub(super) fn show(&mut self, pool: u64, clock: &Clock, status: impl FnOnce() -> PoolStatus) -> i64 {
        let now = clock.moment().boot.as_nanos();
        if self.pool.is_none() || now >= self.due {
            let status = status();
            set(&pool.to_string(), &status, health(&status));
            self.pool = Some(pool);
            self.due = now.saturating_add(INTERVAL);
        }
        self.due
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        // A recorder that panics must not panic again while it is cleaned up after.
        if let Some(pool) = self.pool.filter(|_| !std::thread::panicking()) {
            // The health is NaN, neither good nor bad: a pool that is not needed any more must not
            // raise an alarm.
            set(&pool.to_string(), &ENDED, f64::NAN);
        }
    }
}

/// Sets the gauges of the pool called `pool`.
#[cfg(feature = "redis")]
pub(super) fn show(pool: &str, status: &PoolStatus) {
    set(pool, status, health(status));
}

fn health(status: &PoolStatus) -> f64 {
    match status.health() {
        Health::Good => 1.0,
        Health::Degraded => 0.5,
        Health::Down => 0.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of accounts and callers stay far below 2^52")]
fn set(pool: &str, status: &PoolStatus, health: f64) {
    let set = |name: &'static str, value: f64| metrics::gauge!(name, "pool" => pool.to_owned()).set(value);
    set("jwt_refresh_pool_accounts", status.accounts as f64);
    set("jwt_refresh_pool_active", status.active as f64);
    if let Some(auth_workers) = status.auth_workers {
        set("jwt_refresh_pool_auth_workers", auth_workers as f64);
    }
    set("jwt_refresh_pool_failing", status.failing as f64);
    set("jwt_refresh_pool_waiting", status.waiting as f64);
    set("jwt_refresh_pool_average_ttl_seconds", status.average_ttl.map_or(f64::NAN, |ttl| ttl.as_secs_f64()));
    set("jwt_refresh_pool_refresh_success_ratio", status.refresh_success.unwrap_or(f64::NAN));
    set("jwt_refresh_pool_requests_per_token_per_minute", status.requests_per_token_per_minute);
    set("jwt_refresh_pool_auth_overhead_ratio", status.auth_overhead);
    set("jwt_refresh_pool_health", health);
    for (cause, count) in status.causes.each() {
        let labels = [("pool", pool.to_owned()), ("cause", cause.name().to_owned())];
        metrics::gauge!("jwt_refresh_pool_quarantined", &labels).set(f64::from(count));
    }
}
