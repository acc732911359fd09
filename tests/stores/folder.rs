//! Which folders and files the file store uses, and which it refuses because others may have put
//! them there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jwt_refresh::store::{FileStore, StoreError, StoreErrorKind, TokenStore};
use tempfile::TempDir;

use crate::support::entry;

/// A user and a group that no process of the tests has.
const ANOTHER: u32 = 54_321;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Gives the path to another user and group. Returns false if this user may not, as all but root.
/// The rule itself is tested for every user beside `locked/access.rs`.
fn give_away(path: &Path) -> bool {
    chown(path, Some(ANOTHER), Some(ANOTHER)).is_ok()
}

/// A folder of ours, in one of ours in which nobody else can rename it.
fn folder() -> (TempDir, PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("tokens");
    fs::create_dir(&folder).unwrap();
    (outer, folder)
}

/// Asserts that each call of the store is refused, for a reason that has all the `words`.
async fn assert_refused(store: &FileStore, words: &[&str]) {
    let refused = [
        store.load("alice").await.map(drop),
        store.save("alice", &entry(1, b"1")).await,
        store.lease("alice").await.map(drop),
        store.delete_corrupt("alice").await,
    ];
    for error in refused.map(Result::unwrap_err) {
        assert_configuration(&error, words);
    }
}

#[track_caller]
fn assert_configuration(error: &StoreError, words: &[&str]) {
    assert_eq!(error.kind(), StoreErrorKind::Configuration, "{error}");
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

async fn assert_works(store: &FileStore) {
    drop(store.lease("alice").await.unwrap());
    let next = store.load("alice").await.unwrap().map_or(0, |held| held.revision) + 1;
    store.save("alice", &entry(next, b"tokens")).await.unwrap();
    assert_eq!(store.load("alice").await.unwrap(), Some(entry(next, b"tokens")));
}

#[tokio::test]
async fn a_folder_that_everybody_may_write_to_works_if_it_is_ours_or_roots() {
    // As root: an emptyDir of Kubernetes. With the sticky bit: one in memory.
    for mode in [0o777, 0o2777, 0o1777, 0o775] {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), mode);
        assert_works(&FileStore::new(folder.path())).await;
        assert_works(&FileStore::new(folder.path().join("below"))).await;
    }
}

/// What a process of another user, which has the group of the same number and no other, says of a
/// save in the folder. `None` if this user cannot start one, as all but root.
fn save_as_another(folder: &Path) -> Option<String> {
    let mut command = crate::child::command("save alice", folder);
    let output = command.uid(ANOTHER).gid(ANOTHER).output().ok()?;
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn volumes_of_kubernetes_work_for_a_user_other_than_root() {
    // An emptyDir, one in memory, both with fsGroup, and a volume claim with fsGroup.
    for (group, mode) in [(0, 0o777), (0, 0o1777), (ANOTHER, 0o2777), (ANOTHER, 0o3777), (ANOTHER, 0o2775)] {
        let (outer, folder) = folder();
        set_mode(outer.path(), 0o755);
        if chown(&folder, None, Some(group)).is_err() {
            return;
        }
        set_mode(&folder, mode);
        for folder in [&folder, &folder.join("below")] {
            let Some(said) = save_as_another(folder) else { return };
            assert!(said.contains("SAVED Ok(Some("), "{mode:o} {}: {said}", folder.display());
        }
    }
}

#[test]
fn a_folder_without_permission_is_a_configuration_error_that_says_so() {
    for (outer_mode, mode) in [(0o755, 0o755), (0o755, 0o700), (0o700, 0o777)] {
        let (outer, folder) = folder();
        set_mode(&folder, mode);
        set_mode(outer.path(), outer_mode);
        for folder in [&folder, &folder.join("below")] {
            let Some(said) = save_as_another(folder) else { return };
            assert!(said.contains("FAILED Configuration") && said.contains("no permission"), "{said}");
            assert!(said.contains(folder.to_str().unwrap()), "{said}");
        }
    }
}

#[tokio::test]
async fn a_folder_of_another_user_that_others_may_write_to_is_refused() {
    for mode in [0o777, 0o1777, 0o775, 0o707] {
        let (_outer, folder) = folder();
        set_mode(&folder, mode);
        if !give_away(&folder) {
            return;
        }
        let words = ["others may write to", folder.to_str().unwrap(), "54321", "chmod go-w"];
        assert_refused(&FileStore::new(&folder), &words).await;
        // Those who may write there may rename a folder in it.
        let below = FileStore::new(folder.join("below"));
        assert_configuration(&below.save("alice", &entry(1, b"1")).await.unwrap_err(), &words);
        assert!(!folder.join("below").exists());
        fs::create_dir(folder.join("below")).unwrap();
        assert_refused(&below, &words).await;
        set_mode(&folder, mode & !0o022);
        assert_works(&FileStore::new(&folder)).await;
    }
}

#[tokio::test]
async fn a_folder_of_our_group_works_whoever_made_it() {
    let (_outer, folder) = folder();
    if chown(&folder, Some(ANOTHER), None).is_err() {
        return;
    }
    set_mode(&folder, 0o2775);
    assert_works(&FileStore::new(&folder)).await;
}

#[tokio::test]
async fn where_everybody_may_write_a_file_of_another_user_is_refused() {
    let (_outer, folder) = folder();
    let store = FileStore::new(&folder);
    assert_works(&store).await;
    let file = folder.join("account-alice.tokens");
    if !give_away(&file) {
        return;
    }
    assert!(store.load("alice").await.unwrap().is_some(), "only we may put files here");
    set_mode(&folder, 0o777);
    let error = store.load("alice").await.unwrap_err();
    assert_configuration(&error, &[file.to_str().unwrap(), "user 54321", "everybody"]);
    assert!(file.exists());
}

#[tokio::test]
async fn where_everybody_may_write_a_folder_of_another_user_is_refused() {
    let (outer, folder) = folder();
    let store = FileStore::new(&folder);
    if !give_away(&folder) {
        return;
    }
    assert_works(&store).await;
    for mode in [0o777, 0o1777] {
        set_mode(outer.path(), mode);
        let words = ["user 54321", "everybody may write to", outer.path().to_str().unwrap()];
        assert_refused(&store, &words).await;
    }
    // A link that another user may turn elsewhere is as good as a folder of that user.
    let ours = tempfile::tempdir().unwrap();
    let link = outer.path().join("link");
    symlink(ours.path(), &link).unwrap();
    assert_works(&FileStore::new(&link)).await;
    std::os::unix::fs::lchown(&link, Some(ANOTHER), None).unwrap();
    assert_refused(&FileStore::new(&link), &["user 54321", link.to_str().unwrap()]).await;
}

#[tokio::test]
async fn a_symlinked_folder_works() {
    // As StateDirectory of systemd with DynamicUser.
    let outer = tempfile::tempdir().unwrap();
    fs::create_dir_all(outer.path().join("private/catalog")).unwrap();
    symlink("private/catalog", outer.path().join("catalog")).unwrap();
    assert_works(&FileStore::new(outer.path().join("catalog"))).await;
    assert!(outer.path().join("private/catalog/account-alice.tokens").exists());
}

#[tokio::test]
async fn what_a_symlinked_folder_leads_through_is_looked_at_too() {
    let outer = tempfile::tempdir().unwrap();
    let open = outer.path().join("open");
    fs::create_dir_all(open.join("catalog")).unwrap();
    set_mode(&open, 0o777);
    symlink(open.join("catalog"), outer.path().join("catalog")).unwrap();
    if !give_away(&open) {
        return;
    }
    let words = ["others may write to", open.to_str().unwrap()];
    assert_refused(&FileStore::new(outer.path().join("catalog")), &words).await;
}

#[tokio::test]
async fn a_symlinked_entry_is_refused_and_what_it_leads_to_is_left_alone() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let theirs = FileStore::new(elsewhere.path());
    theirs.save("alice", &entry(1, b"theirs")).await.unwrap();
    let target = elsewhere.path().join("account-alice.tokens");
    set_mode(&target, 0o644);
    let store = FileStore::new(folder.path());
    let link = folder.path().join("account-alice.tokens");
    for target in [&target, &elsewhere.path().join("nothing")] {
        symlink(target, &link).unwrap();
        for error in [
            store.load("alice").await.unwrap_err(),
            store.save("alice", &entry(1, b"1")).await.unwrap_err(),
            store.save("alice", &entry(2, b"2")).await.unwrap_err(),
        ] {
            assert_configuration(&error, &[link.to_str().unwrap(), "symbolic link", "give the store the folder"]);
        }
        assert!(link.is_symlink());
        fs::remove_file(&link).unwrap();
    }
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(theirs.load("alice").await.unwrap(), Some(entry(1, b"theirs")));
    assert!(!elsewhere.path().join("nothing").exists());
}

#[tokio::test]
async fn a_symlinked_lock_or_lease_is_refused_and_makes_no_file() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = FileStore::new(folder.path());
    let target = elsewhere.path().join("made");
    for name in ["account-alice.lock", "account-alice.lease"] {
        symlink(&target, folder.path().join(name)).unwrap();
    }
    assert_configuration(
        &store.save("alice", &entry(1, b"1")).await.unwrap_err(),
        &["account-alice.lock", "symbolic link"],
    );
    assert_configuration(&store.lease("alice").await.unwrap_err(), &["account-alice.lease", "symbolic link"]);
    assert!(!target.exists());
}

#[tokio::test]
async fn a_link_in_place_of_the_file_that_is_written_is_deleted_and_not_followed() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = FileStore::new(folder.path());
    let target = elsewhere.path().join("precious");
    fs::write(&target, b"precious").unwrap();
    for (revision, name) in [(1, "account-alice.new"), (2, "account-alice.corrupt-1")] {
        symlink(&target, folder.path().join(name)).unwrap();
        store.save("alice", &entry(revision, b"tokens")).await.unwrap();
        store.delete_corrupt("alice").await.unwrap();
        assert!(!folder.path().join(name).is_symlink());
    }
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}

#[tokio::test]
async fn a_pipe_in_place_of_a_file_is_refused_and_hangs_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(folder.path());
    for name in ["account-alice.tokens", "account-bob.lock", "account-bob.lease"] {
        assert!(Command::new("mkfifo").arg(folder.path().join(name)).status().unwrap().success());
    }
    let calls = async {
        [
            store.load("alice").await.map(drop),
            store.save("alice", &entry(1, b"1")).await,
            store.save("bob", &entry(1, b"1")).await,
            store.lease("bob").await.map(drop),
        ]
    };
    let refused = tokio::time::timeout(Duration::from_secs(30), calls).await.expect("a call hangs");
    for error in refused.map(Result::unwrap_err) {
        assert_configuration(&error, &["no regular file"]);
    }
    tokio::time::timeout(Duration::from_secs(30), store.changed("alice", 0)).await.expect("the watch hangs");
}
