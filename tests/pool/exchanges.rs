use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::{Authenticator, Error, Tokens};
use tokio::sync::Semaphore;

use crate::{active, policy, until};

/// Counts who logs in at once, and how often anybody did.
#[derive(Default)]
struct Counter {
    now: AtomicUsize,
    most: AtomicUsize,
    logins: AtomicUsize,
}

struct Counted(Arc<Counter>);

impl Authenticator for Counted {
    async fn login(&self) -> Result<Tokens, Error> {
        self.0.logins.fetch_add(1, Ordering::Relaxed);
        self.0.most.fetch_max(self.0.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        Tokens::new("token")
    }
}

struct Panics;

impl Authenticator for Panics {
    async fn login(&self) -> Result<Tokens, Error> {
        tokio::task::yield_now().await;
        panic!("an authenticator that panics, as this test wants it to")
    }
}

#[tokio::test]
async fn no_more_exchanges_go_on_at_once_than_the_policy_allows() {
    const ACCOUNTS: usize = 1000;
    let counter = Arc::new(Counter::default());
    let accounts = (0..ACCOUNTS).map(|number| Account::new(format!("a{number}"), Counted(Arc::clone(&counter))));
    let pool = Pool::builder().policy(policy().exchanges(7)).accounts(accounts).build().unwrap();
    active(&pool, ACCOUNTS).await;
    let [most, logins] = [&counter.most, &counter.logins].map(|count| count.load(Ordering::Relaxed));
    assert!((2..=7).contains(&most), "{most} at once");
    assert_eq!(logins, ACCOUNTS);
}

#[tokio::test]
async fn an_authenticator_that_panics_holds_up_no_other() {
    let counter = Arc::new(Counter::default());
    let panics = (0..5).map(|number| Account::new(format!("p{number}"), Panics));
    let sound = (0..5).map(|number| Account::new(format!("a{number}"), Counted(Arc::clone(&counter))));
    let accounts = panics.zip(sound).flat_map(|(panics, sound)| [panics, sound]);
    let pool = Pool::builder().policy(policy().exchanges(1)).accounts(accounts).build().unwrap();
    active(&pool, 5).await;
    assert_eq!(pool.status().quarantined.len(), 5);
}

/// Logs in once it is told to.
struct Gated(Arc<Semaphore>, Arc<Counter>);

impl Authenticator for Gated {
    async fn login(&self) -> Result<Tokens, Error> {
        self.1.logins.fetch_add(1, Ordering::Relaxed);
        self.0.acquire().await.map_err(Error::other)?.forget();
        Tokens::new("token")
    }
}

#[tokio::test]
async fn what_is_due_when_the_last_handle_goes_is_not_done_any_more() {
    let (gate, counter) = (Arc::new(Semaphore::new(0)), Arc::new(Counter::default()));
    let gated = |number| Account::new(format!("a{number}"), Gated(Arc::clone(&gate), Arc::clone(&counter)));
    let pool = Pool::builder().policy(policy().exchanges(1)).accounts((0..10).map(gated)).build().unwrap();
    until("the first is at it", || counter.logins.load(Ordering::Relaxed) == 1).await;
    drop(pool);
    gate.add_permits(10);
    until("the pool is gone", || Arc::strong_count(&counter) == 1).await;
    assert_eq!(counter.logins.load(Ordering::Relaxed), 1);
}
