//! Gauges of the feature `metrics`, which each pool sets under a label of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use jwt_refresh::pool::{Pool, QuarantineCause};
use jwt_refresh_testkit::TestServer;

use crate::support::{HOUR, Recorded, World, account, login, until, with_accounts};

/// Gauges are set at least as often as this.
const INTERVAL: Duration = Duration::from_secs(5);

fn world(accounts: usize) -> World {
    World::with(with_accounts(TestServer::builder().access_lifetime(HOUR), accounts).start())
}

/// A pool of `accounts` accounts, all of which have logged in but the first, which is banned.
async fn pool(world: &World, accounts: usize) -> Pool {
    world.server.ban("a0");
    let pool = Pool::builder().clock(&world.clock);
    let pool = pool.accounts((0..accounts).map(|number| account(&world.server, number))).build().unwrap();
    until("all accounts but one have logged in", async || {
        let status = pool.status();
        status.active == accounts - 1 && status.quarantined.iter().all(|one| one.cause == QuarantineCause::Denied)
    })
    .await;
    pool
}

/// The label of a pool, which is found by its number of accounts: each test has another one.
async fn label(accounts: f64) -> String {
    let of_pool = |(name, value): (String, f64)| {
        let label = name.strip_prefix("jwt_refresh_pool_accounts{pool=")?.strip_suffix('}')?;
        value.total_cmp(&accounts).is_eq().then(|| label.to_owned())
    };
    let find = || Recorded::here().gauges().into_iter().find_map(of_pool);
    until("the pool has gauges", async || find().is_some()).await;
    find().unwrap()
}

/// The gauges of one pool, without their prefix and the label of the pool.
fn gauges(label: &str) -> BTreeMap<String, f64> {
    let of_pool = |(name, value): (String, f64)| {
        let (name, labels) = name.strip_prefix("jwt_refresh_pool_")?.split_once('{')?;
        let mut labels = labels.trim_end_matches('}').split(',');
        labels.next().filter(|first| *first == format!("pool={label}"))?;
        Some((labels.fold(name.to_owned(), |name, label| format!("{name} {label}")), value))
    };
    Recorded::here().gauges().into_iter().filter_map(of_pool).collect()
}

/// Waits until these gauges of one pool have these values. NaN equals NaN here.
async fn until_gauges_are(label: &str, expected: &[(&str, f64)]) {
    let is = |found: f64, expected: f64| (found - expected).abs() < 0.01 || (found.is_nan() && expected.is_nan());
    until(&format!("the gauges are {expected:?}"), async || {
        let found = gauges(label);
        expected.iter().all(|&(name, value)| found.get(name).is_some_and(|found| is(*found, value)))
    })
    .await;
}

#[tokio::test]
async fn gauges_are_set_without_any_call() {
    let _ = Recorded::here();
    let world = world(4);
    let _pool = pool(&world, 4).await;
    let label = label(4.0).await;
    world.clock.advance(INTERVAL);
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
    until_gauges_are(&label, &expected).await;
    let ttl = gauges(&label)["average_ttl_seconds"];
    assert!((3590.0..3596.0).contains(&ttl), "{ttl}");
    world.clock.advance(INTERVAL);
    until_gauges_are(&label, &[("average_ttl_seconds", ttl - INTERVAL.as_secs_f64())]).await;
}

#[tokio::test]
async fn gauges_show_calls_and_the_accounts_that_they_reported() {
    let _ = Recorded::here();
    let world = world(3);
    let pool = pool(&world, 3).await;
    let label = label(3.0).await;
    for _ in 0..8 {
        pool.lease().await.unwrap().succeeded();
    }
    pool.lease().await.unwrap().rate_limited(Some(20 * INTERVAL));
    pool.lease().await.unwrap().quota_used_up(None);
    world.clock.advance(INTERVAL);
    let expected = [
        ("active", 0.0),
        ("quarantined cause=denied", 1.0),
        ("quarantined cause=rate_limited", 1.0),
        ("quarantined cause=quota_used_up", 1.0),
        // Ten leases in five seconds, with three logins.
        ("requests_per_token_per_minute", 120.0),
        ("auth_overhead_ratio", 0.3),
        ("health", 0.0),
    ];
    until_gauges_are(&label, &expected).await;
}

#[tokio::test]
async fn the_gauges_of_a_dropped_pool_are_reset() {
    let _ = Recorded::here();
    let world = world(2);
    let pool = pool(&world, 2).await;
    let label = label(2.0).await;
    world.clock.advance(INTERVAL);
    until_gauges_are(&label, &[("active", 1.0), ("quarantined cause=denied", 1.0)]).await;
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
    until_gauges_are(&label, &expected).await;
}

#[tokio::test]
async fn a_recorder_that_panics_does_not_stop_the_pool() {
    let _ = Recorded::here();
    let world = world(6);
    let pool = pool(&world, 6).await;
    let label = label(6.0).await;
    Recorded::here().panic_once(format!("jwt_refresh_pool_accounts{{pool={label}}}"));
    world.clock.advance(INTERVAL);
    until("the recorder has panicked", async || Recorded::here().has_panicked()).await;
    pool.add(jwt_refresh::pool::Account::new("late", jwt_refresh::Chain::new(login(&world.server).build().unwrap())))
        .unwrap();
    until("another account logs in", async || pool.status().active == 6).await;
    world.clock.advance(INTERVAL);
    until_gauges_are(&label, &[("active", 6.0)]).await;
}

#[tokio::test]
async fn no_gauge_names_an_account() {
    let _ = Recorded::here();
    let world = world(5);
    let _pool = pool(&world, 5).await;
    let label = label(5.0).await;
    world.clock.advance(INTERVAL);
    until_gauges_are(&label, &[("active", 4.0), ("quarantined cause=quota_used_up", 0.0)]).await;
    let of_the_pool = gauges(&label).into_keys().filter(|name| !name.starts_with("quarantined "));
    assert_eq!(of_the_pool.count(), 9, "beside one for each quarantine cause");
    assert!(Recorded::here().gauges().keys().all(|name| !name.contains("a0")));
}
