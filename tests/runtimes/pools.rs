//! Pools, in the runtimes of their callers.

use jwt_refresh::pool::{Account, Pool, PoolPolicy};
use jwt_refresh::{ErrorKind, TokenProvider};

use crate::support::{until_blocking, with_accounts};
use crate::{SECOND, World, block_on, current_thread, patient};

fn pool(world: &World) -> Pool {
    let account = Account::new("ada", world.authenticator()).concurrency(1);
    Pool::builder()
        .clock(&world.clock)
        .policy(PoolPolicy::default().tokens(patient()))
        .account(account)
        .build()
        .unwrap()
}

/// Renews the token of the pool's account once, and waits for it without a runtime.
fn renew(world: &World, pool: &Pool) {
    let refreshes = world.server.stats().refreshes;
    world.pass(57 * SECOND);
    until_blocking("the token is refreshed", || world.server.stats().refreshes > refreshes);
    drop(block_on(pool.lease().into_future()).unwrap());
}

#[test]
fn a_pool_lives_on_when_the_runtime_has_ended_that_it_was_built_on() {
    for multi in [false, true] {
        let world = World::new();
        let runtime = if multi { tokio::runtime::Runtime::new().unwrap() } else { current_thread() };
        let pool = runtime.block_on(async { pool(&world) });
        drop(runtime);
        drop(block_on(pool.lease().into_future()).unwrap());
        renew(&world, &pool);
        assert!(pool.ready().is_some());
    }
}

#[test]
fn one_runtime_for_each_call_gets_leases_and_loses_no_renewal() {
    let world = World::new();
    let pool = pool(&world);
    for _ in 0..3 {
        drop(current_thread().block_on(pool.lease().into_future()).unwrap());
        // Into the refresh-ahead window: the refresh goes on after the runtime has ended.
        renew(&world, &pool);
    }
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.reuses), (1, 3, 0));
}

#[test]
fn a_caller_on_a_runtime_that_is_parked_or_ends_loses_no_lease_for_others() {
    let world = World::new();
    let pool = pool(&world);
    let held = block_on(pool.lease().into_future()).unwrap();
    let parked = current_thread();
    let waits = parked.spawn(pool.lease().into_future());
    parked.block_on(tokio::task::yield_now());
    assert_eq!(pool.status().waiting, 1);
    // The lease goes to the caller that is parked, and with its runtime's end to the next one.
    drop(held);
    let other = std::thread::spawn({
        let pool = pool.clone();
        move || block_on(pool.lease().into_future()).map(drop)
    });
    drop(parked);
    other.join().unwrap().unwrap();
    assert!(!waits.is_finished() || block_on(waits).is_err());
}

#[test]
fn a_caller_whose_runtime_has_no_timers_waits_until_its_deadline() {
    let world = World::with(with_accounts(jwt_refresh_testkit::TestServer::builder(), 1).start());
    let pool = Pool::builder().account(Account::new("ada", world.authenticator()).concurrency(1)).build().unwrap();
    let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let held = bare.block_on(pool.lease().into_future()).unwrap();
    let error = bare.block_on(pool.lease().within(SECOND / 20).into_future()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(held);
    bare.block_on(pool.lease().within(60 * SECOND).into_future()).unwrap();
}
