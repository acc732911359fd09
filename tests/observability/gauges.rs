use std::collections::BTreeMap;
use std::time::Duration;

use jwt_refresh::pool::{Account, Pool, QuarantineCause};
use jwt_refresh::{HttpAuthenticator, ManualClock};
use jwt_refresh_testkit::TestServer;

use crate::recorder::Recorded;

/// How often gauges are set, at least.
const EVERY: Duration = Duration::from_secs(5);

fn account(server: &TestServer, name: &str) -> Account {
    let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .refresh_url(server.url("/api/auth/refresh"))
        .field("email", name)
        .secret_field("password", "secret");
    Account::new(name, login.build().unwrap())
}

/// A pool of that many accounts on a clock that stands still, the first of them banned; and the clock.
async fn pool(server: &TestServer, accounts: usize) -> (Pool, ManualClock) {
    server.ban("a0");
    let clock = ManualClock::new();
    let pool = Pool::builder().clock(&clock);
    let pool = pool.accounts((0..accounts).map(|number| account(server, &format!("a{number}")))).build().unwrap();
    let settled = |pool: &Pool| {
        let status = pool.status();
        (status.active == accounts - 1 && status.quarantined.iter().all(|one| one.cause == QuarantineCause::Denied))
            .then_some(())
    };
    until("the accounts have logged in, but for one", || settled(&pool)).await;
    (pool, clock)
}

fn server(accounts: usize) -> TestServer {
    let server = TestServer::builder().access_lifetime(Duration::from_secs(3600));
    (0..accounts).fold(server, |server, number| server.account(&format!("a{number}"), "secret")).start()
}

/// Waits until `found`, which the pool's task brings about.
pub(crate) async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = found() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

/// The number that a pool goes by in the labels, told by how many accounts it has: no two tests have equally many.
async fn label(accounts: f64) -> String {
    let found = |(name, value): (String, f64)| {
        let label = name.strip_prefix("jwt_refresh_pool_accounts{pool=")?.strip_suffix('}')?;
        value.total_cmp(&accounts).is_eq().then(|| label.to_owned())
    };
    until("the pool is shown", || Recorded::here().gauges().into_iter().find_map(found)).await
}

/// The gauges of one pool, without their prefix and its label.
fn gauges(label: &str) -> BTreeMap<String, f64> {
    let of_pool = |(name, value): (String, f64)| {
        let (name, labels) = name.strip_prefix("jwt_refresh_pool_")?.split_once('{')?;
        let mut labels = labels.trim_end_matches('}').split(',');
        labels.next().filter(|first| *first == format!("pool={label}"))?;
        Some((labels.fold(name.to_owned(), |name, label| format!("{name} {label}")), value))
    };
    Recorded::here().gauges().into_iter().filter_map(of_pool).collect()
}

/// Waits until all these are shown of one pool. NaN stands for itself.
async fn shown(label: &str, expected: &[(&str, f64)]) {
    let is = |found: f64, expected: f64| (found - expected).abs() < 0.01 || (found.is_nan() && expected.is_nan());
    until(&format!("{expected:?} is shown"), || {
        let found = gauges(label);
        expected.iter().all(|&(name, value)| found.get(name).is_some_and(|found| is(*found, value))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn gauges_are_true_of_a_pool_that_nobody_uses() {
    let _ = Recorded::here();
    let server = server(4);
    let (_pool, clock) = pool(&server, 4).await;
    let label = label(4.0).await;
    clock.advance(EVERY);
    let expected = [
        ("accounts", 4.0),
        ("active", 3.0),
        ("quarantined cause=denied", 1.0),
        ("quarantined cause=joining", 0.0),
        ("waiting", 0.0),
        ("refresh_success_ratio", 0.75),
        ("requests_per_token_per_minute", 0.0),
        ("auth_overhead_ratio", 4.0),
        ("health", 0.5),
    ];
    shown(&label, &expected).await;
    let ttl = gauges(&label)["average_ttl_seconds"];
    assert!((3590.0..3596.0).contains(&ttl), "{ttl}");
    clock.advance(EVERY);
    shown(&label, &[("average_ttl_seconds", ttl - EVERY.as_secs_f64())]).await;
}

#[tokio::test]
async fn gauges_show_the_calls_and_what_they_said_of_the_accounts() {
    let _ = Recorded::here();
    let server = server(3);
    let (pool, clock) = pool(&server, 3).await;
    let label = label(3.0).await;
    for _ in 0..8 {
        pool.lease().await.unwrap().fine();
    }
    pool.lease().await.unwrap().rate_limited(Some(20 * EVERY));
    pool.lease().await.unwrap().quota_used_up(None);
    clock.advance(EVERY);
    let expected = [
        ("active", 0.0),
        ("quarantined cause=denied", 1.0),
        ("quarantined cause=rate_limited", 1.0),
        ("quarantined cause=quota_used_up", 1.0),
        // Ten leases in five seconds, and three logins.
        ("requests_per_token_per_minute", 120.0),
        ("auth_overhead_ratio", 0.3),
        ("health", 0.0),
    ];
    shown(&label, &expected).await;
}

#[tokio::test]
async fn a_pool_that_has_ended_is_shown_to_have_nothing() {
    let _ = Recorded::here();
    let server = server(2);
    let (pool, clock) = pool(&server, 2).await;
    let label = label(2.0).await;
    clock.advance(EVERY);
    shown(&label, &[("active", 1.0), ("quarantined cause=denied", 1.0)]).await;
    drop(pool);
    let expected = [
        ("accounts", 0.0),
        ("active", 0.0),
        ("quarantined cause=denied", 0.0),
        ("waiting", 0.0),
        ("average_ttl_seconds", f64::NAN),
        ("refresh_success_ratio", f64::NAN),
        ("health", f64::NAN),
    ];
    shown(&label, &expected).await;
}

#[tokio::test]
async fn no_gauge_names_an_account() {
    let _ = Recorded::here();
    let server = server(5);
    let (_pool, clock) = pool(&server, 5).await;
    let label = label(5.0).await;
    clock.advance(EVERY);
    shown(&label, &[("active", 4.0), ("quarantined cause=quota_used_up", 0.0)]).await;
    assert_eq!(gauges(&label).len(), 15, "eight of the pool, and one for each cause");
    assert!(Recorded::here().gauges().keys().all(|name| !name.contains("a0")));
}
