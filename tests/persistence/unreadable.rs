//! Entries that are there and cannot be read: of a later version, or sealed with another key.

use std::sync::atomic::Ordering;

use jwt_refresh::store::{FileStore, StoreEntry, TokenStore};
use jwt_refresh::{ErrorKind, ManualClock};

use crate::faulty::FaultyStore;
use crate::scripted::{LIFE, Scripted};
use crate::support::SECOND;

/// Puts the entry of a later version in place of the one that is there.
async fn write_later_format(store: &FaultyStore) -> StoreEntry {
    let entry = store.entry().await.unwrap();
    let revision = entry.revision + 1;
    let text = String::from_utf8(entry.data.to_vec()).unwrap();
    let text = text.replace("\"format\":2", "\"format\":3");
    let text = text.replace(&format!("\"revision\":{}", entry.revision), &format!("\"revision\":{revision}"));
    let later = StoreEntry { revision, data: text.into_bytes().into() };
    store.inner().save("ada", &later).await.unwrap();
    later
}

#[tokio::test]
async fn an_entry_of_a_later_version_is_left_alone_with_an_error_that_says_so() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let start = || server.session().clock(&clock).store(store.clone(), "ada");
    let session = start().connect().await.unwrap();
    let later = write_later_format(&store).await;
    clock.advance(LIFE);
    for error in [
        session.token().await.unwrap_err(),
        session.login().await.unwrap_err(),
        session.adopt(server.capture()).await.unwrap_err(),
        start().connect().await.unwrap_err(),
        session.logout().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("format 3, which a later version of jwt-refresh wrote"), "{error}");
    }
    assert_eq!(store.entry().await, Some(later));
    let asked = server.asked();
    assert!(!asked.contains(&"refresh R1".to_owned()), "{asked:?}");
}

#[tokio::test]
async fn an_idle_session_looks_at_an_entry_that_it_cannot_read_no_more_often_than_at_others() {
    let (server, store) = (Scripted::new(), FaultyStore::default());
    let _session = server.session().store(store.clone(), "ada").connect().await.unwrap();
    write_later_format(&store).await;
    let before = store.loads.load(Ordering::SeqCst);
    // Real time, because the pauses of a store are real.
    tokio::time::sleep(3 * SECOND).await;
    let loads = store.loads.load(Ordering::SeqCst) - before;
    assert!(loads <= 4, "{loads} loads in 3 s");
}

#[tokio::test]
async fn fields_that_a_later_version_has_added_are_kept() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let session = server.session().clock(&clock).store(store.clone(), "ada").connect().await.unwrap();
    let entry = store.entry().await.unwrap();
    let revision = entry.revision + 1;
    let text = String::from_utf8(entry.data.to_vec()).unwrap();
    let other = r#""access":[{"parameters":{"audience":"billing"},"token":"B1","issued_ns":1,"new":[1,{}]},"#;
    let text = text.replace(&format!("\"revision\":{}", entry.revision), &format!("\"revision\":{revision}"));
    let text = text.replace("\"access\":[", other).replacen('{', r#"{"later_key":{"kty":"EC"},"#, 1);
    store.inner().save("ada", &StoreEntry { revision, data: text.into_bytes().into() }).await.unwrap();
    clock.advance(LIFE);
    session.token().await.unwrap();
    let text = store.text().await;
    for kept in [r#""later_key":{"kty":"EC"}"#, r#"{"parameters":{"audience":"billing"},"token":"B1","#, "\"A2\""] {
        assert!(text.contains(kept), "{kept} is lost: {text}");
    }
    session.logout().await.unwrap();
    let text = store.text().await;
    assert!(!text.contains("B1") && !text.contains("later_key"), "a logout keeps nothing: {text}");
}

#[tokio::test]
async fn an_entry_of_version_1_is_read() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let now =
        i64::try_from(jwt_refresh::Clock::from(&clock).now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos())
            .unwrap();
    let captured = server.capture();
    let text = serde_json::json!({
        "format": 1, "account": "ada", "revision": 1, "issue": 7, "status": "active",
        "access_token": captured.access().expose(), "issued_ns": now, "expires_ns": now + 60_000_000_000_i64,
        "refresh_token": "R1", "doubtful": false, "reusable": false, "spending": false,
    });
    store.inner().save("ada", &StoreEntry { revision: 1, data: text.to_string().into_bytes().into() }).await.unwrap();
    let session = server.session().clock(&clock).store(store.clone(), "ada").connect().await.unwrap();
    assert_eq!(session.token().await.unwrap().expose(), "A1");
    clock.advance(LIFE);
    assert_eq!(session.token().await.unwrap().expose(), "A2");
    assert_eq!(server.asked(), ["refresh R1"]);
    assert!(store.text().await.contains("\"sequence\":8"));
}

#[tokio::test]
async fn a_damaged_file_is_replaced_without_a_login() {
    let (server, clock) = (Scripted::new(), ManualClock::new());
    let folder = tempfile::tempdir().unwrap();
    let builder = server.session().clock(&clock).store(FileStore::new(folder.path()), "ada");
    let session = builder.connect().await.unwrap();
    session.refresh_now().await.unwrap();
    std::fs::write(folder.path().join("account-ada.tokens"), "damaged").unwrap();
    for _ in 0..3 {
        clock.advance(LIFE);
        session.token().await.unwrap();
    }
    assert_eq!(server.asked(), ["login", "refresh R1", "refresh R2", "refresh R3", "refresh R4"]);
}

#[cfg(feature = "seal")]
mod sealed {
    use jwt_refresh::Policy;
    use jwt_refresh::store::{CorruptEntry, SealKey, Sealed};

    use super::*;
    use crate::support::MINUTE;

    /// A session whose entry is sealed with a key that is lost then.
    async fn lose_key(server: &Scripted, store: &FaultyStore, clock: &ManualClock) {
        let key = SealKey::generate().unwrap();
        let sealed = Sealed::new(store.clone(), key);
        server.session().clock(clock).store(sealed, "ada").connect().await.unwrap();
    }

    #[tokio::test]
    async fn a_session_whose_key_was_lost_logs_in_once_and_goes_on_for_many_lives() {
        let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
        lose_key(&server, &store, &clock).await;
        let sealed = Sealed::new(store.clone(), SealKey::generate().unwrap());
        let session = server.session().clock(&clock).store(sealed, "ada").connect().await.unwrap();
        for _ in 0..3 {
            clock.advance(LIFE);
            session.token().await.unwrap();
        }
        assert_eq!(server.asked(), ["login", "login", "refresh R2", "refresh R3", "refresh R4"]);
        let logout = tokio::time::timeout(MINUTE, session.logout()).await;
        logout.expect("the logout ends").unwrap();
    }

    #[tokio::test]
    async fn an_idle_session_whose_key_was_lost_does_not_spin() {
        let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
        lose_key(&server, &store, &clock).await;
        for answer in [CorruptEntry::TreatAsEmpty, CorruptEntry::TreatAsDown] {
            let sealed = Sealed::new(store.clone(), SealKey::generate().unwrap());
            let policy = Policy::default().corrupt_entry(answer);
            let _session = server.session().policy(policy).clock(&clock).store(sealed, "ada").build();
            let before = store.loads.load(Ordering::SeqCst);
            tokio::time::sleep(3 * SECOND).await;
            let loads = store.loads.load(Ordering::SeqCst) - before;
            assert!(loads <= 5, "{loads} loads in 3 s");
        }
    }
}
