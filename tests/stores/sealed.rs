//! Sealed stores: without the key, nothing in them can be read.

use std::sync::{Arc, Mutex};

use jwt_refresh::store::{FileStore, MemoryStore, SealKey, Sealed, StoreErrorKind, TokenStore};
use jwt_refresh_testkit::conformance;

use crate::support::entry;

fn key() -> SealKey {
    SealKey::generate().unwrap()
}

/// A memory store with an entry of `alice` that is sealed with `key`.
async fn alice(key: &SealKey) -> MemoryStore {
    let store = MemoryStore::new();
    Sealed::new(store.clone(), key.clone()).save("alice", &entry(1, b"refresh-token")).await.unwrap();
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_conformance_suite_over_a_memory_store() {
    let (store, key) = (MemoryStore::new(), key());
    conformance::check(async || Sealed::new(store.clone(), key.clone())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_conformance_suite_over_a_file_store() {
    let (folder, key) = (tempfile::tempdir().unwrap(), key());
    conformance::check(async || Sealed::new(FileStore::new(folder.path()), key.clone())).await;
}

#[tokio::test]
async fn an_entry_of_another_key_is_reported_and_stays_in_memory_and_in_a_file() {
    let (key, other, folder) = (key(), key(), tempfile::tempdir().unwrap());
    let memory = MemoryStore::new();
    let sealed = |key: &SealKey| Sealed::new(memory.clone(), key.clone());
    conformance::check_keys(async || sealed(&key), async || sealed(&other)).await;
    let sealed = |key: &SealKey| Sealed::new(FileStore::new(folder.path()), key.clone());
    conformance::check_keys(async || sealed(&key), async || sealed(&other)).await;
}

#[tokio::test]
async fn what_was_set_aside_below_the_seal_is_deleted_through_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sealed::new(FileStore::new(folder.path()), key());
    std::fs::write(folder.path().join("account-alice.tokens"), b"torn").unwrap();
    assert_eq!(store.load("alice").await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    let aside = folder.path().join("account-alice.corrupt-1");
    assert!(aside.exists());
    store.delete_corrupt("alice").await.unwrap();
    assert!(!aside.exists());
}

#[tokio::test]
async fn a_stored_entry_is_a_paseto_that_hides_the_tokens() {
    let key = key();
    let stored = alice(&key).await.load("alice").await.unwrap().unwrap();
    let text = std::str::from_utf8(&stored.data).unwrap();
    assert!(text.starts_with("v4.local."), "{text}");
    assert!(!text.contains("refresh-token"));
    assert_eq!(stored.revision, 1);
}

#[tokio::test]
async fn another_key_reads_no_entry_and_overwrites_none() {
    let (right, wrong) = (key(), key());
    let store = alice(&right).await;
    let with_wrong_key = Sealed::new(store.clone(), wrong.clone());
    let error = with_wrong_key.load("alice").await.unwrap_err();
    assert_eq!((error.kind(), error.revision()), (StoreErrorKind::KeyMismatch, Some(1)));
    let key = right.id();
    let expected =
        format!(r#"the entry of account "alice" is sealed with the key {key}, which this process was not given"#);
    assert!(error.to_string().starts_with(&expected), "{error}");
    for key in [&right, &wrong] {
        assert!(!format!("{error:?} {with_wrong_key:?} {key:?}").contains(key.to_paserk().expose()));
    }
    assert_eq!(with_wrong_key.save("alice", &entry(1, b"anew")).await.unwrap_err().kind(), StoreErrorKind::Conflict);

    let loaded = Sealed::new(store, right).load("alice").await.unwrap();
    assert_eq!(loaded, Some(entry(1, b"refresh-token")));
}

#[tokio::test]
async fn an_entry_with_a_changed_byte_is_corrupt() {
    let key = key();
    let whole = alice(&key).await.load("alice").await.unwrap().unwrap();
    for at in 0..whole.data.len() {
        let store = MemoryStore::new();
        let mut changed = whole.clone();
        changed.data[at] ^= 1;
        store.save("alice", &changed).await.unwrap();
        let sealed = Sealed::new(store, key.clone());
        let kind = sealed.load("alice").await.unwrap_err().kind();
        // A change of the footer can make it that of another key.
        let is_of_footer = !whole.data[at..].contains(&b'.');
        let is_found = kind == StoreErrorKind::Corrupt || is_of_footer && kind == StoreErrorKind::KeyMismatch;
        assert!(is_found, "byte {at}: {kind:?}");
    }
}

#[tokio::test]
async fn an_entry_that_was_cut_off_is_corrupt() {
    let key = key();
    let whole = alice(&key).await.load("alice").await.unwrap().unwrap();
    for length in 0..whole.data.len() {
        let store = MemoryStore::new();
        store.save("alice", &entry(1, &whole.data[..length])).await.unwrap();
        let error = Sealed::new(store, key.clone()).load("alice").await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{length} bytes");
    }
}

#[tokio::test]
async fn an_entry_moved_to_another_account_or_revision_is_corrupt() {
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
async fn what_is_neither_sealed_nor_an_entry_in_the_clear_is_corrupt() {
    let store = MemoryStore::new();
    store.save("alice", &entry(1, br#"{"format":2,"acc"#)).await.unwrap();
    store.save("bob", &entry(1, [0xff, 0, 0xfe])).await.unwrap();
    let sealed = Sealed::new(store, key());
    for account in ["alice", "bob"] {
        let error = sealed.load(account).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains("is not sealed"), "{error}");
    }
}

#[tokio::test]
async fn an_entry_in_the_clear_is_read_only_where_that_is_allowed_and_sealed_when_it_is_written() {
    let (store, key) = (MemoryStore::new(), key());
    let clear = entry(1, br#"{"format":2}"#);
    store.save("alice", &clear).await.unwrap();
    let sealed = || Sealed::new(store.clone(), key.clone());
    let error = sealed().load("alice").await.unwrap_err();
    assert_eq!((error.kind(), error.revision()), (StoreErrorKind::KeyMismatch, Some(1)));
    assert!(error.to_string().contains("is not sealed") && error.to_string().contains("`read_unsealed`"), "{error}");
    for reads in [sealed().read_unsealed(), sealed().write_unsealed()] {
        assert_eq!(reads.load("alice").await.unwrap(), Some(clear.clone()));
    }
    sealed().read_unsealed().save("alice", &entry(2, b"{}")).await.unwrap();
    assert!(store.load("alice").await.unwrap().unwrap().data.starts_with(b"v4.local."));
    for reads in [sealed(), sealed().read_unsealed(), sealed().write_unsealed()] {
        assert_eq!(reads.load("alice").await.unwrap(), Some(entry(2, b"{}")));
    }
    sealed().write_unsealed().save("alice", &entry(3, b"{}")).await.unwrap();
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(3, b"{}")));
}

#[tokio::test]
async fn to_allow_entries_in_the_clear_allows_none_of_another_key_and_none_that_was_changed() {
    let store = alice(&key()).await;
    let other = Sealed::new(store.clone(), key()).read_unsealed();
    assert_eq!(other.load("alice").await.unwrap_err().kind(), StoreErrorKind::KeyMismatch);
    let key = key();
    let store = alice(&key).await;
    let moved = store.load("alice").await.unwrap().unwrap();
    store.save("bob", &moved).await.unwrap();
    let error = Sealed::new(store, key).read_unsealed().load("bob").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn keys_can_be_rotated_without_losing_an_entry() {
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
    assert_eq!(sealed.load("alice").await.unwrap_err().kind(), StoreErrorKind::KeyMismatch);
    assert_eq!(sealed.save("alice", &entry(3, b"")).await.unwrap_err().kind(), StoreErrorKind::Configuration);
}

#[test]
fn an_invalid_key_is_refused_without_being_shown() {
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

/// The test vectors `k4.local-2` and `k4.lid-2` of PASERK.
#[test]
fn keys_match_the_paserk_test_vectors() {
    let paserk = "k4.local.cHFyc3R1dnd4eXp7fH1-f4CBgoOEhYaHiImKi4yNjo8";
    let key: SealKey = format!(" {paserk}\n").parse().unwrap();
    assert_eq!(key.to_paserk().expose(), paserk);
    assert_eq!(key.id(), "k4.lid.iVtYQDjr5gEijCSjJC3fQaJm7nCeQSeaty0Jixy8dbsk");
}
