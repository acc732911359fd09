//! Entries of stores, and a counter that is kept in one.

use jwt_refresh::store::{StoreEntry, StoreErrorKind, TokenStore};

pub(crate) fn entry(revision: u64, data: impl AsRef<[u8]>) -> StoreEntry {
    StoreEntry { revision, data: data.as_ref().to_vec().into() }
}

/// Adds 1 to the number in the entry of `account`, and tries again as long as other handles are
/// faster.
pub(crate) async fn increment(store: &impl TokenStore, account: &str) {
    loop {
        let held = store.load(account).await.unwrap();
        let (revision, count) = held.map_or((0, 0), |held| (held.revision, number(&held)));
        match store.save(account, &entry(revision + 1, (count + 1).to_string())).await {
            Ok(()) => return,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error}"),
        }
    }
}

fn number(entry: &StoreEntry) -> u64 {
    str::from_utf8(&entry.data).unwrap().parse().unwrap()
}
