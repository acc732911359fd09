//! The file store, and what can be wrong with a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jwt_refresh::store::{FileStore, StoreError, StoreErrorKind, TokenStore};
use jwt_refresh_testkit::conformance;
use tempfile::TempDir;

use crate::support::entry;

/// A folder with an entry of `alice`, its store, and the file of the entry.
async fn alice() -> (TempDir, FileStore, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(folder.path());
    store.save("alice", &entry(1, b"refresh-token-of-alice")).await.unwrap();
    let file = folder.path().join("account-alice.tokens");
    (folder, store, file)
}

fn files(folder: &Path) -> Vec<String> {
    let name = |file: std::io::Result<fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

/// Asserts that `error` names the file and where it was moved to, and shows nothing of its content.
#[track_caller]
fn assert_set_aside(error: &StoreError, file: &Path, number: usize, content: &[u8]) {
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    let aside = file.with_extension(format!("corrupt-{number}"));
    let text = format!("{error} {error:?}");
    assert!(text.contains(file.to_str().unwrap()) && text.contains(aside.to_str().unwrap()), "{text}");
    assert!(!text.contains("refresh-token"), "{text}");
    assert_eq!(fs::read(&aside).unwrap(), content);
    assert!(!file.exists());
    assert_mode(&aside, 0o600);
}

#[track_caller]
fn assert_mode(path: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let is = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(is, mode, "{} has mode {is:o}", path.display());
    }
    let _ = (path, mode);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_conformance_suite() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(async || FileStore::new(folder.path().join("tokens"))).await;
}

#[tokio::test]
async fn passes_the_conformance_suite_on_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(async || FileStore::new(folder.path().join("tokens"))).await;
}

#[tokio::test]
async fn files_and_folder_are_accessible_to_their_owner_only() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("made").join("by us");
    let store = FileStore::new(&folder);
    assert_eq!(store.load("alice").await.unwrap(), None);
    assert!(!folder.exists(), "reading makes no folder");

    let lease = store.lease("alice").await.unwrap();
    store.save("alice", &entry(1, b"1")).await.unwrap();
    store.save("alice", &entry(2, b"2")).await.unwrap();
    drop(lease);
    assert_mode(&folder, 0o700);
    let names = files(&folder);
    assert_eq!(names, ["account-alice.lease", "account-alice.lock", "account-alice.tokens"]);
    for name in names {
        assert_mode(&folder.join(name), 0o600);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_others_can_read_is_made_private_and_one_that_they_can_write_is_set_aside() {
    use std::os::unix::fs::PermissionsExt as _;

    let (_folder, store, file) = alice().await;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(store.load("alice").await.unwrap().is_some());
    assert_mode(&file, 0o600);

    fs::write(&file, b"restored from somewhere").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let error = store.load("alice").await.unwrap_err();
    assert_set_aside(&error, &file, 1, b"restored from somewhere");
}

#[tokio::test]
async fn a_truncated_file_is_reported_and_set_aside() {
    let (folder, store, file) = alice().await;
    let whole = fs::read(&file).unwrap();
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let error = store.load("alice").await.unwrap_err();
        assert_set_aside(&error, &file, length + 1, &whole[..length]);
        assert_eq!(store.load("alice").await.unwrap(), None, "reported once");
    }
    assert_eq!(files(folder.path()).len(), 1 + whole.len(), "{:?}", files(folder.path()));
    store.save("alice", &entry(1, b"anew")).await.unwrap();
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(1, b"anew")));
}

#[tokio::test]
async fn a_file_with_trailing_or_changed_bytes_is_corrupt() {
    let (_folder, store, file) = alice().await;
    let whole = fs::read(&file).unwrap();
    let longer = [&whole[..], b"x"].concat();
    fs::write(&file, &longer).unwrap();
    assert_set_aside(&store.load("alice").await.unwrap_err(), &file, 1, &longer);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&file, &changed).unwrap();
        assert_set_aside(&store.load("alice").await.unwrap_err(), &file, at + 2, &changed);
    }
}

#[tokio::test]
async fn foreign_and_huge_files_are_reported_and_set_aside() {
    let (_folder, store, file) = alice().await;
    let contents = [b"{\"access_token\": \"refresh-token\"}".to_vec(), vec![0; 100], vec![b'x'; (1 << 20) + 1]];
    for (number, content) in (1..).zip(contents) {
        fs::write(&file, &content).unwrap();
        assert_set_aside(&store.load("alice").await.unwrap_err(), &file, number, &content);
    }
}

#[tokio::test]
async fn a_copied_file_of_another_account_is_corrupt() {
    let (_folder, store, file) = alice().await;
    let content = fs::read(&file).unwrap();
    let bobs = file.with_file_name("account-bob.tokens");
    fs::copy(&file, &bobs).unwrap();
    let error = store.load("bob").await.unwrap_err();
    assert!(error.to_string().contains("another account's"), "{error}");
    assert_set_aside(&error, &bobs, 1, &content);
    assert!(store.load("alice").await.unwrap().is_some());
}

#[tokio::test]
async fn a_save_over_a_corrupt_file_reports_it_first() {
    let (_folder, store, file) = alice().await;
    fs::write(&file, b"torn").unwrap();
    let error = store.save("alice", &entry(2, b"2")).await.unwrap_err();
    assert_set_aside(&error, &file, 1, b"torn");
    assert_eq!(store.save("alice", &entry(2, b"2")).await.unwrap_err().kind(), StoreErrorKind::Conflict);
    store.save("alice", &entry(1, b"1")).await.unwrap();
}

#[tokio::test]
async fn an_older_copy_of_the_file_is_loaded_and_is_a_change() {
    let (_folder, store, file) = alice().await;
    let backup = fs::read(&file).unwrap();
    store.save("alice", &entry(2, b"2")).await.unwrap();
    fs::write(&file, backup).unwrap();
    assert_eq!(store.load("alice").await.unwrap().unwrap().revision, 1);
    tokio::time::timeout(Duration::from_secs(30), store.changed("alice", 2)).await.unwrap();
}

#[tokio::test]
async fn a_path_that_is_no_regular_file_is_refused_and_left_alone() {
    let (_folder, store, file) = alice().await;
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(store.load("alice").await.unwrap_err().kind(), StoreErrorKind::Configuration);
    assert!(file.is_dir());
    assert_eq!(store.save("alice", &entry(1, b"1")).await.unwrap_err().kind(), StoreErrorKind::Configuration);
}

#[tokio::test]
async fn what_was_set_aside_and_what_a_dead_writer_left_is_deleted_and_nothing_else() {
    let (folder, store, file) = alice().await;
    for number in 1..=3 {
        fs::write(&file, b"torn").unwrap();
        assert_set_aside(&store.load("alice").await.unwrap_err(), &file, number, b"torn");
    }
    fs::remove_file(file.with_extension("corrupt-2")).unwrap();
    fs::write(file.with_extension("new"), b"refresh-token").unwrap();
    store.save("bob", &entry(1, b"bob's")).await.unwrap();
    let others =
        ["account-alice-2.corrupt-1", "account-alice.corrupt-copy", "account-alice.corrupt-", "account-bob.new"];
    for other in others {
        fs::write(folder.path().join(other), b"other").unwrap();
    }
    store.delete_corrupt("alice").await.unwrap();
    let mut left = Vec::from(others);
    left.extend(["account-alice.lock", "account-bob.lock", "account-bob.tokens"]);
    left.sort_unstable();
    assert_eq!(files(folder.path()), left);

    store.save("alice", &entry(1, b"1")).await.unwrap();
    store.delete_corrupt("alice").await.unwrap();
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(1, b"1")));
}

#[test]
fn outside_of_a_tokio_runtime_each_call_has_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(folder.path());
    let first_poll = |call: std::pin::Pin<Box<dyn Future<Output = Result<(), StoreError>> + '_>>| {
        let mut call = call;
        match call.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(Err(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let first = entry(1, b"1");
    for error in [
        first_poll(Box::pin(async { store.load("alice").await.map(drop) })),
        first_poll(Box::pin(store.save("alice", &first))),
        first_poll(Box::pin(async { store.lease("alice").await.map(drop) })),
        first_poll(Box::pin(store.delete_corrupt("alice"))),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Configuration);
        assert!(error.to_string().contains("tokio runtime"), "{error}");
    }
}

#[tokio::test]
async fn a_file_in_place_of_the_folder_is_a_configuration_error() {
    let (_folder, _, file) = alice().await;
    for folder in [file.clone(), file.join("below")] {
        let store = FileStore::new(&folder);
        for error in [
            store.load("alice").await.unwrap_err(),
            store.save("alice", &entry(1, b"1")).await.unwrap_err(),
            store.lease("alice").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Configuration, "{error}");
            let text = error.to_string();
            assert!(text.contains(folder.to_str().unwrap()) && text.contains("is no folder"), "{text}");
        }
    }
}

#[tokio::test]
async fn an_entry_that_is_too_large_is_refused_and_the_old_one_kept() {
    let (_folder, store, _) = alice().await;
    let error = store.save("alice", &entry(2, vec![0; 1 << 20])).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Configuration, "{error}");
    assert_eq!(store.load("alice").await.unwrap().unwrap().revision, 1);
}

#[tokio::test]
async fn a_partial_file_of_a_dead_writer_does_not_prevent_a_save() {
    let (_folder, store, file) = alice().await;
    fs::write(file.with_extension("new"), b"half").unwrap();
    store.save("alice", &entry(2, b"2")).await.unwrap();
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(2, b"2")));
    assert!(!file.with_extension("new").exists());
}

#[tokio::test]
async fn a_deleted_lease_file_is_made_and_locked_anew() {
    let (_folder, store, file) = alice().await;
    let first = store.lease("alice").await.unwrap();
    fs::remove_file(file.with_extension("lease")).unwrap();
    drop(first);
    let held = store.lease("alice").await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(50), store.lease("alice"));
    assert!(waiting.await.is_err(), "held twice");
    drop(held);
}
