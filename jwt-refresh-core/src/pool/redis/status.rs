//! How a pool in Redis is doing, all its processes together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use serde_json::Value as Json;

use super::fleet::Fleet;
use super::place::failed;
use super::scripts::STATUS;
use super::wire;
use crate::error::Error;
use crate::pool::quarantine::{CauseCounts, QuarantineCause};
use crate::pool::status::{PoolStatus, QuarantinedAccount};

impl Fleet {
    pub(super) async fn status(self: &Arc<Self>) -> Result<PoolStatus, Error> {
        // What this process knows is in it.
        self.tell().await?;
        let keys = &self.place.keys;
        let answer: Vec<Value> =
            self.link.run(&STATUS, &[&keys.stats], &[keys.base.as_bytes()]).await.map_err(failed)?;
        let status = Raw::read(answer).ok_or_else(wire::strange)?.status();
        #[cfg(feature = "metrics")]
        crate::pool::gauges::show(&self.place.name, &status);
        Ok(status)
    }
}

/// What the script answers.
struct Raw {
    now: f64,
    accounts: usize,
    confined: Vec<(String, Json)>,
    stats: HashMap<String, f64>,
    workers: Vec<(String, Json)>,
}

impl Raw {
    fn read(answer: Vec<Value>) -> Option<Self> {
        let [now, accounts, confined, stats, workers] = <[Value; 5]>::try_from(answer).ok()?;
        let stats = pairs(stats)?.into_iter().filter_map(|(noun, value)| Some((noun, value.parse().ok()?)));
        Some(Self {
            now: wire::number(&now)?,
            accounts: usize::try_from(wire::integer(&accounts)?).ok()?,
            confined: objects(pairs(confined)?),
            stats: stats.collect(),
            workers: objects(pairs(workers)?),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "ratios of counts that large need no more digits")]
    fn status(self) -> PoolStatus {
        let quarantined: Vec<_> = self.confined.iter().filter_map(|(name, why)| self.quarantined(name, why)).collect();
        let stat = |noun: &str| self.stats.get(noun).copied().unwrap_or(0.0);
        let (succeeded, failed, leases) = (stat("succeeded"), stat("failed"), stat("leases"));
        let exchanges = succeeded + failed;
        let active = self.accounts.saturating_sub(quarantined.len());
        let expiring = stat("expiring");
        let left = (expiring > 0.0).then(|| (stat("expire_ms") / expiring - self.now / 1e3).max(0.0) / 1e3);
        PoolStatus {
            accounts: self.accounts,
            active,
            causes: CauseCounts::of_each(quarantined.iter().map(|account| account.cause)),
            failing: 0,
            quarantined,
            waiting: super::record::whole(self.over_workers("waiting")).try_into().unwrap_or(usize::MAX),
            leases: super::record::whole(leases),
            leases_timed_out: 0,
            average_ttl: left.and_then(|left| Duration::try_from_secs_f64(left).ok()),
            refresh_success: (exchanges > 0.0).then(|| succeeded / exchanges),
            requests_per_token_per_minute: self.over_workers("rate") / (active.max(1) as f64),
            auth_overhead: exchanges / leases.max(1.0),
        }
    }

    fn quarantined(&self, name: &str, why: &Json) -> Option<QuarantinedAccount> {
        let left = |till: &str| Duration::try_from_secs_f64((till.parse::<f64>().ok()? - self.now).max(0.0) / 1e6).ok();
        Some(QuarantinedAccount {
            account: name.to_owned(),
            cause: QuarantineCause::by_name(why.get("cause")?.as_str()?)?,
            returns_in: why.get("till").and_then(Json::as_str).and_then(left),
            error: None,
        })
    }

    /// The sum of what the processes that live say of themselves.
    fn over_workers(&self, noun: &str) -> f64 {
        let number = |worker: &Json, noun: &str| worker.get(noun)?.as_str()?.parse::<f64>().ok();
        let live = self.workers.iter().filter(|(_, worker)| number(worker, "till").is_some_and(|till| till > self.now));
        live.filter_map(|(_, worker)| number(worker, noun)).sum()
    }
}

fn pairs(value: Value) -> Option<Vec<(String, String)>> {
    let Value::Array(fields) = value else { return None };
    let mut fields = fields.into_iter();
    let mut pairs = Vec::new();
    while let (Some(noun), Some(value)) = (fields.next(), fields.next()) {
        pairs.push((wire::text(noun)?, wire::text(value)?));
    }
    Some(pairs)
}

fn objects(pairs: Vec<(String, String)>) -> Vec<(String, Json)> {
    pairs.into_iter().filter_map(|(name, json)| Some((name, serde_json::from_str(&json).ok()?))).collect()
}
