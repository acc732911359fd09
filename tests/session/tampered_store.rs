//! A store whose entry was changed by something other than a session.

use std::sync::{Arc, Mutex};

use jwt_refresh::store::{CorruptEntry, MemoryLease, MemoryStore, StoreEntry, StoreError, TokenStore};
use jwt_refresh::{ErrorKind, Policy, Session};

use crate::IN_LEEWAY;
use crate::support::{HOUR, World};

/// What is done to an entry before it is loaded.
type Tampering = fn(StoreEntry) -> StoreEntry;

/// A store that returns its entries changed as long as a test wants it to.
#[derive(Clone, Default)]
struct TamperedStore {
    inner: MemoryStore,
    tampering: Arc<Mutex<Option<Tampering>>>,
}

impl TamperedStore {
    fn set(&self, tampering: Option<Tampering>) {
        *self.tampering.lock().unwrap() = tampering;
    }
}

impl TokenStore for TamperedStore {
    type Lease = MemoryLease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        let entry = self.inner.load(account).await?;
        let tampering = *self.tampering.lock().unwrap();
        Ok(match tampering {
            Some(tampering) => entry.map(tampering),
            None => entry,
        })
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.inner.save(account, entry).await
    }

    async fn lease(&self, account: &str) -> Result<MemoryLease, StoreError> {
        self.inner.lease(account).await
    }
}

fn edited(entry: &StoreEntry, from: &str, to: &str) -> StoreEntry {
    let data = String::from_utf8(entry.data.to_vec()).unwrap().replace(from, to).into_bytes();
    StoreEntry { revision: entry.revision, data: data.into() }
}

fn tamperings() -> Vec<(&'static str, Tampering)> {
    vec![
        ("malformed", |entry| StoreEntry { data: b"{".to_vec().into(), ..entry }),
        ("empty", |entry| StoreEntry { data: Vec::new().into(), ..entry }),
        ("huge", |entry| StoreEntry { data: vec![b' '; 2 << 20].into(), ..entry }),
        ("another account's", |entry| edited(&entry, "\"ada\"", "\"eve\"")),
        ("of a format that there never was", |entry| edited(&entry, "\"format\":2", "\"format\":0")),
        ("another revision's", |entry| StoreEntry { revision: entry.revision + 1, ..entry }),
    ]
}

/// A session that has logged in and refreshed once, so that there is an older revision.
async fn refreshed_once(world: &World, store: &TamperedStore, policy: Policy) -> Session {
    let session = world.session().store(store.clone(), "ada").policy(policy).connect().await.unwrap();
    world.pass(HOUR);
    session.token().await.unwrap();
    session
}

#[tokio::test]
async fn a_tampered_entry_displaces_neither_the_live_token_nor_the_refresh_token() {
    for (name, tampering) in tamperings() {
        for answer in [CorruptEntry::TreatAsEmpty, CorruptEntry::TreatAsDown] {
            let world = World::with_long_tokens();
            let store = TamperedStore::default();
            let session = refreshed_once(&world, &store, Policy::default().corrupt_entry(answer)).await;
            store.set(Some(tampering));
            world.pass(IN_LEEWAY);
            assert_eq!(world.call(&session).await, 200, "{name}, {answer:?}");

            store.set(None);
            world.pass(2 * HOUR);
            assert_eq!(world.call(&session).await, 200, "{name}, {answer:?}");
            let stats = world.server.stats();
            assert_eq!((stats.logins, stats.reuses), (1, 0), "{name}, {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_tampered_entry_is_a_store_that_is_down_if_the_policy_says_so() {
    for (name, tampering) in tamperings() {
        let world = World::with_long_tokens();
        let store = TamperedStore::default();
        let policy = Policy::default().corrupt_entry(CorruptEntry::TreatAsDown);
        let session = refreshed_once(&world, &store, policy).await;
        let before = world.server.stats();
        store.set(Some(tampering));
        world.pass(HOUR);
        let error = session.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{name}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("the entry in the store"), "{name}: {cause}");
        assert_eq!(world.server.stats().since(&before).auth_requests, 0, "{name}: nothing was spent");
    }
}
