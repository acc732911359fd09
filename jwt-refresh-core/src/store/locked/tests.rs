//! Tests of names and format, and of calls that hang or panic. Those of what happens on disk are in
//! the workspace's `tests/stores`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::files::stem;
use super::format::{Flaw, LARGEST, decode, encode};
use super::{AccountFiles, Folder, LockedEntry, Medium, OpenFolder};
use crate::store::{FileStore, StoreEntry, StoreError, StoreErrorKind, TokenStore as _};

fn entry(revision: u64, data: &[u8]) -> StoreEntry {
    StoreEntry { revision, data: data.to_vec().into() }
}

#[test]
fn an_account_that_is_a_plain_word_is_its_files_name() {
    assert_eq!(stem("alice-2_b"), "account-alice-2_b");
    assert_eq!(stem("alice@example.com"), "account-alice%40example%2ecom");
    assert_eq!(stem(""), "account-");
}

#[test]
fn names_stay_in_the_folder_and_differ_without_upper_case() {
    let long = "x".repeat(300);
    let accounts = [
        "", ".", "..", "../x", "a/b", "a\\b", "a:b", "a b", "A", "a", "%61", "ä", "a\u{308}", "{a}", "CON", "~", &long,
    ];
    let mut names = BTreeMap::new();
    for account in accounts {
        let name = stem(account);
        assert!(!name.contains(['/', '\\', '.', ':', '\0']), "{account:?} is called {name:?}");
        assert!(name.len() <= 112, "{account:?} is called {name:?}");
        assert_eq!(names.insert(name.to_ascii_lowercase(), account), None, "{account:?} has no name of its own");
    }
}

#[test]
fn long_accounts_that_differ_in_the_end_have_names_that_differ() {
    let (one, other) = ("é".repeat(200), "é".repeat(200) + "1");
    assert_ne!(stem(&one), stem(&other));
    assert_eq!(stem(&one), stem(&one.clone()));
}

/// An entry of `alice` as version 2 of the format might write it.
fn later_format() -> Vec<u8> {
    let mut bytes = encode("alice", &entry(1, b"data")).unwrap().to_vec();
    bytes[15] = 2;
    let end = bytes.len() - 32;
    let sum = Sha256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum);
    bytes
}

#[test]
fn an_entry_in_a_later_format_is_told_from_a_damaged_one() {
    let mut bytes = encode("alice", &entry(1, b"data")).unwrap().to_vec();
    bytes[15] = 2;
    assert_eq!(decode("alice", &bytes), Err(Flaw::Corrupt("is cut short or damaged")));
    assert_eq!(decode("alice", &later_format()), Err(Flaw::Later(2)));
    // It may be larger than this version knows.
    assert_eq!(decode("alice", &[&later_format()[..], &vec![0; LARGEST]].concat()), Err(Flaw::Later(2)));
    bytes[15] = 1;
    let large = [&bytes[..], &vec![0; LARGEST]].concat();
    assert_eq!(decode("alice", &large), Err(Flaw::Corrupt("is larger than 1 MiB")));
}

#[tokio::test]
async fn a_file_in_a_later_format_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (FileStore::new(folder.path()), folder.path().join("account-alice.tokens"));
    std::fs::write(&file, later_format()).unwrap();
    for revision in [1, 2] {
        for error in
            [store.load("alice").await.unwrap_err(), store.save("alice", &entry(revision, b"anew")).await.unwrap_err()]
        {
            assert_eq!(error.kind(), StoreErrorKind::LaterFormat, "{error}");
            assert!(error.to_string().contains("later jwt-refresh"), "{error}");
        }
    }
    store.delete_corrupt("alice").await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), later_format());
}

/// What a medium does whenever it is read.
type OnRead = dyn Fn() + Send + Sync;

/// A medium in memory.
struct TestMedium {
    bytes: Arc<Mutex<Option<Vec<u8>>>>,
    on_read: Arc<OnRead>,
}

impl Medium for TestMedium {
    fn name(&self) -> String {
        "the test medium".to_owned()
    }

    fn read(&self, _: Option<&OpenFolder>) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        (self.on_read)();
        Ok(self.bytes.lock().unwrap().clone().map(Zeroizing::new))
    }

    fn write(&self, _: &OpenFolder, bytes: &[u8]) -> Result<(), StoreError> {
        *self.bytes.lock().unwrap() = Some(bytes.to_vec());
        Ok(())
    }

    fn set_aside(&self, _: &OpenFolder) -> Result<String, StoreError> {
        *self.bytes.lock().unwrap() = None;
        Ok("nothing".to_owned())
    }

    fn delete_corrupt(&self, _: &OpenFolder) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Returns the entry of `alice` in a store of its own on `folder`.
fn locked_entry(folder: &Path, bytes: &Arc<Mutex<Option<Vec<u8>>>>, on_read: &Arc<OnRead>) -> LockedEntry<TestMedium> {
    let files = AccountFiles::new(&Arc::new(Folder::new(folder)), "alice");
    LockedEntry::new(Arc::new(files), TestMedium { bytes: Arc::clone(bytes), on_read: Arc::clone(on_read) })
}

/// Hangs until it is opened, as a disk does whose server is away; half a minute at most, so that a
/// test that fails ends.
#[derive(Default)]
struct Hang {
    is_open: Mutex<bool>,
    opened: Condvar,
    entered: AtomicUsize,
}

impl Hang {
    fn pass(&self) {
        self.entered.fetch_add(1, Ordering::SeqCst);
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_timeout_while(is_open, Duration::from_secs(30), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_hang_take_four_threads_of_all_stores_on_a_folder_and_the_others_time_out() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (bytes, hang) = (Arc::default(), Arc::new(Hang::default()));
    let on_read: Arc<OnRead> = Arc::new({
        let hang = Arc::clone(&hang);
        move || hang.pass()
    });
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        calls.spawn(locked_entry(folder.path(), &bytes, &on_read).load());
    }
    while hang.entered.load(Ordering::SeqCst) < 4 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_secs(11)).await;
    for _ in 0..16 {
        let error = calls.join_next().await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("hang"), "{error}");
    }
    assert_eq!(hang.entered.load(Ordering::SeqCst), 4);
    let nothing: Arc<OnRead> = Arc::new(|| {});
    assert_eq!(locked_entry(elsewhere.path(), &bytes, &nothing).load().await.unwrap(), None, "another folder works");

    hang.open();
    while let Some(call) = calls.join_next().await {
        assert_eq!(call.unwrap().unwrap(), None);
    }
    assert_eq!(locked_entry(folder.path(), &bytes, &nothing).load().await.unwrap(), None, "the folder works again");
}

#[tokio::test]
async fn a_call_that_is_dropped_while_others_hang_never_begins() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, hang) = (Arc::default(), Arc::new(Hang::default()));
    let on_read: Arc<OnRead> = Arc::new({
        let hang = Arc::clone(&hang);
        move || hang.pass()
    });
    // A session drops what took too long, and tries again.
    for _ in 0..50 {
        let load = locked_entry(folder.path(), &bytes, &on_read).load();
        let _ = tokio::time::timeout(Duration::from_millis(1), load).await;
    }
    hang.open();
    assert_eq!(locked_entry(folder.path(), &bytes, &on_read).load().await.unwrap(), None);
    let entered = hang.entered.load(Ordering::SeqCst);
    assert!(entered <= 5, "{entered} calls ran");
}

#[tokio::test]
async fn a_panic_in_the_medium_is_an_error_that_keeps_its_words_and_gives_back_thread_and_lock() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Arc::default();
    let panics: Arc<OnRead> = Arc::new(|| panic!("token=secret"));
    for _ in 0..10 {
        let failed = [
            locked_entry(folder.path(), &bytes, &panics).load().await.map(drop),
            locked_entry(folder.path(), &bytes, &panics).save(entry(1, b"data")).await,
        ];
        for error in failed.map(Result::unwrap_err) {
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            assert!(error.to_string().contains("panic") && !format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
    let nothing: Arc<OnRead> = Arc::new(|| {});
    locked_entry(folder.path(), &bytes, &nothing).save(entry(1, b"data")).await.unwrap();
}

#[tokio::test]
async fn the_largest_revision_is_kept_and_followed_by_none() {
    let folder = tempfile::tempdir().unwrap();
    let before = encode("alice", &entry(u64::MAX - 1, b"data")).unwrap();
    let (bytes, nothing): (_, Arc<OnRead>) = (Arc::new(Mutex::new(Some(before.to_vec()))), Arc::new(|| {}));
    let alice = || locked_entry(folder.path(), &bytes, &nothing);
    alice().save(entry(u64::MAX, b"last")).await.unwrap();
    for revision in [0, 1, u64::MAX - 1, u64::MAX] {
        let error = alice().save(entry(revision, b"more")).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Conflict, "{revision}");
    }
    assert_eq!(alice().load().await.unwrap(), Some(entry(u64::MAX, b"last")));
}

#[test]
fn an_entry_that_could_not_be_read_back_is_not_written() {
    assert!(encode("alice", &entry(1, &vec![0; LARGEST])).is_none());
    let largest = vec![7; LARGEST - 32 - 5 - 32];
    let bytes = encode("alice", &entry(1, &largest)).unwrap();
    assert_eq!(bytes.len(), LARGEST);
    assert!(decode("alice", &bytes).is_ok());
}

proptest! {
    #[test]
    fn different_accounts_have_different_names(one in ".{0,150}", other in ".{0,150}") {
        prop_assert_eq!(stem(&one) == stem(&other), one == other);
    }

    #[test]
    fn what_is_written_is_what_is_read(account in ".{0,40}", revision in 1_u64.., data: Vec<u8>) {
        let entry = entry(revision, &data);
        prop_assert_eq!(decode(&account, &encode(&account, &entry).unwrap()), Ok(entry));
    }

    #[test]
    fn no_changed_byte_is_read_as_an_entry(data: Vec<u8>, at: prop::sample::Index, flip in 1_u8..) {
        let mut bytes = encode("alice", &entry(3, &data)).unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(decode("alice", &bytes).is_err());
    }
}
