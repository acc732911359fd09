//! Entries that only who has the key can read.

use std::sync::{Arc, Mutex};

use jwt_refresh::store::{FileStore, MemoryStore, SealKey, Sealed, StoreErrorKind, TokenStore};
use jwt_refresh_testkit::conformance;

use crate::file::entry;

fn key() -> SealKey {
    SealKey::generate().unwrap()
}

/// A store in memory with what `key` sealed for `alice`.
async fn alice(key: &SealKey) -> MemoryStore {
    let store = MemoryStore::new();
    Sealed::new(store.clone(), key.clone()).save("alice", &entry(1, b"refresh-token")).await.unwrap();
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_its_promises_over_the_store_in_memory() {
    let (store, key) = (MemoryStore::new(), key());
    conformance::check(async || Sealed::new(store.clone(), key.clone())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_its_promises_over_the_store_in_a_folder() {
    let (folder, key) = (tempfile::tempdir().unwrap(), key());
    conformance::check(async || Sealed::new(FileStore::new(folder.path()), key.clone())).await;
}

#[tokio::test]
async fn what_is_stored_is_a_paseto_that_shows_nothing() {
    let key = key();
    let stored = alice(&key).await.load("alice").await.unwrap().unwrap();
    let text = std::str::from_utf8(&stored.data).unwrap();
    assert!(text.starts_with("v4.local."), "{text}");
    assert!(!text.contains("refresh-token"));
    assert_eq!(stored.revision, 1);
}

#[tokio::test]
async fn another_key_opens_nothing_and_loses_nothing() {
    let (right, wrong) = (key(), key());
    let store = alice(&right).await;
    let mistaken = Sealed::new(store.clone(), wrong.clone());
    let error = mistaken.load("alice").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert_eq!(
        error.to_string(),
        r#"the entry of account "alice", revision 1, is sealed with a key that is not given"#
    );
    for key in [&right, &wrong] {
        assert!(!format!("{error:?} {mistaken:?} {key:?}").contains(key.to_paserk().expose()));
    }
    assert_eq!(mistaken.save("alice", &entry(1, b"anew")).await.unwrap_err().kind(), StoreErrorKind::Conflict);

    let loaded = Sealed::new(store, right).load("alice").await.unwrap();
    assert_eq!(loaded, Some(entry(1, b"refresh-token")));
}

#[tokio::test]
async fn no_changed_byte_is_opened() {
    let key = key();
    let whole = alice(&key).await.load("alice").await.unwrap().unwrap();
    for at in 0..whole.data.len() {
        let store = MemoryStore::new();
        let mut changed = whole.clone();
        changed.data[at] ^= 1;
        store.save("alice", &changed).await.unwrap();
        let sealed = Sealed::new(store, key.clone());
        assert_eq!(sealed.load("alice").await.unwrap_err().kind(), StoreErrorKind::Corrupt, "byte {at}");
    }
}

#[tokio::test]
async fn an_entry_that_was_moved_to_another_account_or_revision_is_not_opened() {
    let key = key();
    let store = alice(&key).await;
    let stored = store.load("alice").await.unwrap().unwrap();
    store.save("bob", &stored).await.unwrap();
    let again = entry(2, &stored.data);
    store.save("alice", &again).await.unwrap();
    let sealed = Sealed::new(store, key);
    for account in ["alice", "bob"] {
        let error = sealed.load(account).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains("another account's or revision's"), "{error}");
    }
}

#[tokio::test]
async fn an_entry_that_is_not_sealed_is_not_read() {
    let store = MemoryStore::new();
    store.save("alice", &entry(1, b"plain")).await.unwrap();
    store.save("bob", &entry(1, &[0xff, 0, 0xfe])).await.unwrap();
    let sealed = Sealed::new(store, key());
    for account in ["alice", "bob"] {
        let error = sealed.load(account).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains("is not sealed"), "{error}");
    }
}

#[tokio::test]
async fn keys_are_changed_without_losing_an_entry() {
    let (old, new) = (key(), key());
    let store = alice(&old).await;
    let keys = Arc::new(Mutex::new(vec![old.clone()]));
    let sealed = Sealed::with_keys(store.clone(), {
        let keys = Arc::clone(&keys);
        move || Ok(keys.lock().unwrap().clone())
    });
    assert!(sealed.load("alice").await.unwrap().is_some());

    *keys.lock().unwrap() = vec![new.clone(), old];
    assert!(sealed.load("alice").await.unwrap().is_some());
    sealed.save("alice", &entry(2, b"rotated")).await.unwrap();

    *keys.lock().unwrap() = vec![new];
    assert_eq!(sealed.load("alice").await.unwrap(), Some(entry(2, b"rotated")));

    keys.lock().unwrap().clear();
    assert_eq!(sealed.load("alice").await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(sealed.save("alice", &entry(3, b"")).await.unwrap_err().kind(), StoreErrorKind::Configuration);
}

#[test]
fn a_key_that_is_none_is_told_without_showing_it() {
    let almost = key().to_paserk().expose().replace("k4.local.", "k4.locl.");
    for text in ["", "hunter2", &almost, "k4.local.", "k4.local.aHVudGVyMg", "k3.local.aHVudGVyMg"] {
        let error = text.parse::<SealKey>().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Configuration);
        assert_eq!(error.to_string(), "the key to seal tokens with is not of the form `k4.local.…`");
    }
    let error = SealKey::from_env("JWT_REFRESH_NO_SUCH_KEY").unwrap_err();
    assert_eq!(error.to_string(), r#"the environment variable "JWT_REFRESH_NO_SUCH_KEY" is not set to a key"#);
    let error = SealKey::from_env("PATH").unwrap_err();
    assert_eq!(error.to_string(), r#"the environment variable "PATH" holds no key of the form `k4.local.…`"#);
}

/// The key of the PASERK test vectors, `k4.local-2` and `k4.lid-2`.
#[test]
fn keys_are_read_as_the_standard_writes_them() {
    let paserk = "k4.local.cHFyc3R1dnd4eXp7fH1-f4CBgoOEhYaHiImKi4yNjo8";
    let key: SealKey = format!(" {paserk}\n").parse().unwrap();
    assert_eq!(key.to_paserk().expose(), paserk);
    assert_eq!(key.id(), "k4.lid.iVtYQDjr5gEijCSjJC3fQaJm7nCeQSeaty0Jixy8dbsk");
}
