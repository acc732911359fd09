//! What code of the user's does to a pool that does not come back, or panics.

use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Wake, Waker};

use jwt_refresh::pool::{Account, Pool, QuarantineCause};
use jwt_refresh::{Authenticator, Error, Policy, RefreshToken, Tokens};

use crate::scripted::{Does, Log, Scripted};
use crate::support::{HOUR, SECOND, World, until};
use crate::{active, is_pending, policy};

/// Closed at first. Threads wait until it is opened.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

/// Blocks its thread in each login, and notes which refresh tokens were revoked.
#[derive(Clone, Default)]
struct Blocks {
    door: Door,
    revoked: Arc<Mutex<Vec<String>>>,
}

impl Authenticator for Blocks {
    async fn login(&self) -> Result<Tokens, Error> {
        self.door.pass();
        Ok(Tokens::new("late")?.refresh_token("late"))
    }

    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        self.revoked.lock().unwrap().push(token.expose().to_owned());
        Ok(())
    }
}

#[tokio::test]
async fn an_authenticator_that_blocks_its_thread_is_given_up_and_what_it_brings_late_is_revoked() {
    let (world, log, blocks) = (World::with_accounts(0), Log::default(), Blocks::default());
    let short = Policy::default().login_timeout(SECOND / 20).refresh_timeout(SECOND / 20);
    let pool = Pool::builder().clock(&world.clock).policy(policy().exchanges(1).tokens(short));
    let pool = pool.account(Account::new("blocks", blocks.clone())).build().unwrap();
    let waits = tokio::spawn(pool.lease().into_future());
    let error = waits.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("not logged in yet"), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("did not end") && cause.contains("block"), "{cause}");

    pool.add(Scripted::new("healthy", Does::Lives(HOUR), &log).account()).unwrap();
    active(&pool, 1).await;
    assert_eq!(pool.status().quarantined[0].cause, QuarantineCause::Joining);
    blocks.door.open();
    until("what came late is revoked", async || *blocks.revoked.lock().unwrap() == ["late"]).await;
    world.clock.advance(SECOND);
    active(&pool, 2).await;
}

#[tokio::test]
async fn a_caller_whose_waker_panics_does_not_keep_others_from_their_leases() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("this waker panics, as it has to");
        }
    }
    let world = World::with_accounts(0);
    let log = Log::default();
    let pool = Pool::builder().clock(&world.clock).policy(policy().exchanges(1));
    let accounts: Vec<_> = (0..3).map(|number| Scripted::new(format!("a{number}"), Does::Waits, &log)).collect();
    let pool = pool.accounts(accounts.iter().map(|account| account.account().concurrency(1))).build().unwrap();
    let mut callers = Vec::new();
    for _ in 0..2 {
        let mut bad = Box::pin(pool.lease().into_future());
        let mut context = Context::from_waker(Waker::noop());
        let waker = Waker::from(Arc::new(Panics));
        context = if callers.is_empty() { Context::from_waker(&waker) } else { context };
        assert!(pin!(&mut bad).as_mut().poll(&mut context).is_pending());
        callers.push(bad);
    }
    let mut good = pool.lease().into_future();
    assert!(is_pending(&mut good));
    for account in &accounts {
        account.set(Does::Lives(HOUR));
    }
    good.await.unwrap();
    active(&pool, 3).await;
    drop(callers);
    let all = [pool.lease().await, pool.lease().await, pool.lease().await];
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}
