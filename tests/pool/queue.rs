use std::sync::{Arc, Mutex};

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::Pool;

use crate::{SECOND, World, active, is_pending, policy, quiet};

#[tokio::test]
async fn callers_are_served_in_the_order_in_which_they_came() {
    let world = World::new(1);
    let pool = Pool::builder().clock(&world.clock).account(world.account(0).concurrency(1)).build().unwrap();
    let held = pool.lease().await.unwrap();
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in 0..20 {
        let (pool, served) = (pool.clone(), Arc::clone(&served));
        tasks.push(tokio::spawn(async move {
            let _lease = pool.lease().await.unwrap();
            served.lock().unwrap().push(number);
        }));
        quiet().await;
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
    let world = World::new(1);
    let pool = Pool::builder().clock(&world.clock).account(world.account(0).concurrency(1)).build().unwrap();
    let held = pool.lease().await.unwrap();
    let (mut first, mut second) = (pool.lease().into_future(), pool.lease().into_future());
    assert!(is_pending(&mut first) && is_pending(&mut second));
    // The first has the lease before it is dropped.
    drop(held);
    drop(first);
    second.await.unwrap();
    assert_eq!(pool.status().waiting, 0);
}

#[tokio::test]
async fn a_deadline_ends_the_wait() {
    let world = World::new(1);
    let pool = Pool::builder().clock(&world.clock).account(world.account(0).concurrency(1)).build().unwrap();
    let _held = pool.lease().await.unwrap();
    let mut by_deadline = pool.lease().deadline(world.clock_now() + 5 * SECOND).into_future();
    let mut by_time = pool.lease().within(6 * SECOND).into_future();
    assert!(is_pending(&mut by_deadline) && is_pending(&mut by_time));
    world.clock.advance(5 * SECOND);
    assert_eq!(by_deadline.await.unwrap_err().kind(), ErrorKind::Busy);
    assert!(is_pending(&mut by_time));
    world.clock.advance(SECOND);
    let error = by_time.await.unwrap_err();
    assert!(error.to_string().contains("deadline") && error.is_transient(), "{error}");
    assert_eq!(pool.status().waiting, 0);
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let world = World::new(1);
    let pool = Pool::builder().clock(&world.clock).account(world.account(0).concurrency(1));
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
async fn accounts_come_and_go_while_callers_wait() {
    let world = World::new(2);
    let pool = Pool::builder().clock(&world.clock).account(world.account(0).concurrency(1)).build().unwrap();
    let held = pool.lease().await.unwrap();
    let mut waits = pool.lease().into_future();
    assert!(is_pending(&mut waits));
    pool.add(world.account(1)).unwrap();
    let second = waits.await.unwrap();
    assert_eq!(second.account(), "a1");

    assert!(pool.remove("a1") && !pool.remove("a1"));
    assert_eq!(world.call(&second).await, 200, "a lease that is held stays as it is");
    let mut waits = pool.lease().into_future();
    assert!(is_pending(&mut waits));
    assert!(pool.remove("a0"));
    assert_eq!(waits.await.unwrap_err().kind(), ErrorKind::NoAccount);
    drop((held, second));
    pool.add(world.account(0)).unwrap();
    active(&pool, 1).await;
    pool.lease().await.unwrap();
}
