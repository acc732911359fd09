//! The events of a pool.

use std::pin::Pin;
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Wake, Waker};

use jwt_refresh::pool::{Account, Pool, PoolEvent};
use jwt_refresh::{Events, ManualClock, TokenProvider};
use tokio::time::timeout;

use crate::scripted::{Does, Log, Scripted};
use crate::support::{HOUR, MINUTE, SECOND, until};
use crate::{active, is_pending};

/// The next event in few words. It comes within a minute.
async fn next(events: &mut Events<PoolEvent>) -> String {
    let event = timeout(MINUTE, events.next()).await.expect("there is an event");
    match event.expect("the pool has not ended") {
        PoolEvent::Joined { account } => format!("{account} joined"),
        PoolEvent::Quarantined { account, cause, error } => {
            format!("{account} out: {cause}{}", if error.is_some() { ", with an error" } else { "" })
        }
        PoolEvent::Returned { account } => format!("{account} returned"),
        PoolEvent::LoginDenied { account, .. } => format!("{account} denied"),
        PoolEvent::Drained { account } => format!("{account} drained"),
        PoolEvent::EndpointLeftAlone { endpoint, pause, .. } => format!("{endpoint} left alone for {pause:?}"),
        PoolEvent::EndpointReturned { endpoint } => format!("{endpoint} returned"),
        PoolEvent::Closed => "closed".to_owned(),
        other => format!("{other:?}"),
    }
}

fn scripted(does: Does) -> (ManualClock, Log, Scripted) {
    let log = Log::default();
    let account = Scripted::new("ada", does, &log);
    (ManualClock::new(), log, account)
}

#[tokio::test]
async fn a_program_hears_what_happens_to_its_accounts() {
    let (clock, _log, ada) = scripted(Does::Lives(HOUR));
    let pool = Pool::builder().clock(&clock).build().unwrap();
    let mut events = pool.events();
    pool.add(ada.account()).unwrap();
    assert_eq!(next(&mut events).await, "ada joined");
    pool.lease().await.unwrap().rate_limited(Some(MINUTE));
    assert_eq!(next(&mut events).await, "ada out: rate-limited");
    clock.advance(MINUTE);
    assert_eq!(next(&mut events).await, "ada returned");

    ada.set(Does::Denies);
    clock.advance(54 * MINUTE);
    assert_eq!(next(&mut events).await, "ada denied");
    ada.set(Does::Lives(HOUR));
    clock.advance(MINUTE);
    active(&pool, 1).await;

    let account = pool.account("ada").unwrap();
    account.quarantine("maintenance", HOUR).unwrap();
    assert_eq!(next(&mut events).await, "ada out: taken out by hand, with an error");
    account.lift().unwrap();
    assert_eq!(next(&mut events).await, "ada returned");
    let held = pool.lease().await.unwrap();
    let drains = account.drain(HOUR);
    assert_eq!(next(&mut events).await, "ada out: drained");
    drop(held);
    drains.await.unwrap();
    assert_eq!(next(&mut events).await, "ada drained");

    assert!(pool.remove("ada"));
    pool.close(SECOND).await;
    assert_eq!(next(&mut events).await, "closed");
    assert!(timeout(MINUTE, events.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_account_that_cannot_log_in_is_told_once_for_each_cause_and_each_denial() {
    let (clock, log, ada) = scripted(Does::Unreachable);
    let pool = Pool::builder().clock(&clock).build().unwrap();
    let mut events = pool.events();
    pool.add(ada.account()).unwrap();
    assert_eq!(next(&mut events).await, "ada out: not logged in yet, with an error");
    let asked = log.begun().len();
    until("it is asked again", async || {
        clock.advance(SECOND);
        log.begun().len() > asked
    })
    .await;
    until("that has failed, too", async || log.running() == 0).await;
    // The next request waits while no time passes, so that there is one denial and no second.
    ada.set(Does::Waits);
    until("a request waits", async || {
        if log.running() == 0 {
            clock.advance(SECOND);
        }
        log.running() == 1
    })
    .await;
    ada.set(Does::Denies);
    assert_eq!(next(&mut events).await, "ada denied");
    assert_eq!(next(&mut events).await, "ada out: login denied, with an error");
    ada.set(Does::Lives(HOUR));
    clock.advance(HOUR);
    assert_eq!(next(&mut events).await, "ada returned");
    assert!(is_pending(&mut Box::pin(events.next())));
}

#[tokio::test]
async fn an_endpoint_that_is_left_alone_and_one_that_is_back_are_told() {
    let (clock, _log, ada) = scripted(Does::Unavailable(Some(MINUTE)));
    let pool = Pool::builder().clock(&clock).build().unwrap();
    let mut events = pool.events();
    pool.add(ada.clone().at("https://login.example").account()).unwrap();
    assert_eq!(next(&mut events).await, "https://login.example left alone for 60s");
    assert_eq!(next(&mut events).await, "ada out: not logged in yet, with an error");
    ada.set(Does::Lives(HOUR));
    clock.advance(MINUTE);
    assert_eq!(next(&mut events).await, "https://login.example returned");
    assert_eq!(next(&mut events).await, "ada joined");
}

/// Something that a waker does.
struct OnWake<F>(F);

impl<F: Fn() + Send + Sync> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// A wait for an event, which returns the receiver.
type NextEvent = Pin<Box<dyn Future<Output = (PoolEvent, Events<PoolEvent>)> + Send>>;

/// A pool with an API key, and a wait for its first event, for which `on_wake` is woken.
fn pool_that_wakes(on_wake: impl Fn(&Pool) + Send + Sync + 'static) -> (Pool, NextEvent) {
    let pool = Pool::builder().account(Account::api_key("ada", "secret")).build().unwrap();
    let mut events = pool.events();
    let mut first: NextEvent = Box::pin(async move { (events.next().await.unwrap(), events) });
    let woken = pool.clone();
    let waker = Waker::from(Arc::new(OnWake(move || on_wake(&woken))));
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    (pool, first)
}

/// Runs `work` on a thread of its own, and fails if it takes a minute.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(MINUTE).expect("it is done in time")
}

#[test]
fn a_waker_of_a_receiver_may_use_the_pool() {
    let (sender, woken) = mpsc::channel();
    let (pool, _first) = pool_that_wakes(move |pool| {
        pool.account("ada").unwrap().lift().unwrap();
        let _ = sender.send(pool.status().active);
    });
    let account = pool.account("ada").unwrap();
    in_time(move || account.quarantine("for a while", HOUR).unwrap());
    assert_eq!(woken.try_recv(), Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waker_that_blocks_holds_up_no_lease_and_events_come_in_order_after_it() {
    let gate = Arc::new(Barrier::new(2));
    let (pool, first) = pool_that_wakes({
        let gate = Arc::clone(&gate);
        move |_| {
            gate.wait();
            gate.wait();
        }
    });
    let account = pool.account("ada").unwrap();
    let blocked = std::thread::spawn({
        let account = account.clone();
        move || account.quarantine("for a while", HOUR).unwrap()
    });
    in_time({
        let gate = Arc::clone(&gate);
        move || gate.wait()
    });
    in_time({
        let (pool, account) = (pool.clone(), account.clone());
        move || {
            account.lift().unwrap();
            assert!(pool.ready().is_some());
            account.quarantine("again", HOUR).unwrap();
        }
    });
    gate.wait();
    blocked.join().unwrap();
    let (first, mut events) = timeout(MINUTE, first).await.unwrap();
    assert!(matches!(first, PoolEvent::Quarantined { .. }));
    assert_eq!(next(&mut events).await, "ada returned");
    assert_eq!(next(&mut events).await, "ada out: taken out by hand, with an error");
}

#[tokio::test]
async fn a_receiver_that_does_not_read_loses_the_oldest_and_one_that_is_dropped_nothing() {
    let (_clock, _log, ada) = scripted(Does::Lives(HOUR));
    let pool = Pool::builder().account(ada.account()).build().unwrap();
    active(&pool, 1).await;
    let account = pool.account("ada").unwrap();
    let mut slow = pool.events();
    for _ in 0..100 {
        account.quarantine("again", HOUR).unwrap();
        account.lift().unwrap();
    }
    drop(pool.events());
    drop(account.drain(HOUR));
    let mut late = pool.events();
    pool.close(SECOND).await;
    let mut read = Vec::new();
    while let Some(event) = timeout(MINUTE, slow.next()).await.unwrap() {
        read.push(event);
    }
    assert_eq!(read.len(), 64);
    assert!(matches!(read[61..], [PoolEvent::Quarantined { .. }, PoolEvent::Drained { .. }, PoolEvent::Closed]));
    assert_eq!(next(&mut late).await, "closed");
    for mut ended in [late, pool.events()] {
        assert!(timeout(MINUTE, ended.next()).await.unwrap().is_none(), "there is nothing after closing");
    }
}
