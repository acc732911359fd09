//! Callers that wait for a lease.

use std::sync::{Arc, Mutex};

use jwt_refresh::ErrorKind;

use crate::support::{SECOND, World};
use crate::{active, is_pending, policy, run_other_tasks};

#[tokio::test]
async fn callers_are_served_in_the_order_in_which_they_came() {
    let world = World::with_accounts(1);
    let pool = world.pool_of([world.account(0).concurrency(1)]).build().unwrap();
    let held = pool.lease().await.unwrap();
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in 0..20 {
        let (pool, served) = (pool.clone(), Arc::clone(&served));
        tasks.push(tokio::spawn(async move {
            let _lease = pool.lease().await.unwrap();
            served.lock().unwrap().push(number);
        }));
        run_other_tasks().await;
    }
    assert_eq!(pool.status().waiting, 20);
    drop(held);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*served.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_caller_that_is_dropped_leaves_the_queue_and_loses_no_lease() {
    let world = World::with_accounts(1);
    let pool = world.pool_of([world.account(0).concurrency(1)]).build().unwrap();
    let held = pool.lease().await.unwrap();
    let (mut first, mut second) = (pool.lease().into_future(), pool.lease().into_future());
    assert!(is_pending(&mut first) && is_pending(&mut second));
    // The first caller is handed the lease, and dropped before it takes it.
    drop(held);
    drop(first);
    second.await.unwrap();
    assert_eq!(pool.status().waiting, 0);
}

#[tokio::test]
async fn a_deadline_ends_the_wait() {
    let world = World::with_accounts(1);
    let pool = world.pool_of([world.account(0).concurrency(1)]).build().unwrap();
    let _held = pool.lease().await.unwrap();
    let mut until_deadline = pool.lease().deadline(world.now() + 5 * SECOND).into_future();
    let mut within_time = pool.lease().within(6 * SECOND).into_future();
    assert!(is_pending(&mut until_deadline) && is_pending(&mut within_time));
    world.clock.advance(5 * SECOND);
    assert_eq!(until_deadline.await.unwrap_err().kind(), ErrorKind::Busy);
    assert!(is_pending(&mut within_time));
    world.clock.advance(SECOND);
    let error = within_time.await.unwrap_err();
    assert!(error.to_string().contains("deadline") && error.is_transient(), "{error}");
    assert_eq!(pool.status().waiting, 0);
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let world = World::with_accounts(1);
    let pool = world.pool_of([world.account(0).concurrency(1)]);
    let pool = pool.policy(policy().queue(2)).build().unwrap();
    let _held = pool.lease().await.unwrap();
    let mut waiting = [pool.lease().into_future(), pool.lease().into_future()];
    for caller in &mut waiting {
        assert!(is_pending(caller));
    }
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("2 callers"), "{error}");
}

#[tokio::test]
async fn accounts_can_be_added_and_removed_while_callers_wait() {
    let world = World::with_accounts(2);
    let pool = world.pool_of([world.account(0).concurrency(1)]).build().unwrap();
    let held = pool.lease().await.unwrap();
    let mut waits = pool.lease().into_future();
    assert!(is_pending(&mut waits));
    pool.add(world.account(1)).unwrap();
    let second = waits.await.unwrap();
    assert_eq!(second.account(), "a1");

    assert!(pool.remove("a1") && !pool.remove("a1"));
    assert_eq!(world.call_with(second.token()).await, 200, "a lease that is held stays valid");
    let mut waits = pool.lease().into_future();
    assert!(is_pending(&mut waits));
    assert!(pool.remove("a0"));
    assert_eq!(waits.await.unwrap_err().kind(), ErrorKind::NoAccount);
    drop((held, second));
    pool.add(world.account(0)).unwrap();
    active(&pool, 1).await;
    pool.lease().await.unwrap();
}
