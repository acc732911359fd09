//! The conformance suite itself: it finds each way in which a store can break a promise, and names
//! the promise.

use std::sync::Arc;

use jwt_refresh::store::{MemoryStore, StoreEntry, StoreError, StoreErrorKind, TokenStore};
use jwt_refresh_testkit::conformance;

use crate::support::entry;

/// What a store does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    ForgetsCase,
    JoinsWithColon,
    CutsLargeEntries,
    LosesEmptyEntries,
    TakesAnyRevision,
    TakesLaterRevisions,
    ReadsThenWrites,
    LeasesToAll,
    LeasesOneForAll,
    LosesLeasesOfWaiters,
    NeverNotifies,
    NotifiesOfLaterChangesOnly,
    KeepsHandlesApart,
    EmptiesEntries,
}

/// A memory store with one flaw.
#[derive(Clone)]
struct Broken(MemoryStore, Flaw);

impl Broken {
    fn key(&self, account: &str) -> String {
        match self.1 {
            Flaw::ForgetsCase => account.to_lowercase(),
            Flaw::JoinsWithColon => account.replace([':', '/'], ":"),
            _ => account.to_owned(),
        }
    }
}

type Lease = Option<Arc<<MemoryStore as TokenStore>::Lease>>;

impl TokenStore for Broken {
    type Lease = Lease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        let loaded = self.0.load(&self.key(account)).await?;
        Ok(loaded.filter(|entry| self.1 != Flaw::LosesEmptyEntries || !entry.data.is_empty()))
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        let account = self.key(account);
        let mut entry = entry.clone();
        if self.1 == Flaw::CutsLargeEntries {
            entry.data.truncate(1 << 16);
        }
        let held = self.0.load(&account).await?.map_or(0, |held| held.revision);
        let forces = match self.1 {
            Flaw::TakesAnyRevision => true,
            Flaw::TakesLaterRevisions => entry.revision > held,
            Flaw::ReadsThenWrites => {
                tokio::task::yield_now().await;
                entry.revision == held + 1
            }
            _ => false,
        };
        if !forces {
            return self.0.save(&account, &entry).await;
        }
        // A store without compare-and-swap would save this. The memory store refuses, so only the
        // answer is wrong.
        let _ = self.0.save(&account, &entry).await;
        Ok(())
    }

    async fn lease(&self, account: &str) -> Result<Lease, StoreError> {
        match self.1 {
            Flaw::LeasesToAll => Ok(None),
            Flaw::LeasesOneForAll => Ok(Some(Arc::new(self.0.lease("all").await?))),
            Flaw::LosesLeasesOfWaiters if account == "waited for" => {
                let (store, account) = (self.0.clone(), account.to_owned());
                let (sender, receiver) = tokio::sync::oneshot::channel();
                tokio::spawn(async move {
                    if let Err(lease) = sender.send(store.lease(&account).await) {
                        std::mem::forget(lease);
                    }
                });
                Ok(Some(Arc::new(receiver.await.unwrap()?)))
            }
            _ => Ok(Some(Arc::new(self.0.lease(account).await?))),
        }
    }

    async fn delete_corrupt(&self, account: &str) -> Result<(), StoreError> {
        match self.0.load(account).await? {
            Some(held) if self.1 == Flaw::EmptiesEntries => self.0.save(account, &entry(held.revision + 1, "")).await,
            _ => Ok(()),
        }
    }

    async fn changed(&self, account: &str, revision: u64) {
        match self.1 {
            Flaw::NeverNotifies => std::future::pending().await,
            Flaw::NotifiesOfLaterChangesOnly => {
                let now = self.0.load(account).await.unwrap().map_or(0, |entry| entry.revision);
                self.0.changed(account, now).await;
            }
            _ => self.0.changed(account, revision).await,
        }
    }
}

async fn check(flaw: Flaw) {
    let store = MemoryStore::new();
    let is_apart = flaw == Flaw::KeepsHandlesApart;
    conformance::check(async || Broken(if is_apart { MemoryStore::new() } else { store.clone() }, flaw)).await;
}

/// The clock of the runtime is paused, so that waiting for nothing takes no time.
macro_rules! flaw_tests {
    ($($name:ident: $flaw:ident => $promise:literal;)*) => {$(
        #[tokio::test(start_paused = true)]
        #[should_panic(expected = $promise)]
        async fn $name() {
            check(Flaw::$flaw).await;
        }
    )*};
}

flaw_tests! {
    finds_accounts_mixed_up_by_case: ForgetsCase => "accounts are separate";
    finds_accounts_mixed_up_by_punctuation: JoinsWithColon => "accounts are separate";
    finds_truncated_entries: CutsLargeEntries => "what is saved is what every handle loads";
    finds_lost_empty_entries: LosesEmptyEntries => "what is saved is what every handle loads";
    finds_ignored_revisions: TakesAnyRevision => "revision 2 was taken after 0";
    finds_skipped_revisions: TakesLaterRevisions => "revision 2 was taken after 0";
    finds_saves_without_compare_and_swap: ReadsThenWrites => "exactly one does";
    finds_a_lease_with_two_holders: LeasesToAll => "two had it at once";
    finds_one_lease_for_all_accounts: LeasesOneForAll => "a lease is for one account";
    finds_leases_lost_with_their_waiters: LosesLeasesOfWaiters => "does not take it along";
    finds_missing_notifications: NeverNotifies => "sees what another handle saves";
    finds_missed_earlier_changes: NotifiesOfLaterChangesOnly => "`changed` ends if the change came before the call";
    finds_handles_with_separate_backings: KeepsHandlesApart => "what every handle loads";
    finds_entries_that_are_deleted_as_corrupt: EmptiesEntries => "deletes nothing but what was set aside";
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "is the backing empty?")]
async fn finds_a_backing_that_is_not_empty() {
    let store = MemoryStore::new();
    store.save("nobody", &entry(1, "left over")).await.unwrap();
    conformance::check(async || store.clone()).await;
}

/// What a store that encrypts does wrong with an entry that its key does not open.
#[derive(Clone, Copy, PartialEq)]
enum KeyFlaw {
    None,
    IgnoresTheKey,
    HidesTheRevision,
    TellsAnotherRevision,
    TakesItForNone,
    TakesItForDown,
    TakesItForDamaged,
    NeverReplacesIt,
    ShowsIt,
}

/// A memory store whose entries begin with the key, and which opens those of its own key.
struct Keyed {
    store: MemoryStore,
    key: u8,
    flaw: KeyFlaw,
}

impl TokenStore for Keyed {
    type Lease = <MemoryStore as TokenStore>::Lease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        let Some(held) = self.store.load(account).await? else { return Ok(None) };
        if held.data[0] == self.key || self.flaw == KeyFlaw::IgnoresTheKey {
            return Ok(Some(entry(held.revision, &held.data[1..])));
        }
        let error = StoreError::new(StoreErrorKind::KeyMismatch, "the entry cannot be opened");
        match self.flaw {
            KeyFlaw::HidesTheRevision => Err(error),
            KeyFlaw::TellsAnotherRevision => Err(error.at_revision(held.revision + 1)),
            KeyFlaw::TakesItForNone => Ok(None),
            KeyFlaw::TakesItForDown => Err(StoreError::new(StoreErrorKind::Unavailable, "the entry cannot be opened")),
            KeyFlaw::TakesItForDamaged => {
                Err(StoreError::new(StoreErrorKind::Corrupt, "damaged").at_revision(held.revision))
            }
            KeyFlaw::ShowsIt => Err(StoreError::new(StoreErrorKind::KeyMismatch, String::from_utf8_lossy(&held.data))),
            _ => Err(error.at_revision(held.revision)),
        }
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        let held = self.store.load(account).await?;
        if self.flaw == KeyFlaw::NeverReplacesIt && held.is_some_and(|held| held.data[0] != self.key) {
            return Err(StoreError::new(StoreErrorKind::Conflict, "the entry cannot be opened"));
        }
        let data = [&[self.key], &entry.data[..]].concat();
        self.store.save(account, &crate::support::entry(entry.revision, data)).await
    }

    async fn lease(&self, account: &str) -> Result<Self::Lease, StoreError> {
        self.store.lease(account).await
    }
}

async fn check_keys(flaw: KeyFlaw) {
    let store = MemoryStore::new();
    let keyed = |key| Keyed { store: store.clone(), key, flaw };
    conformance::check_keys(async || keyed(1), async || keyed(2)).await;
}

#[tokio::test]
async fn a_store_that_encrypts_passes() {
    check_keys(KeyFlaw::None).await;
}

macro_rules! key_flaw_tests {
    ($($name:ident: $flaw:ident => $promise:literal;)*) => {$(
        #[tokio::test]
        #[should_panic(expected = $promise)]
        async fn $name() {
            check_keys(KeyFlaw::$flaw).await;
        }
    )*};
}

key_flaw_tests! {
    finds_entries_that_are_opened_without_the_key: IgnoresTheKey => "was loaded without the key";
    finds_a_revision_that_is_not_told: HidesTheRevision => "no revision was told";
    finds_a_revision_that_is_wrong: TellsAnotherRevision => "4 was reported for revision 3";
    finds_an_unreadable_entry_that_is_taken_for_none: TakesItForNone => "was loaded without the key";
    finds_an_unreadable_entry_that_is_taken_for_an_outage: TakesItForDown => "the error must be `KeyMismatch`";
    finds_an_unreadable_entry_that_is_taken_for_damaged: TakesItForDamaged => "the error must be `KeyMismatch`";
    finds_an_unreadable_entry_that_cannot_be_replaced: NeverReplacesIt => "`save` of account \"unreadable\"";
    finds_an_unreadable_entry_that_is_shown: ShowsIt => "the error shows what is in it";
}
