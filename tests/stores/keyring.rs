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
