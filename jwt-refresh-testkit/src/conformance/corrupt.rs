//! `delete_corrupt` deletes nothing but what was set aside, and an entry of another key is reported
//! with its revision, stays as it is, and can be replaced.

use std::time::Duration;

use jwt_refresh_core::store::{StoreErrorKind, TokenStore};
use tokio::time::timeout;

use super::{assert_conflict, entry, lease, load, save, within};

pub(super) async fn delete_corrupt_keeps_the_entries<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "`delete_corrupt` deletes nothing but what was set aside";
    let (one, other) = (make().await, make().await);
    delete(&one, "cleaned", promise).await;
    let loaded = load(&one, "cleaned", promise).await;
    assert!(loaded.is_none(), "{promise}: {loaded:?} is there, and nobody saved it");
    save(&one, "cleaned", &entry(1, "kept"), promise).await;
    save(&one, "cleaned too", &entry(1, "kept too"), promise).await;
    let held = lease(&one, "cleaned", promise).await;
    for store in [&one, &other, &one] {
        delete(store, "cleaned", promise).await;
        for (account, data) in [("cleaned", "kept"), ("cleaned too", "kept too")] {
            let loaded = load(&other, account, promise).await;
            assert!(loaded == Some(entry(1, data)), "{promise}: {loaded:?} is left of account {account:?}");
        }
    }
    let second = timeout(Duration::from_millis(100), other.lease("cleaned")).await;
    assert!(!matches!(second, Ok(Ok(_))), "{promise}: it gave away a lease that is held");
    drop(held);
    save(&other, "cleaned", &entry(2, "after it"), promise).await;
}

pub(super) async fn an_entry_of_another_key_is_reported_and_stays<S: TokenStore, T: TokenStore>(
    with_key: &impl AsyncFn() -> S,
    with_other_key: &impl AsyncFn() -> T,
) {
    let promise = "an entry of another key is reported with its revision, and stays as it is";
    let (right, wrong) = (with_key().await, with_other_key().await);
    for revision in 1..=3 {
        save(&right, "unreadable", &entry(revision, format!("secret {revision}")), promise).await;
    }
    for _ in 0..2 {
        match within(promise, wrong.load("unreadable")).await {
            Err(error) if error.kind() == StoreErrorKind::KeyMismatch => {
                let text = format!("{error} {error:?}");
                assert!(!text.contains("secret"), "{promise}: the error shows what is in it: {text}");
                let Some(held) = error.revision() else { panic!("{promise}: no revision was told: {error}") };
                assert!(held == 3, "{promise}: {held} was reported for revision 3");
            }
            Err(error) => panic!("{promise}: the error must be `KeyMismatch`, and is: {error}"),
            Ok(loaded) => panic!("{promise}: {loaded:?} was loaded without the key"),
        }
        let loaded = load(&right, "unreadable", promise).await;
        assert!(loaded == Some(entry(3, "secret 3")), "{promise}: {loaded:?} is left for who has the key");
    }
    replace(&right, &wrong, 3).await;
}

/// Replaces the entry of `held`, which the store `wrong` cannot open.
async fn replace(right: &impl TokenStore, wrong: &impl TokenStore, held: u64) {
    let promise = "an entry of another key is replaced by the next revision and no other";
    for revision in [held, held + 2, 0] {
        match within(promise, wrong.save("unreadable", &entry(revision, "anew"))).await {
            Ok(()) => panic!("{promise}: revision {revision} was taken after {held}"),
            Err(error) => assert_conflict(&error, promise),
        }
    }
    let next = entry(held + 1, "anew");
    save(wrong, "unreadable", &next, promise).await;
    let loaded = load(wrong, "unreadable", promise).await;
    assert!(loaded.as_ref() == Some(&next), "{promise}: {loaded:?} is there in place of {next:?}");
    delete(wrong, "unreadable", promise).await;
    let loaded = load(wrong, "unreadable", promise).await;
    assert!(loaded.as_ref() == Some(&next), "{promise}: {loaded:?} is left after `delete_corrupt`");
    match within(promise, right.load("unreadable")).await {
        Err(error) if error.kind() == StoreErrorKind::KeyMismatch => {}
        other => panic!("{promise}: the store with the former key returned {other:?}"),
    }
}

async fn delete(store: &impl TokenStore, account: &str, promise: &str) {
    let deleted = within(promise, store.delete_corrupt(account)).await;
    deleted.unwrap_or_else(|error| panic!("{promise}: `delete_corrupt` of account {account:?} failed: {error}"));
}
