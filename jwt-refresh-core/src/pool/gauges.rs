//! What a dashboard sees of a pool: gauges through the `metrics` facade. The keeper sets them every few seconds, so that they are
//! true of an idle pool too, and cost a lease nothing; those of a pool in Redis are set by whoever asks for its status. Pools are
//! told apart by their number, those in Redis by their name; accounts are not told apart, since each would be a series of its own.

use super::quarantine::CauseCounts;
use super::status::{Health, PoolStatus};
use crate::clock::Clock;

/// How often they are set, in nanoseconds: a few times between two looks of a collector, as collectors are commonly set up.
const EVERY: i64 = 5_000_000_000;

/// What is shown of a pool that is no more.
const ENDED: PoolStatus = PoolStatus {
    accounts: 0,
    active: 0,
    quarantined: Vec::new(),
    waiting: 0,
    leases: 0,
    average_ttl: None,
    refresh_success: None,
    requests_per_token_per_minute: 0.0,
    auth_overhead: 0.0,
};

#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// The pool's number, once anything was shown of it.
    pool: Option<u64>,
    /// When they are to be set next, in nanoseconds since boot.
    due: i64,
}

impl Gauges {
    /// Shows the status of a pool, if it is time to. Returns when it will be again, in nanoseconds
    /// since boot.
    pub(super) fn show(&mut self, pool: u64, clock: &Clock, status: impl FnOnce() -> (PoolStatus, CauseCounts)) -> i64 {
        let now = clock.moment().boot.as_nanos();
        if self.pool.is_none() || now >= self.due {
            let (status, causes) = status();
            set(&pool.to_string(), &status, causes, health(&status));
            self.pool = Some(pool);
            self.due = now.saturating_add(EVERY);
        }
        self.due
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        if let Some(pool) = self.pool {
            // In no health, neither good nor bad: nobody is to be alarmed by a pool that is not needed any more.
            set(&pool.to_string(), &ENDED, CauseCounts::default(), f64::NAN);
        }
    }
}

/// Shows the status of a pool that has a name.
#[cfg(feature = "redis")]
pub(super) fn show(pool: &str, status: &PoolStatus) {
    let mut causes = CauseCounts::default();
    for one in &status.quarantined {
        causes.change(None, Some(one.cause));
    }
    set(pool, status, causes, health(status));
}

fn health(status: &PoolStatus) -> f64 {
    match status.health() {
        Health::Good => 1.0,
        Health::Degraded => 0.5,
        Health::Down => 0.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody has that many accounts or callers")]
fn set(pool: &str, status: &PoolStatus, causes: CauseCounts, health: f64) {
    let set = |name: &'static str, value: f64| metrics::gauge!(name, "pool" => pool.to_owned()).set(value);
    set("jwt_refresh_pool_accounts", status.accounts as f64);
    set("jwt_refresh_pool_active", status.active as f64);
    set("jwt_refresh_pool_waiting", status.waiting as f64);
    set("jwt_refresh_pool_average_ttl_seconds", status.average_ttl.map_or(f64::NAN, |ttl| ttl.as_secs_f64()));
    set("jwt_refresh_pool_refresh_success_ratio", status.refresh_success.unwrap_or(f64::NAN));
    set("jwt_refresh_pool_requests_per_token_per_minute", status.requests_per_token_per_minute);
    set("jwt_refresh_pool_auth_overhead_ratio", status.auth_overhead);
    set("jwt_refresh_pool_health", health);
    for (cause, count) in causes.each() {
        let labels = [("pool", pool.to_owned()), ("cause", cause.name().to_owned())];
        metrics::gauge!("jwt_refresh_pool_quarantined", &labels).set(f64::from(count));
    }
}
