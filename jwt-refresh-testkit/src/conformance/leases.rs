//! One caller at a time has the lease of an account. The lease is free again when its holder drops
//! it, a caller that stops waiting does not keep it, and reads and writes do not need it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jwt_refresh_core::store::TokenStore;
use tokio::time::timeout;

use super::{entry, lease, load, save, within};

/// How long the check waits for a lease that is held, to see that it is not given out.
const SHORT_WAIT: Duration = Duration::from_millis(100);

pub(super) async fn one_caller_at_a_time_has_the_lease<S: TokenStore>(make: &impl AsyncFn() -> S) {
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
                // The pause lets the other tasks take the lease.
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

pub(super) async fn a_dropped_lease_can_be_taken<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "a lease that is held is not given to another, and one that is dropped is";
    let (one, other) = (make().await, make().await);
    for _ in 0..3 {
        let held = lease(&one, "given back", promise).await;
        for store in [&one, &other] {
            let second = timeout(SHORT_WAIT, store.lease("given back")).await;
            assert!(!matches!(second, Ok(Ok(_))), "{promise}: it was given while it was held");
        }
        drop(held);
        drop(lease(&other, "given back", promise).await);
    }
    // Now the lease is held by a task that is aborted.
    let holder = tokio::spawn(async move {
        let _held = lease(&one, "given back", promise).await;
        std::future::pending::<()>().await;
    });
    tokio::time::sleep(SHORT_WAIT).await;
    holder.abort();
    drop(lease(&other, "given back", "a lease whose holder's task is ended is free").await);
}

pub(super) async fn a_dropped_waiter_does_not_keep_the_lease<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "who stops waiting for a lease does not take it along";
    let (one, other) = (make().await, make().await);
    let held = lease(&one, "waited for", promise).await;
    for _ in 0..5 {
        let _ = timeout(SHORT_WAIT / 10, other.lease("waited for")).await;
    }
    drop(held);
    // These attempts could succeed. They are dropped after different times, so that some are
    // dropped just before they would have the lease.
    for step in 0..40 {
        let _ = timeout(Duration::from_micros(25 * step), other.lease("waited for")).await;
    }
    drop(lease(&one, "waited for", promise).await);
    drop(lease(&other, "waited for", promise).await);
}

pub(super) async fn a_lease_covers_one_account<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "a lease is for one account";
    let (one, other) = (make().await, make().await);
    let held = (lease(&one, "lease:a", promise).await, lease(&one, "lease/a", promise).await);
    drop((lease(&one, "lease:b", promise).await, lease(&other, "lease:A", promise).await));
    drop(held);
}

pub(super) async fn a_lease_does_not_block_reads_and_writes<S: TokenStore>(make: &impl AsyncFn() -> S) {
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
