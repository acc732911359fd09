//! How a fleet is doing, all its processes together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::auth_workers::living;
use super::member::FleetMember;
use super::messages::{AccountRow, MemberReport, WorkerFigures, of_said};
use super::place::failed;
use super::redis_time::redis_now;
use crate::error::{Error, ErrorKind};
use crate::pool::quarantine::{CauseCounts, QuarantineCause};
use crate::pool::status::{PoolStatus, QuarantinedAccount};
use crate::store::StoreError;

/// How many accounts in quarantine a status lists.
const LISTED: usize = 100;

impl FleetMember {
    pub(super) async fn status(self: &Arc<Self>) -> Result<PoolStatus, Error> {
        let status = self.read_status().await.map_err(failed)?;
        #[cfg(feature = "metrics")]
        crate::pool::gauges::show(&self.place.settings.name, &status);
        Ok(status)
    }

    async fn read_status(&self) -> Result<PoolStatus, StoreError> {
        let keys = &self.place.keys;
        // Measured first, so that a token that is renewed meanwhile is not taken for expired.
        let now = redis_now(&self.link, &keys.demand).await?;
        // What a later version has written is left out.
        let row = |(account, row): (String, String)| Some((account, serde_json::from_str(&row).ok()?));
        let accounts = self.link.all_of(&keys.accounts).await?.into_iter().filter_map(row).collect();
        let report = |(member, said): (String, String)| Some((member, of_said(&said)?.1?));
        let members = self.link.all_of(&keys.demand).await?.into_iter().filter_map(report).collect();
        let workers = living(&self.place, &self.link, now).await?;
        Ok(status(now, &accounts, &members, &workers))
    }
}

#[expect(clippy::cast_precision_loss, reason = "ratios of counts that large need no more digits")]
fn status(
    now: u64,
    accounts: &BTreeMap<String, AccountRow>,
    members: &BTreeMap<String, MemberReport>,
    workers: &BTreeMap<String, WorkerFigures>,
) -> PoolStatus {
    let quarantined = quarantined(now, accounts, members);
    let causes = CauseCounts::of_each(quarantined.values().map(|account| account.cause));
    let active = accounts.len().saturating_sub(quarantined.len());
    let sum = |figure: fn(&WorkerFigures) -> u64| workers.values().map(figure).sum::<u64>() as f64;
    let (succeeded, failed) = (sum(|worker| worker.succeeded), sum(|worker| worker.failed));
    let exchanges = succeeded + failed;
    let leases: u64 = members.values().map(|member| member.figures.leases).sum();
    let per_minute: f64 = members.values().map(|member| member.figures.per_minute).sum();
    let ttls: Vec<f64> = workers.values().filter_map(|worker| worker.average_ttl).collect();
    let average_ttl = (!ttls.is_empty()).then(|| ttls.iter().sum::<f64>() / ttls.len() as f64);
    let mut listed: Vec<_> = quarantined.into_values().collect();
    listed.sort_by_key(|account| account.returns_in.unwrap_or(Duration::MAX));
    listed.truncate(LISTED);
    PoolStatus {
        accounts: accounts.len(),
        active,
        auth_workers: Some(workers.len()),
        failing: workers.values().map(|worker| worker.failing).max().unwrap_or(0),
        quarantined: listed,
        causes,
        waiting: members.values().map(|member| member.figures.waiting).sum(),
        leases,
        leases_timed_out: 0,
        average_ttl: average_ttl.and_then(|ttl| Duration::try_from_secs_f64(ttl).ok()),
        refresh_success: (exchanges > 0.0).then(|| succeeded / exchanges),
        requests_per_token_per_minute: per_minute / (active.max(1) as f64),
        auth_overhead: exchanges / (leases.max(1) as f64),
    }
}

/// Returns the accounts that do not serve, by their names.
fn quarantined<'a>(
    now: u64,
    accounts: &'a BTreeMap<String, AccountRow>,
    members: &'a BTreeMap<String, MemberReport>,
) -> BTreeMap<&'a str, QuarantinedAccount> {
    let mut quarantined = BTreeMap::new();
    let resting = members.values().flat_map(|member| &member.figures.resting);
    for (account, cause, left) in resting.filter(|(account, ..)| accounts.contains_key(account)) {
        let Some(cause) = QuarantineCause::by_name(cause) else { continue };
        let (name, returns_in) = (account.clone(), Some(Duration::from_millis(*left)));
        quarantined.insert(&**account, QuarantinedAccount { account: name, cause, returns_in, error: None });
    }
    for (account, row) in accounts {
        let Some(unavailable) = row.unavailable_at(now) else { continue };
        let returns = unavailable.until.filter(|until| *until > 0);
        let returns_in = returns.map(|until| Duration::from_micros(until.saturating_sub(now)));
        let cause = unavailable.cause();
        let error = unavailable.error.map(|what| Error::new(ErrorKind::NoAccount, what));
        quarantined.insert(account, QuarantinedAccount { account: account.clone(), cause, returns_in, error });
    }
    quarantined
}
