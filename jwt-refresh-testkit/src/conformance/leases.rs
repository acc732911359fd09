//! One at a time has the lease, and nobody can lose it but by keeping it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jwt_refresh_core::store::TokenStore;
use tokio::time::timeout;

use super::{entry, lease, load, save, within};

/// How long a lease that is held is waited for, to see that it is not given.
const MOMENT: Duration = Duration::from_millis(100);

pub(super) async fn one_at_a_time_has_the_lease<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "one at a time has the lease";
    let taken = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (store, taken) = (make().await, Arc::clone(&taken));
        tasks.push(tokio::spawn(async move {
            for _ in 0..5 {
                let lease = lease(&store, "leased", promise).await;
                assert!(!taken.swap(true, Ordering::SeqCst), "{promise}: two had it at once");
                tokio::time::sleep(Duration::from_millis(2)).await;
                taken.store(false, Ordering::SeqCst);
                drop(lease);
                // Lets the others have it.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }));
    }
    for task in tasks {
        if let Err(error) = task.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

pub(super) async fn a_dropped_lease_is_free<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "a lease that is held is not given to another, and one that is dropped is";
    let (one, other) = (make().await, make().await);
    for _ in 0..3 {
        let held = lease(&one, "given back", promise).await;
        for store in [&one, &other] {
            let second = timeout(MOMENT, store.lease("given back")).await;
            assert!(!matches!(second, Ok(Ok(_))), "{promise}: it was given while it was held");
        }
        drop(held);
        drop(lease(&other, "given back", promise).await);
    }
    // Held by a task that is ended.
    let holder = tokio::spawn(async move {
        let _held = lease(&one, "given back", promise).await;
        std::future::pending::<()>().await;
    });
    tokio::time::sleep(MOMENT).await;
    holder.abort();
    drop(lease(&other, "given back", "a lease whose holder's task is ended is free").await);
}

pub(super) async fn a_dropped_waiter_takes_nothing_along<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "who stops waiting for a lease does not take it along";
    let (one, other) = (make().await, make().await);
    let held = lease(&one, "waited for", promise).await;
    for _ in 0..5 {
        let _ = timeout(MOMENT / 10, other.lease("waited for")).await;
    }
    drop(held);
    // Dropped at every point of an attempt that succeeds, also just before it would.
    for step in 0..40 {
        let _ = timeout(Duration::from_micros(25 * step), other.lease("waited for")).await;
    }
    drop(lease(&one, "waited for", promise).await);
    drop(lease(&other, "waited for", promise).await);
}

pub(super) async fn a_lease_is_for_one_account<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "a lease is for one account";
    let (one, other) = (make().await, make().await);
    let held = (lease(&one, "lease:a", promise).await, lease(&one, "lease/a", promise).await);
    drop((lease(&one, "lease:b", promise).await, lease(&other, "lease:A", promise).await));
    drop(held);
}

pub(super) async fn a_lease_keeps_nobody_from_reading_and_writing<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "a lease keeps nobody from reading and writing";
    let (one, other) = (make().await, make().await);
    let held = lease(&one, "written under lease", promise).await;
    for (revision, store) in (1..).zip([&one, &other]) {
        let entry = entry(revision, "under lease");
        save(store, "written under lease", &entry, promise).await;
        let loaded = load(&other, "written under lease", promise).await;
        assert!(loaded.as_ref() == Some(&entry), "{promise}: {loaded:?} is there in place of {entry:?}");
    }
    within(promise, async { drop(held) }).await;
}
