use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwt_refresh::store::{CorruptEntry, MemoryLease, MemoryStore, StoreEntry, StoreError, TokenStore};
use jwt_refresh::{Policy, Session};

use crate::World;

const MINUTE: Duration = Duration::from_secs(61);

/// A store that, when told to, shows another entry than the one it has.
#[derive(Clone, Default)]
struct Lying {
    inner: MemoryStore,
    lie: Arc<Mutex<Option<Lie>>>,
}

type Lie = fn(StoreEntry) -> StoreEntry;

impl Lying {
    fn tell(&self, lie: Option<Lie>) {
        *self.lie.lock().unwrap() = lie;
    }
}

impl TokenStore for Lying {
    type Lease = MemoryLease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        let entry = self.inner.load(account).await?;
        let lie = *self.lie.lock().unwrap();
        Ok(match lie {
            Some(lie) => entry.map(lie),
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

fn lies() -> Vec<(&'static str, Lie)> {
    vec![
        ("malformed", |entry| StoreEntry { data: b"{".to_vec().into(), ..entry }),
        ("empty", |entry| StoreEntry { data: Vec::new().into(), ..entry }),
        ("huge", |entry| StoreEntry { data: vec![b' '; 2 << 20].into(), ..entry }),
        ("another account's", |entry| edited(&entry, "\"ada\"", "\"eve\"")),
        ("of an unknown format", |entry| edited(&entry, "\"format\":1", "\"format\":99")),
        ("another revision's", |entry| StoreEntry { revision: entry.revision + 1, ..entry }),
        ("older than before", |entry| StoreEntry { revision: entry.revision - 1, ..entry }),
    ]
}

async fn logged_in(world: &World, store: &Lying, policy: Policy) -> Session {
    let session = world.builder().store(store.clone(), "ada").policy(policy).login().await.unwrap();
    // So that there is a revision to go back to.
    world.pass(MINUTE);
    session.token().await.unwrap();
    session
}

#[tokio::test]
async fn whatever_the_store_shows_the_token_that_lives_is_served_and_the_refresh_token_kept() {
    for (name, lie) in lies() {
        for answer in [CorruptEntry::TreatAsEmpty, CorruptEntry::TreatAsDown] {
            let world = World::new();
            let store = Lying::default();
            let session = logged_in(&world, &store, Policy::default().corrupt_entry(answer)).await;
            store.tell(Some(lie));
            world.pass(Duration::from_secs(58));
            assert_eq!(world.call(&session).await, 200, "{name}, {answer:?}");

            store.tell(None);
            world.pass(MINUTE * 2);
            assert_eq!(world.call(&session).await, 200, "{name}, {answer:?}");
            let stats = world.server.stats();
            assert_eq!((stats.logins, stats.reuses), (1, 0), "{name}, {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_believed_is_a_store_that_is_down_if_the_policy_says_so() {
    for (name, lie) in lies() {
        let world = World::new();
        let store = Lying::default();
        let session = logged_in(&world, &store, Policy::default().corrupt_entry(CorruptEntry::TreatAsDown)).await;
        let before = world.server.stats();
        store.tell(Some(lie));
        world.pass(MINUTE);
        let error = session.token().await.unwrap_err();
        assert_eq!(error.kind(), jwt_refresh::ErrorKind::Store, "{name}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("the entry in the store"), "{name}: {cause}");
        assert_eq!(world.server.stats().since(&before).auth_requests, 0, "{name}: nothing was spent unguarded");
    }
}
