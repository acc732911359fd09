//! What befalls an account at its server, one thing after the other, by the dice; and what each may cost, by the policy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jwt_refresh_testkit::{AccountStats, TestServer};

use super::{CONCURRENCY, LONGEST_QUARANTINE, PASSWORD, QUARANTINE};
use crate::dice::Dice;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strike {
    Ban,
    PasswordChanged,
    AccessRevoked,
    RefreshRevoked,
    BothRevoked,
    RateUsedUp,
    QuotaUsedUp,
}

const STRIKES: [Strike; 7] = [
    Strike::Ban,
    Strike::PasswordChanged,
    Strike::AccessRevoked,
    Strike::RefreshRevoked,
    Strike::BothRevoked,
    Strike::RateUsedUp,
    Strike::QuotaUsedUp,
];

/// Calls with an account's tokens while it is banned. No more leases are held at once than its concurrency allows, and none is
/// given once the first of them came back rejected: of the token that it had when the ban struck, and of one that was on its
/// way then.
pub(super) const CALLS_WHILE_BANNED: u64 = 2 * CONCURRENCY as u64;

/// Refreshes while it is banned: of the same two, for a refresh token that was denied is not sent again.
const REFRESHES_WHILE_BANNED: u64 = 2;

/// Logins in `time` that are refused: one at once, and one after each pause, which doubles from the first to the longest and is
/// cut by up to a half at random. And one more: a token that was denied its renewal is served while it lives, and renewed at
/// once when a call finds it dead.
fn logins_while_banned(time: Duration) -> u64 {
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

/// What befell the accounts.
#[derive(Debug, Default)]
pub(super) struct Ordeal {
    pub(super) strikes: BTreeMap<Strike, u64>,
    /// The most that a ban cost, and what it might have.
    pub(super) calls: (u64, u64),
    pub(super) logins: (u64, u64),
}

impl Ordeal {
    pub(super) fn add(&mut self, other: Self) {
        for (strike, times) in other.strikes {
            *self.strikes.entry(strike).or_default() += times;
        }
        self.calls = self.calls.max(other.calls);
        self.logins = self.logins.max(other.logins);
    }

    pub(super) fn count(&self, strike: Strike) -> u64 {
        self.strikes.get(&strike).copied().unwrap_or(0)
    }
}

/// An account that things befall.
pub(super) struct Victim {
    pub(super) server: Arc<TestServer>,
    pub(super) name: String,
    pub(super) dice: Dice,
    pub(super) ordeal: Ordeal,
}

impl Victim {
    /// One thing after the other, with a rest between; in the end all is well again.
    pub(super) async fn suffer(mut self, end: Instant) -> Ordeal {
        while Instant::now() < end {
            self.rest(100, 1_000).await;
            let strike = STRIKES[usize::try_from(self.dice.roll(7)).unwrap()];
            self.strike(strike).await;
            *self.ordeal.strikes.entry(strike).or_default() += 1;
        }
        self.server.restore_quota(&self.name);
        self.ordeal
    }

    async fn strike(&mut self, strike: Strike) {
        let (server, name) = (Arc::clone(&self.server), self.name.clone());
        match strike {
            Strike::Ban => self.ban().await,
            Strike::PasswordChanged => {
                server.set_password(&name, "changed");
                server.revoke_access_tokens_of(&name);
                server.revoke_refresh_tokens_of(&name);
                self.rest(500, 1_500).await;
                server.set_password(&name, PASSWORD);
            }
            Strike::AccessRevoked => server.revoke_access_tokens_of(&name),
            Strike::RefreshRevoked => server.revoke_refresh_tokens_of(&name),
            Strike::BothRevoked => {
                server.revoke_access_tokens_of(&name);
                server.revoke_refresh_tokens_of(&name);
            }
            Strike::RateUsedUp => server.use_up_rate(&name),
            Strike::QuotaUsedUp => server.use_up_quota(&name, Duration::from_millis(500 + self.dice.roll(1_000))),
        }
    }

    async fn ban(&mut self) {
        let (before, begun) = (self.seen(), Instant::now());
        self.server.ban(&self.name);
        self.rest(500, 2_000).await;
        let (after, budget) = (self.seen(), logins_while_banned(begun.elapsed()));
        self.server.unban(&self.name);
        let calls = after.rejected - before.rejected;
        let logins = after.failed_logins - before.failed_logins;
        assert!(
            calls <= CALLS_WHILE_BANNED,
            "{calls} calls of {} while it was banned: {before:?} {after:?}",
            self.name
        );
        assert!(logins <= budget, "{logins} logins of {} while it was banned, of {budget}", self.name);
        let refreshes = after.failed_refreshes - before.failed_refreshes;
        assert!(refreshes <= REFRESHES_WHILE_BANNED, "{refreshes} refreshes of {} while it was banned", self.name);
        let Ordeal { calls: most_calls, logins: most_logins, .. } = &mut self.ordeal;
        *most_calls = (calls, CALLS_WHILE_BANNED).max(*most_calls);
        *most_logins = (logins, budget).max(*most_logins);
    }

    fn seen(&self) -> AccountStats {
        self.server.account_stats(&self.name)
    }

    /// At least so many milliseconds, and up to so many more.
    async fn rest(&mut self, least: u64, more: u64) {
        tokio::time::sleep(Duration::from_millis(least + self.dice.roll(more))).await;
    }
}
