//! `load` returns the whole entry that was saved for the account, and `save` refuses an entry whose
//! revision is not the next one.

use std::fmt;

use jwt_refresh_core::store::{StoreEntry, TokenStore};

use super::{assert_conflict, entry, load, save, within};

pub(super) async fn an_account_without_a_save_has_no_entry<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "an account that nobody wrote has no entry";
    let store = make().await;
    for account in ["nobody", "", "nobody/else"] {
        let loaded = load(&store, account, promise).await;
        assert!(loaded.is_none(), "{promise}: account {account:?} has {loaded:?} (is the backing empty?)");
    }
}

pub(super) async fn load_returns_what_was_saved<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "what is saved is what every handle loads";
    let (one, other) = (make().await, make().await);
    let large: Vec<u8> = (0..200 * 1024_u32).map(|at| at.to_le_bytes()[0] ^ 0x5a).collect();
    let all_bytes: Vec<u8> = (0..=u8::MAX).collect();
    let written = [b"plain".to_vec(), Vec::new(), all_bytes, large, b"after it".to_vec()];
    for (revision, data) in (1..).zip(written) {
        let entry = entry(revision, data);
        save(&one, "saved", &entry, promise).await;
        for store in [&one, &other, &make().await] {
            assert_same(load(store, "saved", promise).await.as_ref(), Some(&entry), promise);
        }
    }
    drop((one, other));
    let entry = load(&make().await, "saved", promise).await;
    assert_same(
        entry.as_ref(),
        Some(&self::entry(5, b"after it".to_vec())),
        "an entry outlives the handle that wrote it",
    );
}

pub(super) async fn save_accepts_only_the_next_revision<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "an entry is written only if its revision is by 1 higher, or is 1 and there is none";
    let (one, other) = (make().await, make().await);
    let mut held: Option<StoreEntry> = None;
    let steps = [(2, false), (0, false), (u64::MAX, false), (1, true), (1, false), (3, false), (0, false), (2, true)];
    let later = [(2, false), (1, false), (4, false), (u64::MAX, false), (3, true)];
    for (at, (revision, follows)) in steps.into_iter().chain(later).enumerate() {
        let entry = entry(revision, format!("step {at}"));
        let before = held.as_ref().map_or(0, |held| held.revision);
        let store = if at % 2 == 0 { &one } else { &other };
        match within(promise, store.save("revisions", &entry)).await {
            Ok(()) => assert!(follows, "{promise}: revision {revision} was taken after {before}"),
            Err(error) => {
                assert!(!follows, "{promise}: revision {revision} was refused after {before}: {error}");
                assert_conflict(&error, promise);
            }
        }
        if follows {
            held = Some(entry);
        }
        assert_same(load(&one, "revisions", promise).await.as_ref(), held.as_ref(), promise);
    }
}

pub(super) async fn accounts_with_similar_names_are_separate<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "accounts are separate, whatever their names are";
    let long = "l".repeat(300);
    let longer = format!("{long}l");
    let names = [
        "", " ", ".", "..", "../x", "x", "a", "A", "a:b", "a/b", "a\\b", "a::b", "a_b", "a-b", "a b", "a%3ab", "{a}",
        "{a}:b", "a\nb", "a\0b", "*", "a*", "?", "é", "e\u{301}", "名前", "🦀", "con", "nul", &long, &longer,
    ];
    let (one, other) = (make().await, make().await);
    let entry = |name: &&str| entry(1, format!("the entry of {name:?}"));
    for name in &names {
        save(&one, name, &entry(name), promise).await;
    }
    for name in &names {
        let loaded = load(&other, name, promise).await;
        assert_same(loaded.as_ref(), Some(&entry(name)), format_args!("{promise} (account {name:?})"));
    }
}

#[track_caller]
fn assert_same(loaded: Option<&StoreEntry>, expected: Option<&StoreEntry>, promise: impl fmt::Display) {
    assert!(
        loaded == expected,
        "{promise}: {loaded:?} was loaded in place of {expected:?} (or one of this size with other bytes)"
    );
}
