//! What a fleet promises when another node takes the place of its Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jwt_refresh::pool::{Account, AuthWorker, RedisPool};
use jwt_refresh_testkit::TestServer;

use crate::fleet::callers::{Callers, Seen, more};
use crate::support::{Machine, SECOND, account_login, account_name, is_served, until, with_accounts};

const TAGS: [&str; 2] = ["one at a time", "free"];

/// How long a fleet may take until it serves once there is a new master, with shares that hold for
/// a second.
pub(crate) const HEALED: Duration = Duration::from_secs(5);

/// Runs a fleet with the Redis at `url` while it fails over: no limit is exceeded, no spent refresh
/// token is sent, and callers are served again in time.
pub(crate) async fn fleet_goes_on(url: &str, fail_over: impl AsyncFnOnce()) {
    let server = with_accounts(TestServer::builder().access_lifetime(SECOND * 4), 2).start();
    let account = |number: usize| {
        let account = Account::new(account_name(number), account_login(&server, number).build().unwrap());
        if number == 0 { account.concurrency(1).tag(TAGS[0]) } else { account.tag(TAGS[1]) }
    };
    let worker = || {
        let worker = AuthWorker::builder(url, "catalog").accounts((0..2).map(account));
        worker.share_time(SECOND).lease_ttl(SECOND * 2).build().unwrap()
    };
    let _workers = [worker(), worker()];
    let pools = [0, 1].map(|_| RedisPool::builder(url, "catalog").build().unwrap());
    until("both serve", async || pools[0].status().await.is_ok_and(|status| status.active == 2)).await;
    let seen = Arc::new(Seen::default());
    let callers = pools.each_ref().map(|pool| TAGS.map(|tag| Callers::start(pool, 2, tag, &seen)));
    let callers = callers.as_flattened();
    for callers in callers {
        more(callers, 10).await;
    }

    let begun = Instant::now();
    fail_over().await;
    let (machine, failed_over) = (Machine::watch(), Instant::now());
    for callers in callers {
        more(callers, 10).await;
    }
    let healed = failed_over.elapsed();
    println!("failed over after {:?}, all served {healed:?} later", failed_over.duration_since(begun));
    machine.assert_took(healed, HEALED);
    let before = server.stats();
    until("tokens are refreshed again", async || server.stats().since(&before).refreshes >= 2).await;
    for pool in &pools {
        let lease = pool.lease().tag(TAGS[1]).within(SECOND * 20).await.unwrap();
        assert!(is_served(&server, lease.token()).await);
    }
    let counted = server.stats();
    println!("{counted:?}, at most {} at once", seen.most("a0"));
    assert_eq!(seen.most("a0"), 1, "leases of an account that allows one at a time");
    assert_eq!(counted.reuses, 0, "{counted:?}");
}
