//! Loads what is in the files of a `FileStore`.
//!
//! The first byte of the input says whether the rest is the file as it is, or all of it but the
//! checksum, which is then added. Without it, hardly an input would get past the checksum.
//!
//! What is loaded can be written and loaded again. What is no entry is set aside byte for byte,
//! reported in an error that hides the secret, and deleted when the user says so; a file of a later
//! version is left where it is.
#![no_main]

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jwt_refresh_core::store::{FileStore, StoreEntry, StoreErrorKind, TokenStore as _};
use jwt_refresh_fuzz::assert_error_hides;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const ACCOUNT: &str = "ada";

struct Place {
    folder: TempDir,
    store: FileStore,
    /// The account's file.
    file: PathBuf,
    runtime: Runtime,
}

impl Place {
    fn new() -> Self {
        // In memory where there is such a place, since each write is synced to the disk.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
        let store = FileStore::new(folder.path());
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let entry = StoreEntry { revision: 1, data: b"first".to_vec().into() };
        runtime.block_on(store.save(ACCOUNT, &entry)).unwrap();
        let files = names(folder.path());
        let file = files.into_iter().find(|path| fs::read(path).unwrap().ends_with(&sum(path))).unwrap();
        Self { folder, store, file, runtime }
    }
}

/// Returns the checksum that a file should end with.
fn sum(path: &Path) -> Vec<u8> {
    let content = fs::read(path).unwrap();
    let signed = &content[..content.len().saturating_sub(32)];
    Sha256::digest(signed).to_vec()
}

fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

thread_local! {
    static PLACE: OnceCell<Place> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let Some((todo, data)) = data.split_first() else { return };
    let mut content = data.to_vec();
    if todo % 2 == 1 {
        content.extend_from_slice(&Sha256::digest(data));
    }
    PLACE.with(|place| {
        let place = place.get_or_init(Place::new);
        fs::write(&place.file, &content).unwrap();
        place.runtime.block_on(load(place, &content));
    });
});

async fn load(place: &Place, content: &[u8]) {
    let Place { folder, store, file, .. } = place;
    // It looks at the file, too; how long it then waits does not matter here.
    let _ = tokio::time::timeout(Duration::from_micros(200), store.changed(ACCOUNT, 0)).await;
    match store.load(ACCOUNT).await {
        Ok(entry) => {
            let entry = entry.expect("the file is there");
            let Some(revision) = entry.revision.checked_add(1) else { return };
            let next = StoreEntry { revision, ..entry };
            store.save(ACCOUNT, &next).await.expect("it follows");
            assert_eq!(store.load(ACCOUNT).await.unwrap(), Some(next));
        }
        Err(error) if error.kind() == StoreErrorKind::LaterFormat => {
            assert_error_hides(&error);
            assert_eq!(fs::read(file).unwrap(), content);
        }
        Err(error) => {
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
            assert_error_hides(&error);
            let aside = || names(folder.path()).into_iter().filter(|path| path.to_str().unwrap().contains("corrupt"));
            assert!(aside().any(|path| fs::read(path).unwrap() == content), "it is gone");
            assert_eq!(store.load(ACCOUNT).await.unwrap(), None);
            store.delete_corrupt(ACCOUNT).await.unwrap();
            assert_eq!(aside().count(), 0);
        }
    }
}
