//! The keyring store, over the mock of `keyring-core`: a real keyring would ask the user.

use std::sync::Arc;

use jwt_refresh::store::{KeyringStore, StoreErrorKind, TokenStore};
#[cfg(feature = "seal")]
use jwt_refresh::store::{SealKey, Sealed};
use jwt_refresh_testkit::conformance;
use keyring_core::{CredentialStore, Error, mock};
use tempfile::TempDir;

use crate::support::entry;

const SERVICE: &str = "com.example.catalog";

/// A folder for locks, an empty keyring, and a store over both.
fn keyring() -> (TempDir, Arc<CredentialStore>, KeyringStore) {
    let folder = tempfile::tempdir().unwrap();
    let credentials: Arc<CredentialStore> = mock::Store::new().unwrap();
    let store = KeyringStore::with_credentials(Arc::clone(&credentials), SERVICE, folder.path().join("locks"));
    (folder, credentials, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_conformance_suite() {
    let (folder, credentials, _) = keyring();
    let make = async || KeyringStore::with_credentials(Arc::clone(&credentials), SERVICE, folder.path().join("locks"));
    conformance::check(make).await;
}

#[cfg(feature = "seal")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_conformance_suite_when_sealed() {
    let (_folder, _, store) = keyring();
    let key = SealKey::generate().unwrap();
    conformance::check(async || Sealed::new(store.clone(), key.clone())).await;
}

#[cfg(feature = "seal")]
#[tokio::test]
async fn an_entry_of_another_key_is_reported_and_stays() {
    let (_folder, _, store) = keyring();
    let (key, other) = (SealKey::generate().unwrap(), SealKey::generate().unwrap());
    let sealed = |key: &SealKey| Sealed::new(store.clone(), key.clone());
    conformance::check_keys(async || sealed(&key), async || sealed(&other)).await;
}

#[tokio::test]
async fn what_was_set_aside_is_deleted_and_nothing_else() {
    let (_folder, credentials, store) = keyring();
    let credential = |user: &str| credentials.build(SERVICE, user, None).unwrap();
    for number in 1..=12 {
        credential("account-alice").set_secret(b"refresh-token of another program").unwrap();
        let error = store.load("alice").await.unwrap_err().to_string();
        assert!(error.contains(&format!("account-alice.corrupt-{number}")), "{error}");
    }
    // The user may have deleted some.
    for number in [1, 2, 3, 7] {
        credential(&format!("account-alice.corrupt-{number}")).delete_credential().unwrap();
    }
    store.save("alice", &entry(1, b"1")).await.unwrap();
    credential("account-bob.corrupt-1").set_secret(b"bob's").unwrap();
    store.delete_corrupt("alice").await.unwrap();
    for number in 1..=12 {
        let left = credential(&format!("account-alice.corrupt-{number}")).get_secret();
        assert!(matches!(left, Err(Error::NoEntry)), "{number}: {left:?}");
    }
    assert_eq!(credential("account-bob.corrupt-1").get_secret().unwrap(), b"bob's");
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(1, b"1")));
}

#[tokio::test]
async fn a_credential_in_a_later_format_is_left_alone() {
    let (_folder, credentials, store) = keyring();
    store.save("alice", &entry(1, b"1")).await.unwrap();
    let credential = credentials.build(SERVICE, "account-alice", None).unwrap();
    // Larger than this version writes, so that its sum does not count.
    let mut later = credential.get_secret().unwrap();
    later[15] = 2;
    later.resize((1 << 20) + 1, 0);
    credential.set_secret(&later).unwrap();
    for error in [store.load("alice").await.unwrap_err(), store.save("alice", &entry(2, b"2")).await.unwrap_err()] {
        assert_eq!(error.kind(), StoreErrorKind::LaterFormat, "{error}");
    }
    assert_eq!(credential.get_secret().unwrap(), later);
}

#[tokio::test]
async fn no_secret_is_written_to_disk() {
    let (folder, _, store) = keyring();
    let lease = store.lease("alice").await.unwrap();
    store.save("alice", &entry(1, b"refresh-token")).await.unwrap();
    drop(lease);
    for file in std::fs::read_dir(folder.path().join("locks")).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().len(), 0);
    }
}

#[tokio::test]
async fn a_foreign_credential_is_reported_and_set_aside() {
    let (_folder, credentials, store) = keyring();
    let credential = |user: &str| credentials.build(SERVICE, user, None).unwrap();
    for (number, content) in [(1, &b"refresh-token of another program"[..]), (2, b"")] {
        credential("account-alice").set_secret(content).unwrap();
        let error = store.load("alice").await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        let aside = format!("account-alice.corrupt-{number}");
        assert!(error.to_string().contains(&aside), "{error}");
        assert!(!format!("{error:?}").contains("refresh-token"), "{error:?}");
        assert_eq!(credential(&aside).get_secret().unwrap(), content);
        assert_eq!(store.load("alice").await.unwrap(), None);
    }
    store.save("alice", &entry(1, b"anew")).await.unwrap();
}

#[tokio::test]
async fn a_copied_credential_of_another_account_is_corrupt() {
    let (_folder, credentials, store) = keyring();
    store.save("alice", &entry(1, b"alice's")).await.unwrap();
    let credential = |user: &str| credentials.build(SERVICE, user, None).unwrap();
    credential("account-bob").set_secret(&credential("account-alice").get_secret().unwrap()).unwrap();
    assert_eq!(store.load("bob").await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(1, b"alice's")));
}

#[tokio::test]
async fn failures_have_their_kind_and_lose_no_entry() {
    let (_folder, credentials, store) = keyring();
    store.save("alice", &entry(1, b"1")).await.unwrap();
    let credential = credentials.build(SERVICE, "account-alice", None).unwrap();
    let mock: &mock::Cred = credential.as_any().downcast_ref().unwrap();
    for (error, kind) in [
        (Error::NoStorageAccess("locked".into()), StoreErrorKind::Unavailable),
        (Error::PlatformFailure("no bus".into()), StoreErrorKind::Unavailable),
        (Error::TooLong("secret".to_owned(), 2560), StoreErrorKind::Configuration),
    ] {
        mock.set_error(error);
        assert_eq!(store.save("alice", &entry(2, b"2")).await.unwrap_err().kind(), kind);
        assert_eq!(store.load("alice").await.unwrap().unwrap().revision, 1);
    }
}
