//! Checks that an implementation of [`TokenStore`] does what the trait promises.
//!
//! ```
//! use jwt_refresh::store::MemoryStore;
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
mod corrupt;
mod entries;
mod leases;
mod writers;

use std::future::Future;
use std::time::Duration;

use jwt_refresh_core::store::{StoreEntry, StoreError, StoreErrorKind, TokenStore};

/// Checks every promise of [`TokenStore`]. This takes a few seconds.
///
/// `make` is called many times. Each store that it returns must be another handle on *one and the
/// same* backing (a folder, a database), so that the check can act like many processes. The backing
/// must be empty at first. The check writes about thirty accounts, some with names that a store can
/// easily confuse.
///
/// # Panics
///
/// If a promise is broken, or a step takes longer than 30 s. The message says which promise.
pub async fn check<S: TokenStore>(make: impl AsyncFn() -> S) {
    entries::an_account_without_a_save_has_no_entry(&make).await;
    entries::load_returns_what_was_saved(&make).await;
    entries::save_accepts_only_the_next_revision(&make).await;
    entries::accounts_with_similar_names_are_separate(&make).await;
    writers::one_of_many_writers_saves_each_revision(&make).await;
    writers::concurrent_updates_are_not_lost(&make).await;
    writers::a_dropped_save_is_complete_or_absent(&make).await;
    leases::one_caller_at_a_time_has_the_lease(&make).await;
    leases::a_dropped_lease_can_be_taken(&make).await;
    leases::a_dropped_waiter_does_not_keep_the_lease(&make).await;
    leases::a_lease_covers_one_account(&make).await;
    leases::a_lease_does_not_block_reads_and_writes(&make).await;
    changes::changed_returns_after_a_save(&make).await;
    changes::changed_returns_for_an_earlier_save(&make).await;
    corrupt::delete_corrupt_keeps_the_entries(&make).await;
}

/// Checks what [`TokenStore`] promises of an entry of another key, for a store that encrypts: it is
/// a [`StoreErrorKind::KeyMismatch`], and stays as it is.
///
/// `with_key` and `with_other_key` return handles on one and the same backing, as
/// [`check`]'s `make` does, that cannot open each other's entries. The check writes one account.
///
/// # Panics
///
/// If a promise is broken, or a step takes longer than 30 s. The message says which promise.
pub async fn check_keys<S: TokenStore, T: TokenStore>(
    with_key: impl AsyncFn() -> S,
    with_other_key: impl AsyncFn() -> T,
) {
    corrupt::an_entry_of_another_key_is_reported_and_stays(&with_key, &with_other_key).await;
}

/// How long each step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the result of `step`. Panics with `promise` in the message if `step` takes longer than
/// [`STEP_TIMEOUT`].
async fn within<T>(promise: &str, step: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP_TIMEOUT, step).await.unwrap_or_else(|_| panic!("{promise}: not within {STEP_TIMEOUT:?}"))
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

/// Saves, and returns whether the store took the entry. `false` means a conflict: another writer
/// was first. Any other error panics.
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
