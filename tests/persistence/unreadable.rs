//! Entries that are there and cannot be read: of a later version, or sealed with another key.

use std::sync::atomic::Ordering;
use std::time::Instant;

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
    let begun = Instant::now();
    tokio::time::sleep(3 * SECOND).await;
    let loads = store.loads.load(Ordering::SeqCst) - before;
    assert!(loads as u64 <= begun.elapsed().as_secs() + 1, "{loads} loads in {:?}", begun.elapsed());
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
    use std::sync::{Arc, Mutex};

    use jwt_refresh::store::{CorruptEntry, SealKey, Sealed, StoreFailure};
    use jwt_refresh::{Policy, SessionBuilder};

    use super::*;
    use crate::support::MINUTE;

    fn key() -> SealKey {
        SealKey::generate().unwrap()
    }

    /// What a session is given: a store with a key, or without one.
    #[derive(Clone)]
    enum Keyed {
        Clear(FaultyStore),
        Sealed(Sealed<FaultyStore>),
    }

    impl Keyed {
        fn start(&self, server: &Scripted, clock: &ManualClock) -> SessionBuilder {
            let builder = server.session().clock(clock);
            match self.clone() {
                Self::Clear(store) => builder.store(store, "ada"),
                Self::Sealed(store) => builder.store(store, "ada"),
            }
        }
    }

    /// Stores of which the second does not fit what the first has written, and what is said of it.
    fn mismatches(store: &FaultyStore) -> [(Keyed, Keyed, &'static str); 3] {
        let clear = || Keyed::Clear(store.clone());
        let sealed = || Keyed::Sealed(Sealed::new(store.clone(), key()));
        [
            (sealed(), sealed(), "which this process was not given: give it that key, too"),
            (sealed(), clear(), "is sealed, and this process was given no key"),
            (clear(), sealed(), "is not sealed, and this process was given a key"),
        ]
    }

    #[tokio::test]
    async fn an_entry_of_another_key_is_left_alone_under_every_policy_with_an_error_that_says_so() {
        let failures = [StoreFailure::Fail, StoreFailure::ServeWhatLives, StoreFailure::RefreshUnguarded];
        for corrupt in [CorruptEntry::TreatAsEmpty, CorruptEntry::TreatAsDown] {
            for policy in failures.map(|failure| Policy::default().store_failure(failure).corrupt_entry(corrupt)) {
                for case in 0..3 {
                    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
                    let (first, second, expected) = mismatches(&store)[case].clone();
                    let right = first.start(&server, &clock).connect().await.unwrap();
                    right.refresh_now().await.unwrap();
                    let (before, asked) = (store.entry().await, server.asked());
                    let start = || second.start(&server, &clock).policy(policy.clone());
                    let session = start().build();
                    for error in [
                        start().connect().await.unwrap_err(),
                        session.token().await.unwrap_err(),
                        session.refresh_now().await.unwrap_err(),
                        session.login().await.unwrap_err(),
                        session.adopt(server.capture()).await.unwrap_err(),
                        start().build().logout().await.unwrap_err(),
                    ] {
                        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
                        let text = error.to_string();
                        assert!(
                            text.starts_with("the entry of account \"ada\" is ") && text.contains(expected),
                            "{text}"
                        );
                    }
                    assert_eq!(store.entry().await, before, "{asked:?}");
                    assert!(!server.asked().iter().any(|asked| asked.starts_with("refresh")), "{expected}");
                    clock.advance(LIFE);
                    right.token().await.unwrap();
                    assert_eq!(server.asked(), ["refresh R2"], "who has the key goes on");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_session_without_the_key_sends_no_captured_token_that_is_spent() {
        for case in 0..3 {
            let (server, store, clock) = (Scripted::new().without_login(), FaultyStore::default(), ManualClock::new());
            let (first, second, expected) = mismatches(&store)[case].clone();
            let captured = server.capture();
            let right = first.start(&server, &clock).tokens(captured.clone()).connect().await.unwrap();
            right.refresh_now().await.unwrap();
            let wrong = second.start(&server, &clock).tokens(captured).build();
            clock.advance(LIFE);
            for _ in 0..3 {
                let error = wrong.token().await.unwrap_err();
                assert!(error.to_string().contains(expected), "{error}");
                clock.advance(MINUTE);
            }
            right.token().await.unwrap();
            assert_eq!(server.asked(), ["refresh R1", "refresh R2"]);
        }
    }

    #[tokio::test]
    async fn a_session_that_is_given_the_right_key_goes_on_with_what_others_have_got() {
        let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
        let (lost, other) = (key(), key());
        let right = Keyed::Sealed(Sealed::new(store.clone(), lost.clone())).start(&server, &clock).connect();
        let right = right.await.unwrap();
        let keys = Arc::new(Mutex::new(vec![other]));
        let sealed = Sealed::with_keys(store.clone(), {
            let keys = Arc::clone(&keys);
            move || Ok(keys.lock().unwrap().clone())
        });
        let session = server.session().clock(&clock).store(sealed, "ada").build();
        session.token().await.unwrap_err();
        right.refresh_now().await.unwrap();
        keys.lock().unwrap().push(lost);
        clock.advance(MINUTE / 2);
        assert_eq!(session.token().await.unwrap().expose(), "A2");
        assert_eq!(server.asked(), ["login", "refresh R1"]);
    }

    #[tokio::test]
    async fn a_session_whose_key_was_lost_logs_in_once_the_entry_is_deleted() {
        let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
        Keyed::Sealed(Sealed::new(store.clone(), key())).start(&server, &clock).connect().await.unwrap();
        let session = Keyed::Sealed(Sealed::new(store.clone(), key())).start(&server, &clock).build();
        session.token().await.unwrap_err();
        store.roll_back_to(None).await;
        for _ in 0..3 {
            clock.advance(LIFE);
            session.token().await.unwrap();
        }
        assert_eq!(server.asked(), ["login", "login", "refresh R2", "refresh R3"]);
    }

    #[tokio::test]
    async fn an_idle_session_whose_key_was_lost_does_not_spin() {
        let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
        Keyed::Sealed(Sealed::new(store.clone(), key())).start(&server, &clock).connect().await.unwrap();
        for answer in [CorruptEntry::TreatAsEmpty, CorruptEntry::TreatAsDown] {
            let sealed = Sealed::new(store.clone(), key());
            let policy = Policy::default().corrupt_entry(answer);
            let _session = server.session().policy(policy).clock(&clock).store(sealed, "ada").build();
            let before = store.loads.load(Ordering::SeqCst);
            let begun = Instant::now();
            tokio::time::sleep(3 * SECOND).await;
            let loads = store.loads.load(Ordering::SeqCst) - before;
            assert!(loads as u64 <= begun.elapsed().as_secs() + 2, "{loads} loads in {:?}", begun.elapsed());
        }
    }
}
