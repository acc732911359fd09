//! Checks that a [`TokenStore`] keeps every promise of the trait.
//!
//! ```
//! use jwt_refresh_core::store::MemoryStore;
//! use jwt_refresh_testkit::conformance;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // In a `#[tokio::test]`, or `#[tokio::test(flavor = "multi_thread")]`:
//! let store = MemoryStore::new();
//! conformance::check(async || store.clone()).await;
//! # }
//! ```

mod changes;
mod entries;
mod leases;
mod writers;

use std::future::Future;
use std::time::Duration;

use jwt_refresh_core::store::{StoreEntry, StoreError, StoreErrorKind, TokenStore};

/// Runs a store through every promise of [`TokenStore`], in some seconds.
///
/// `make` is called many times. Each store that it makes is another handle on *one and the same* backing (a folder, a database),
/// which is empty at first; that is how the check plays many processes. It writes about thirty accounts, some with names that only a
/// careful store can tell apart.
///
/// # Panics
///
/// If a promise is broken: the message says which. If a step takes longer than 30 s: the same.
pub async fn check<S: TokenStore>(make: impl AsyncFn() -> S) {
    entries::an_account_that_nobody_wrote_has_no_entry(&make).await;
    entries::what_is_saved_is_what_is_loaded(&make).await;
    entries::an_entry_must_follow_on_the_one_that_is_there(&make).await;
    entries::accounts_are_separate_whatever_their_names(&make).await;
    writers::one_of_many_writers_wins_each_revision(&make).await;
    writers::no_update_is_lost(&make).await;
    writers::a_dropped_save_is_done_or_not(&make).await;
    leases::one_at_a_time_has_the_lease(&make).await;
    leases::a_dropped_lease_is_free(&make).await;
    leases::a_dropped_waiter_takes_nothing_along(&make).await;
    leases::a_lease_is_for_one_account(&make).await;
    leases::a_lease_keeps_nobody_from_reading_and_writing(&make).await;
    changes::a_change_ends_the_wait(&make).await;
    changes::a_change_that_came_before_is_not_missed(&make).await;
}

/// How long any one step may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whatever `step` comes to, unless it takes so long that `promise` is broken.
async fn within<T>(promise: &str, step: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, step).await.unwrap_or_else(|_| panic!("{promise}: not within {PATIENCE:?}"))
}

fn entry(revision: u64, data: impl Into<Vec<u8>>) -> StoreEntry {
    StoreEntry { revision, data: data.into().into() }
}

async fn load(store: &impl TokenStore, account: &str, promise: &str) -> Option<StoreEntry> {
    let loaded = within(promise, store.load(account)).await;
    loaded.unwrap_or_else(|error| panic!("{promise}: `load` of account {account:?} failed: {error}"))
}

async fn save(store: &impl TokenStore, account: &str, entry: &StoreEntry, promise: &str) {
    let saved = within(promise, store.save(account, entry)).await;
    saved.unwrap_or_else(|error| panic!("{promise}: `save` of account {account:?}, {entry:?}, failed: {error}"));
}

/// Saves; `false` if the store says that another was first.
async fn try_save(store: &impl TokenStore, account: &str, entry: &StoreEntry, promise: &str) -> bool {
    match within(promise, store.save(account, entry)).await {
        Ok(()) => true,
        Err(error) => {
            assert_conflict(&error, promise);
            false
        }
    }
}

async fn lease<S: TokenStore>(store: &S, account: &str, promise: &str) -> S::Lease {
    let lease = within(promise, store.lease(account)).await;
    lease.unwrap_or_else(|error| panic!("{promise}: `lease` of account {account:?} failed: {error}"))
}

#[track_caller]
fn assert_conflict(error: &StoreError, promise: &str) {
    assert_eq!(error.kind(), StoreErrorKind::Conflict, "{promise}: the error must be a conflict, and is: {error}");
}
