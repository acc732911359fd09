//! Incidents of an account at its server, one after the other at random, and what each may cost by
//! the policy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jwt_refresh_testkit::{AccountStats, TestServer};

use super::{CONCURRENCY, LONGEST_QUARANTINE, QUARANTINE};
use crate::random::Random;
use crate::support::PASSWORD;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Incident {
    Ban,
    PasswordChanged,
    AccessRevoked,
    RefreshRevoked,
    BothRevoked,
    RateUsedUp,
    QuotaUsedUp,
}

const INCIDENTS: [Incident; 7] = [
    Incident::Ban,
    Incident::PasswordChanged,
    Incident::AccessRevoked,
    Incident::RefreshRevoked,
    Incident::BothRevoked,
    Incident::RateUsedUp,
    Incident::QuotaUsedUp,
];

/// How many calls there may be with the tokens of a banned account. As many leases are held at once
/// as its concurrency allows, and none is given out after the first of them is rejected. That holds
/// for the token that the account had when it was banned, and for one that was under way.
const MAX_CALLS_WHILE_BANNED: u64 = 2 * CONCURRENCY as u64;

/// How many refreshes there may be: one with the refresh token of each of the same two. One that
/// was denied is not sent again.
const MAX_REFRESHES_WHILE_BANNED: u64 = 2;

/// How many logins there may be during a ban of this length: one at once, and one after each pause.
/// Pauses double from the first to the longest and are shortened by up to a half at random. There
/// may be one more: a token whose renewal was denied is served while it lives, and renewed at once
/// when a call finds it rejected.
fn max_logins_while_banned(time: Duration) -> u64 {
    let mut left = time;
    let mut pause = QUARANTINE;
    let mut logins = 2;
    while let Some(rest) = left.checked_sub(pause / 2) {
        left = rest;
        logins += 1;
        pause = LONGEST_QUARANTINE.min(pause * 2);
    }
    logins
}

/// How many incidents there were, and what they cost.
#[derive(Debug, Default)]
pub(super) struct IncidentLog {
    pub(super) counts: BTreeMap<Incident, u64>,
    /// The most that a ban cost, and what it may have cost.
    pub(super) calls: (u64, u64),
    pub(super) logins: (u64, u64),
}

impl IncidentLog {
    pub(super) fn add(&mut self, other: Self) {
        for (incident, times) in other.counts {
            *self.counts.entry(incident).or_default() += times;
        }
        self.calls = self.calls.max(other.calls);
        self.logins = self.logins.max(other.logins);
    }

    pub(super) fn count(&self, incident: Incident) -> u64 {
        self.counts.get(&incident).copied().unwrap_or(0)
    }
}

/// An account that has incidents.
pub(super) struct AccountInTrouble {
    server: Arc<TestServer>,
    name: String,
    random: Random,
    log: IncidentLog,
}

impl AccountInTrouble {
    pub(super) fn new(server: Arc<TestServer>, name: &str, random: Random) -> Self {
        Self { server, name: name.to_owned(), random, log: IncidentLog::default() }
    }

    /// Lets incidents happen until `end`, with a pause before each. After the last, the account is
    /// healthy again.
    pub(super) async fn run_incidents(mut self, end: Instant) -> IncidentLog {
        while Instant::now() < end {
            self.pause(100, 1_000).await;
            let incident = INCIDENTS[usize::try_from(self.random.below(7)).unwrap()];
            self.run(incident).await;
            *self.log.counts.entry(incident).or_default() += 1;
        }
        self.server.restore_quota(&self.name);
        self.log
    }

    async fn run(&mut self, incident: Incident) {
        let (server, name) = (Arc::clone(&self.server), self.name.clone());
        match incident {
            Incident::Ban => self.ban().await,
            Incident::PasswordChanged => {
                server.set_password(&name, "changed");
                server.revoke_access_tokens_of(&name);
                server.revoke_refresh_tokens_of(&name);
                self.pause(500, 1_500).await;
                server.set_password(&name, PASSWORD);
            }
            Incident::AccessRevoked => server.revoke_access_tokens_of(&name),
            Incident::RefreshRevoked => server.revoke_refresh_tokens_of(&name),
            Incident::BothRevoked => {
                server.revoke_access_tokens_of(&name);
                server.revoke_refresh_tokens_of(&name);
            }
            Incident::RateUsedUp => server.use_up_rate(&name),
            Incident::QuotaUsedUp => server.use_up_quota(&name, Duration::from_millis(500 + self.random.below(1_000))),
        }
    }

    async fn ban(&mut self) {
        let (before, begun) = (self.seen(), Instant::now());
        self.server.ban(&self.name);
        self.pause(500, 2_000).await;
        let (after, max_logins) = (self.seen(), max_logins_while_banned(begun.elapsed()));
        self.server.unban(&self.name);
        let calls = after.rejected - before.rejected;
        let logins = after.failed_logins - before.failed_logins;
        assert!(
            calls <= MAX_CALLS_WHILE_BANNED,
            "{calls} calls of {} while it was banned: {before:?} {after:?}",
            self.name
        );
        assert!(logins <= max_logins, "{logins} logins of {} while it was banned, of {max_logins}", self.name);
        let refreshes = after.failed_refreshes - before.failed_refreshes;
        assert!(refreshes <= MAX_REFRESHES_WHILE_BANNED, "{refreshes} refreshes of {} while it was banned", self.name);
        let IncidentLog { calls: most_calls, logins: most_logins, .. } = &mut self.log;
        *most_calls = (calls, MAX_CALLS_WHILE_BANNED).max(*most_calls);
        *most_logins = (logins, max_logins).max(*most_logins);
    }

    fn seen(&self) -> AccountStats {
        self.server.account_stats(&self.name)
    }

    /// Waits for at least `least` milliseconds, and for up to `more` in addition.
    async fn pause(&mut self, least: u64, more: u64) {
        tokio::time::sleep(Duration::from_millis(least + self.random.below(more))).await;
    }
}
