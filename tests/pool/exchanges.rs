//! How many exchanges run at once, and what ends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jwt_refresh::pool::{Account, Lease, Pool};
use jwt_refresh::{Authenticator, Error, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, Rotation, TestServer, Times};
use tokio::sync::{Barrier, Semaphore};

use crate::support::{SECOND, World, until, with_accounts};
use crate::{active, policy};

/// Counts logins, and how many run at once.
#[derive(Default)]
struct Counter {
    running: AtomicUsize,
    most_at_once: AtomicUsize,
    logins: AtomicUsize,
}

struct Counted(Arc<Counter>);

impl Authenticator for Counted {
    async fn login(&self) -> Result<Tokens, Error> {
        self.0.logins.fetch_add(1, Ordering::Relaxed);
        self.0.most_at_once.fetch_max(self.0.running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        Tokens::new("token")
    }
}

struct Panics;

impl Authenticator for Panics {
    async fn login(&self) -> Result<Tokens, Error> {
        tokio::task::yield_now().await;
        panic!("an authenticator with a bug")
    }
}

/// Each login waits until as many run as the policy allows.
struct Together(Arc<Barrier>, Arc<Counter>);

impl Authenticator for Together {
    async fn login(&self) -> Result<Tokens, Error> {
        let counter = &self.1;
        counter.logins.fetch_add(1, Ordering::Relaxed);
        counter.most_at_once.fetch_max(counter.running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.0.wait().await;
        counter.running.fetch_sub(1, Ordering::Relaxed);
        Tokens::new("token")
    }
}

#[tokio::test]
async fn as_many_exchanges_run_at_once_as_the_policy_allows() {
    let (barrier, counter) = (Arc::new(Barrier::new(7)), Arc::new(Counter::default()));
    let together = |number| Account::new(format!("a{number}"), Together(Arc::clone(&barrier), Arc::clone(&counter)));
    let pool = Pool::builder().policy(policy().exchanges(7)).accounts((0..7).map(together)).build().unwrap();
    // The barrier opens for seven at a time, so none of them logs in if fewer than seven may.
    active(&pool, 7).await;
    let mut leases = Vec::new();
    for _ in 0..7 {
        leases.push(pool.lease().await.unwrap());
    }
    leases.iter().for_each(Lease::rejected);
    active(&pool, 7).await;
    assert_eq!(counter.logins.load(Ordering::Relaxed), 14);
}

#[tokio::test]
async fn no_more_exchanges_run_at_once_than_the_policy_allows() {
    const ACCOUNTS: usize = 700;
    let counter = Arc::new(Counter::default());
    let account = |number| Account::new(format!("a{number}"), Counted(Arc::clone(&counter)));
    let pool = Pool::builder().policy(policy().exchanges(7)).accounts((0..ACCOUNTS).map(account)).build().unwrap();
    active(&pool, ACCOUNTS).await;
    let [most, logins] = [&counter.most_at_once, &counter.logins].map(|count| count.load(Ordering::Relaxed));
    assert!(most <= 7, "{most} at once");
    assert_eq!(logins, ACCOUNTS);
}

#[tokio::test]
async fn an_authenticator_that_panics_does_not_hold_up_other_accounts() {
    let counter = Arc::new(Counter::default());
    let panics = (0..5).map(|number| Account::new(format!("p{number}"), Panics));
    let healthy = (0..5).map(|number| Account::new(format!("a{number}"), Counted(Arc::clone(&counter))));
    let accounts = panics.zip(healthy).flat_map(|(panics, healthy)| [panics, healthy]);
    let pool = Pool::builder().policy(policy().exchanges(1)).accounts(accounts).build().unwrap();
    active(&pool, 5).await;
    assert_eq!(pool.status().quarantined.len(), 5);
}

/// Each login waits for a permit of the test.
struct Gated(Arc<Semaphore>, Arc<Counter>);

impl Authenticator for Gated {
    async fn login(&self) -> Result<Tokens, Error> {
        self.1.logins.fetch_add(1, Ordering::Relaxed);
        self.0.acquire().await.map_err(Error::other)?.forget();
        Tokens::new("token")
    }
}

#[tokio::test]
async fn a_dropped_pool_begins_no_further_exchange() {
    let (gate, counter) = (Arc::new(Semaphore::new(0)), Arc::new(Counter::default()));
    let gated = |number| Account::new(format!("a{number}"), Gated(Arc::clone(&gate), Arc::clone(&counter)));
    let pool = Pool::builder().policy(policy().exchanges(1)).accounts((0..10).map(gated)).build().unwrap();
    until("the first login is under way", async || counter.logins.load(Ordering::Relaxed) == 1).await;
    drop(pool);
    gate.add_permits(10);
    until("the pool has ended", async || Arc::strong_count(&counter) == 1).await;
    assert_eq!(counter.logins.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_refresh_token_that_the_server_does_not_replace_is_sent_again_after_a_lost_answer() {
    let life = SECOND * 600;
    let server = TestServer::builder().rotation(Rotation::Off).access_lifetime(life);
    let world = World::with(with_accounts(server, 1).start());
    let pool = world.pool(1).build().unwrap();
    active(&pool, 1).await;
    world.pass(life * 9 / 10);
    until("the token has been refreshed", async || world.server.stats().refreshes == 1).await;
    until("the pool has the new one", async || pool.status().average_ttl > Some(life / 2)).await;
    world.server.inject(Endpoint::Refresh, Fault::Status(502), Times::Once);
    world.pass(life * 9 / 10);
    until("a refresh has failed", async || world.server.stats().failed_refreshes == 1).await;
    let is_refreshed = async || {
        world.pass(SECOND);
        world.server.stats().refreshes == 2
    };
    until("the refresh token has been sent again", is_refreshed).await;
    assert_eq!(world.server.stats().logins, 1);
}
