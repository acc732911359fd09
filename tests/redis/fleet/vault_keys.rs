//! Auth workers that do not have the same `vault_key`: no login is lost, and each account goes on
//! at the worker whose key fits.

use std::time::Duration;

use jwt_refresh::pool::{Account, AuthWorker, AuthWorkerBuilder, RedisPool};
use jwt_refresh::store::SealKey;
use jwt_refresh::{Authenticator, HttpAuthenticator, Tokens};
use jwt_refresh_testkit::TestServer;

use super::{World, active};
use crate::support::{PASSWORD, SECOND, log, login_at, until};

/// How long access tokens live: so long that each is renewed before it ends.
const LIFE: Duration = Duration::from_secs(3);

/// A fleet of two accounts: one with a password, and one with nothing but tokens from elsewhere.
struct Accounts {
    world: World,
    with_login: String,
    without_login: String,
    captured: Tokens,
}

impl Accounts {
    /// The names of the accounts begin with `test`, so that the log tells those of the tests apart.
    async fn new(test: &str) -> Self {
        let [with_login, without_login] = ["login", "captured"].map(|kind| format!("{test} {kind}"));
        let server = TestServer::builder().access_lifetime(LIFE);
        let server = server.account(&with_login, PASSWORD).account(&without_login, PASSWORD);
        let world = World::with(0, server).await;
        log();
        let login = login_at(world.server.base_url(), &without_login, PASSWORD).build().unwrap();
        let captured = login.login().await.unwrap();
        Self { world, with_login, without_login, captured }
    }

    fn builder(&self) -> AuthWorkerBuilder {
        let login = login_at(self.world.server.base_url(), &self.with_login, PASSWORD).build().unwrap();
        let refresh = HttpAuthenticator::without_login().refresh_url(self.world.server.url("/api/auth/refresh"));
        let captured = Account::new(&self.without_login, refresh.build().unwrap()).tokens(self.captured.clone());
        let accounts = [Account::new(&self.with_login, login), captured].into_iter().zip(self.names());
        self.world.builder().accounts(accounts.map(|(account, name)| account.tag(name)))
    }

    /// Asserts that each account has logged in once, and that no refresh token was sent twice.
    fn assert_unharmed(&self) {
        let stats = self.world.server.stats();
        let harm = (stats.reuses, stats.failed_refreshes, stats.failed_logins);
        assert_eq!(harm, (0, 0, 0), "a refresh token was sent that was spent");
        assert!(stats.logins <= 2, "{} logins of two accounts", stats.logins);
    }

    fn names(&self) -> [&str; 2] {
        [&self.with_login, &self.without_login]
    }

    /// Returns how often each account was reported as one whose entry has another key.
    fn reports(&self) -> [usize; 2] {
        let log = log();
        let is_report =
            |line: &&str| line.contains("ERROR") && line.contains("does not fit this auth worker's `vault_key`");
        self.names().map(|name| log.lines().filter(is_report).filter(|line| line.contains(name)).count())
    }

    /// Waits until each account was refreshed `times` more.
    async fn until_renewed(&self, times: u64) {
        let refreshes = || self.names().map(|name| self.world.server.account_stats(name).refreshes);
        let before = refreshes();
        until("each account is refreshed", async || {
            self.assert_unharmed();
            refreshes().into_iter().zip(before).all(|(now, before)| now >= before + times)
        })
        .await;
    }

    async fn until_reported(&self, before: [usize; 2]) {
        until("each account is reported", async || {
            self.assert_unharmed();
            self.reports().into_iter().zip(before).all(|(now, before)| now > before)
        })
        .await;
    }

    /// Asserts that the fleet serves both accounts.
    async fn assert_served(&self, pool: &RedisPool) {
        for name in self.names() {
            let lease = pool.lease().tag(name).within(SECOND * 20).await.unwrap();
            self.world.serves(&lease).await;
        }
    }

    /// A worker beside one whose key fits leaves the accounts to that one, and says so once.
    async fn leaves_them_to(&self, right: AuthWorker, wrong: AuthWorkerBuilder) {
        let pool = self.world.pool();
        active(&pool, 2).await;
        // From now on what was captured is spent.
        self.until_renewed(2).await;
        let wrong = wrong.build().unwrap();
        self.until_reported([0, 0]).await;
        for _ in 0..2 {
            self.until_renewed(2).await;
            self.assert_served(&pool).await;
        }
        assert_eq!(self.reports(), [1, 1], "each account is reported once");
        self.say_so_alone(&pool, right, &wrong).await;
    }

    /// Without the worker whose key fits, the accounts end with an error that says why.
    async fn say_so_alone(&self, pool: &RedisPool, right: AuthWorker, _wrong: &AuthWorker) {
        right.close(SECOND * 10).await;
        drop(right);
        until("the accounts are unavailable", async || {
            self.assert_unharmed();
            let quarantined = pool.status().await.unwrap().quarantined;
            let is_named =
                |text: String| text.contains("`vault_key`") && text.contains("fleet \"catalog\" in Redis at");
            quarantined.into_iter().filter_map(|one| one.error).filter(|error| is_named(error.to_string())).count() == 2
        })
        .await;
    }

    /// Returns whether each entry in the vault is sealed, as it stands in Redis.
    async fn is_sealed(&self) -> Vec<bool> {
        let redis = &self.world.redis;
        let mut entries = Vec::new();
        for key in redis.run_command::<Vec<String>>("KEYS jwt-refresh/catalog/vault:*:entry").await {
            let data: Vec<u8> = redis.query(redis::cmd("HGET").arg(key).arg("data")).await;
            entries.push(data.starts_with(b"v4.local."));
        }
        entries
    }
}

fn key() -> SealKey {
    SealKey::generate().unwrap()
}

#[tokio::test]
async fn a_worker_with_another_vault_key_leaves_the_accounts_to_the_right_one_and_says_so_once() {
    let accounts = Accounts::new("other key").await;
    let right = accounts.builder().vault_key(key()).build().unwrap();
    accounts.leaves_them_to(right, accounts.builder().vault_key(key())).await;
}

#[tokio::test]
async fn a_worker_without_the_vault_key_leaves_the_accounts_to_the_right_one_and_says_so_once() {
    let accounts = Accounts::new("no key").await;
    let right = accounts.builder().vault_key(key()).build().unwrap();
    accounts.leaves_them_to(right, accounts.builder()).await;
}

#[tokio::test]
async fn a_worker_with_a_vault_key_leaves_entries_in_the_clear_alone_and_says_so_once() {
    let accounts = Accounts::new("clear vault").await;
    let right = accounts.builder().build().unwrap();
    accounts.leaves_them_to(right, accounts.builder().vault_key(key())).await;
}

#[tokio::test]
async fn a_vault_key_is_turned_on_and_off_while_the_fleet_runs_and_costs_no_login() {
    let accounts = Accounts::new("turned on").await;
    let key = key();
    let without_key = || accounts.builder();
    let writes_clear = || accounts.builder().vault_key(key.clone()).write_unsealed_vault();
    let reads_clear = || accounts.builder().vault_key(key.clone()).read_unsealed_vault();
    let with_key = || accounts.builder().vault_key(key.clone());
    let pool = accounts.world.pool();
    let mut before = without_key().build().unwrap();
    let steps = [(writes_clear(), false), (reads_clear(), true), (with_key(), true)].into_iter();
    let back = [(reads_clear(), true), (writes_clear(), false), (without_key(), false)];
    for (step, (worker, is_sealed)) in steps.chain(back).enumerate() {
        // Both run for a while, as they do when they are replaced one by one.
        let worker = worker.build().unwrap();
        accounts.until_renewed(1).await;
        before.close(SECOND * 10).await;
        before = worker;
        accounts.until_renewed(1).await;
        accounts.assert_served(&pool).await;
        let what = format!("the vault is as step {step} leaves it");
        until(&what, async || accounts.is_sealed().await == [is_sealed; 2]).await;
    }
    assert_eq!(accounts.reports(), [0, 0]);
}

#[tokio::test]
async fn a_vault_key_that_is_turned_on_at_once_is_taken_over_by_the_workers_that_have_it() {
    let accounts = Accounts::new("at once").await;
    let key = key();
    let old = accounts.builder().build().unwrap();
    accounts.until_renewed(2).await;
    let _new = accounts.builder().vault_key(key).read_unsealed_vault().build().unwrap();
    // The first exchange of the new worker seals the entry, and the old one has no part in it then.
    accounts.until_reported([0, 0]).await;
    accounts.until_renewed(2).await;
    assert_eq!(accounts.is_sealed().await, [true; 2]);
    assert_eq!(accounts.reports(), [1, 1]);
    drop(old);
    accounts.until_renewed(2).await;
    accounts.assert_served(&accounts.world.pool()).await;
}
