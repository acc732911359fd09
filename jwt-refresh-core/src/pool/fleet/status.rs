//! How a fleet is doing, all its processes together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::auth_workers::living;
use super::member::FleetMember;
use super::messages::{AccountRow, MemberReport, WorkerFigures, of_said};
use super::place::failed;
use super::redis_time::{RedisTime, redis_now};
use super::tokens;
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
        let sent = self.clock.moment().boot.as_nanos();
        let now = redis_now(&self.link, &keys.demand).await?;
        let time = RedisTime::measure(None, now, sent, self.clock.moment().boot.as_nanos());
        let accounts = parsed::<AccountRow>(self.link.all_of(&keys.accounts).await?);
        // Read after the accounts, so that an account that serves by its row has its token here.
        let expired = self.expired(&accounts, time).await?;
        let members = self.link.all_of(&keys.demand).await?.into_iter();
        let members = members.filter_map(|(name, said)| Some((name, of_said(&said)?.1?))).collect();
        let workers = living(&self.place, &self.link, now).await?;
        Ok(status(now, &accounts, &expired, &members, &workers))
    }

    /// Returns which of the accounts that are said to serve have no token that lives. A token that
    /// is sealed with a key that this process lacks may live.
    async fn expired(
        &self,
        accounts: &BTreeMap<String, AccountRow>,
        time: RedisTime,
    ) -> Result<Vec<String>, StoreError> {
        let served = accounts.iter().filter(|(_, row)| row.unavailable.is_none());
        let mut served: Vec<String> = served.map(|(account, _)| account.clone()).collect();
        let now = self.clock.moment();
        let tokens = tokens::read(&self.place, &self.link, &served, time, now).await?;
        served.retain(|account| match tokens.get(account) {
            Some(Ok(token)) => token.expires.boot <= now.boot,
            Some(Err(_)) => false,
            None => true,
        });
        Ok(served)
    }
}

/// Reads what is in a hash. What a later version has written is left out.
fn parsed<T: serde::de::DeserializeOwned>(read: BTreeMap<String, String>) -> BTreeMap<String, T> {
    read.into_iter().filter_map(|(name, json)| Some((name, serde_json::from_str(&json).ok()?))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "ratios of counts that large need no more digits")]
fn status(
    now: u64,
    accounts: &BTreeMap<String, AccountRow>,
    expired: &[String],
    members: &BTreeMap<String, MemberReport>,
    workers: &BTreeMap<String, WorkerFigures>,
) -> PoolStatus {
    let quarantined = quarantined(now, accounts, expired, members);
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
    expired: &'a [String],
    members: &'a BTreeMap<String, MemberReport>,
) -> BTreeMap<&'a str, QuarantinedAccount> {
    let mut quarantined: BTreeMap<&'a str, QuarantinedAccount> = BTreeMap::new();
    for (account, cause, left) in members.values().flat_map(|member| &member.figures.resting) {
        let Some(cause) = QuarantineCause::by_name(cause) else { continue };
        let returns_in = Some(Duration::from_millis(*left)).filter(|left| *left < Duration::MAX);
        quarantined.insert(account, QuarantinedAccount { account: account.clone(), cause, returns_in, error: None });
    }
    for account in expired {
        let cause = QuarantineCause::Expired;
        let expired = QuarantinedAccount { account: account.clone(), cause, returns_in: None, error: None };
        quarantined.insert(account, expired);
    }
    for (account, row) in accounts {
        let Some(unavailable) = &row.unavailable else { continue };
        let returns = unavailable.until.filter(|until| *until > 0);
        let returns_in = returns.map(|until| Duration::from_micros(until.saturating_sub(now)));
        let error = unavailable.error.as_ref().map(|what| Error::new(ErrorKind::NoAccount, what.clone()));
        let cause = unavailable.cause();
        quarantined.insert(account, QuarantinedAccount { account: account.clone(), cause, returns_in, error });
    }
    quarantined.retain(|account, _| accounts.contains_key(*account));
    quarantined
}
