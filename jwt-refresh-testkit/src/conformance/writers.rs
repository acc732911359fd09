//! Many writers save at once. One of them writes each revision, and what it wrote stays.

use std::sync::Arc;
use std::time::Duration;

use jwt_refresh_core::store::TokenStore;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{entry, load, save, try_save, within};

const WRITERS: u64 = 8;

pub(super) async fn one_of_many_writers_saves_each_revision<S: TokenStore>(make: &impl AsyncFn() -> S) {
    const REVISIONS: u64 = 10;
    let promise = "of all who write one revision at once, exactly one does, and what it wrote is there";
    let barrier = Arc::new(Barrier::new(usize::try_from(WRITERS).unwrap_or(1)));
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, barrier) = (make().await, Arc::clone(&barrier));
        tasks.spawn(async move {
            let mut won = Vec::new();
            for revision in 1..=REVISIONS {
                within(promise, barrier.wait()).await;
                let entry = entry(revision, format!("{writer}"));
                if try_save(&store, "winners", &entry, promise).await {
                    won.push(revision);
                }
                // All writers have tried this revision, and none has begun with the next.
                within(promise, barrier.wait()).await;
                let loaded = load(&store, "winners", promise).await;
                let is_own = loaded.as_ref() == Some(&entry);
                assert_eq!(
                    is_own,
                    won.last() == Some(&revision),
                    "{promise}: after revision {revision}, {loaded:?} is there"
                );
            }
            won
        });
    }
    let mut won = join(tasks).await.concat();
    won.sort_unstable();
    assert!(won.iter().copied().eq(1..=REVISIONS), "{promise}: won were {won:?}");
}

pub(super) async fn concurrent_updates_are_not_lost<S: TokenStore>(make: &impl AsyncFn() -> S) {
    const EACH: u64 = 10;
    let promise = "who reads, changes and writes again on a conflict, loses no update";
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
        let store = make().await;
        tasks.spawn(async move {
            for _ in 0..EACH {
                loop {
                    let held = load(&store, "counter", promise).await;
                    let revision = held.as_ref().map_or(0, |held| held.revision) + 1;
                    let data = held.map_or_else(Vec::new, |held| held.data.to_vec());
                    let count = String::from_utf8_lossy(&data).parse().unwrap_or(0_u64) + 1;
                    if try_save(&store, "counter", &entry(revision, count.to_string()), promise).await {
                        break;
                    }
                }
            }
        });
    }
    join(tasks).await;
    let counted = load(&make().await, "counter", promise).await;
    let all = WRITERS * EACH;
    assert!(counted == Some(entry(all, all.to_string())), "{promise}: {counted:?} is there after {all} updates");
}

pub(super) async fn a_dropped_save_is_complete_or_absent<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "a save whose future is dropped is done or not, and keeps nobody from the next";
    let store = make().await;
    let mut revision = 0;
    for time_out in (0..20).map(|step| Duration::from_micros(50 * step)) {
        let next = entry(revision + 1, format!("{revision}"));
        let _ = tokio::time::timeout(time_out, store.save("dropped save", &next)).await;
        // The dropped save may have been done, or may still be done before this one.
        try_save(&store, "dropped save", &next, promise).await;
        let held = load(&store, "dropped save", promise).await;
        assert!(held.as_ref() == Some(&next), "{promise}: {held:?} is there in place of {next:?}");
        revision = next.revision;
    }
    save(&store, "dropped save", &entry(revision + 1, "last"), promise).await;
}

async fn join<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        match result {
            Ok(result) => results.push(result),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => panic!("a task of the check was lost: {error}"),
        }
    }
    results
}
