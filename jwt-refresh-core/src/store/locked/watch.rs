//! Looks for changes in a folder: one look for all that wait for a change there, however many
//! accounts and stores they have.
//!
//! A writer replaces a file by a rename, which changes the folder's time of modification. So as
//! long as that stays the same there is nothing else to look at. File systems keep times in steps
//! of up to two seconds, so what has changed is looked at for three seconds more. And because not
//! every file system keeps to all this, all files are looked at every five seconds.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::format::{self, HEAD};
use super::open_folder::OpenFolder;

/// How often a folder is looked at.
pub(in crate::store) const POLL: Duration = Duration::from_millis(250);
/// For how many looks that which has changed is looked at again.
const UNSETTLED: u32 = 12;
/// All files are looked at once in this number of looks.
const ALL_FILES: u32 = 20;

/// The watched folders of this process.
static WATCHES: Mutex<BTreeMap<PathBuf, Weak<FolderWatch>>> = Mutex::new(BTreeMap::new());

/// A folder that is looked at as long as anything waits for a change of one of its files.
#[derive(Debug)]
struct FolderWatch {
    folder: PathBuf,
    files: Mutex<BTreeMap<PathBuf, WatchedFile>>,
}

#[derive(Debug)]
struct WatchedFile {
    stamp: Option<Stamp>,
    /// How many times it is still looked at, though the folder is unchanged.
    unsettled: u32,
    revision: watch::Sender<FileRevision>,
}

/// What is known of the entry in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum FileRevision {
    /// It was not looked at yet.
    Unknown,
    /// It has this revision; 0 if there is no file.
    Known(u64),
    /// It cannot be read, or is no entry.
    Unreadable,
}

impl FileRevision {
    /// Reads what the first bytes of the file tell.
    pub(in crate::store) fn read(path: &Path) -> Self {
        match read_head(path) {
            Ok(Some(head)) => format::revision(&head).map_or(Self::Unreadable, Self::Known),
            Ok(None) => Self::Known(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Known(0),
            Err(_) => Self::Unreadable,
        }
    }
}

/// Returns the first bytes of the file, if there is one. A link is not followed, and a pipe is not
/// waited for.
fn read_head(path: &Path) -> io::Result<Option<[u8; HEAD]>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(None);
    };
    let Some(mut file) = OpenFolder::open(folder)?.open_to_read(name)? else { return Ok(None) };
    let mut head = [0; HEAD];
    file.read_exact(&mut head)?;
    Ok(Some(head))
}

/// A file that is watched, until this is dropped.
#[derive(Debug)]
pub(in crate::store) struct FileWatch {
    watch: Arc<FolderWatch>,
    path: PathBuf,
    revision: Option<watch::Receiver<FileRevision>>,
}

/// What tells one state of a file or folder from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Option<std::time::SystemTime>,
    #[cfg(unix)]
    inode: (u64, u64, i64, i64),
}

impl FileWatch {
    /// Watches the file at `path`, which is in `folder`, on a task of `runtime`.
    pub(in crate::store) fn new(folder: &Path, path: PathBuf, runtime: &Handle) -> Self {
        let watch = FolderWatch::of(folder, runtime);
        let revision = {
            let mut files = watch.files();
            let file = files.entry(path.clone()).or_insert_with(|| WatchedFile {
                stamp: None,
                unsettled: UNSETTLED,
                revision: watch::Sender::new(FileRevision::Unknown),
            });
            file.revision.subscribe()
        };
        Self { watch, path, revision: Some(revision) }
    }

    /// Waits until the file may have another revision than `known`. Returns what it has.
    pub(in crate::store) async fn other_than(&mut self, known: u64) -> FileRevision {
        let is_other =
            |revision: &FileRevision| ![FileRevision::Unknown, FileRevision::Known(known)].contains(revision);
        match &mut self.revision {
            // The sender is removed only after the last receiver, so the wait is not cut off.
            Some(revision) => revision.wait_for(is_other).await.map_or(FileRevision::Unreadable, |revision| *revision),
            None => FileRevision::Unreadable,
        }
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        let mut files = self.watch.files();
        self.revision = None;
        if files.get(&self.path).is_some_and(|file| file.revision.receiver_count() == 0) {
            files.remove(&self.path);
        }
    }
}

impl FolderWatch {
    /// Returns the one watch of the folder, whose task runs as long as it is used.
    fn of(folder: &Path, runtime: &Handle) -> Arc<Self> {
        let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = watches.get(folder).and_then(Weak::upgrade) {
            return watch;
        }
        watches.retain(|_, watch| watch.strong_count() > 0);
        let watch = Arc::new(Self { folder: folder.to_owned(), files: Mutex::default() });
        watches.insert(folder.to_owned(), Arc::downgrade(&watch));
        runtime.spawn(keep_looking(Arc::downgrade(&watch)));
        watch
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, WatchedFile>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the files that have to be looked at, with what was seen last.
    fn to_look_at(&self, all: bool) -> Vec<(PathBuf, Option<Stamp>, bool)> {
        let mut files = self.files();
        let is_due = |file: &WatchedFile| all || file.unsettled > 0;
        let due = files.iter_mut().filter(|(_, file)| is_due(file));
        due.map(|(path, file)| {
            let unsettled = file.unsettled > 0;
            file.unsettled = file.unsettled.saturating_sub(1);
            (path.clone(), file.stamp, unsettled)
        })
        .collect()
    }

    /// Looks at the files: at their times, and at the first bytes of those that may have changed.
    /// No lock is held meanwhile, since a disk may take long.
    fn look(&self, all: bool) {
        for (path, old, unsettled) in self.to_look_at(all) {
            let stamp = fs::symlink_metadata(&path).ok().map(|metadata| Stamp::of(&metadata));
            if stamp == old && !unsettled {
                continue;
            }
            let revision = FileRevision::read(&path);
            let mut files = self.files();
            let Some(file) = files.get_mut(&path) else { continue };
            if stamp != old {
                file.unsettled = UNSETTLED;
            }
            file.stamp = stamp;
            file.revision.send_if_modified(|known| std::mem::replace(known, revision) != revision);
        }
    }
}

/// Looks at a folder until nothing waits for a change in it.
async fn keep_looking(watch: Weak<FolderWatch>) {
    let (mut last, mut unsettled) = (None, 0);
    for number in 1_u32.. {
        tokio::time::sleep(POLL).await;
        let Some(watch) = watch.upgrade() else { return };
        let look = move || {
            let stamp = fs::metadata(&watch.folder).ok().map(|metadata| Stamp::of(&metadata));
            let unsettled = if stamp == last { u32::saturating_sub(unsettled, 1) } else { UNSETTLED };
            watch.look(unsettled > 0 || number % ALL_FILES == 0 || !cfg!(unix));
            (stamp, unsettled)
        };
        // If it panics, nothing is known of the folder.
        (last, unsettled) = tokio::task::spawn_blocking(look).await.unwrap_or((None, UNSETTLED));
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Self {
            size: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, revision: u64) {
        let entry = crate::store::StoreEntry { revision, data: b"data".to_vec().into() };
        let new = path.with_extension("new");
        fs::write(&new, format::encode("alice", &entry).unwrap()).unwrap();
        fs::rename(new, path).unwrap();
    }

    struct TestFolder(PathBuf);

    impl TestFolder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("jwt-refresh-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for TestFolder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn all_that_wait_for_a_change_in_a_folder_share_one_watch_which_ends_with_them() {
        let folder = TestFolder::new("shared-watch");
        let runtime = Handle::current();
        let watches = ["one", "other"].map(|name| FileWatch::new(&folder.0, folder.file(name), &runtime));
        assert!(Arc::ptr_eq(&watches[0].watch, &watches[1].watch));
        let watch = Arc::downgrade(&watches[0].watch);
        drop(watches);
        assert_eq!(watch.strong_count(), 0);
    }

    #[tokio::test]
    async fn files_of_a_folder_that_does_not_change_are_left_alone_after_three_seconds() {
        let folder = TestFolder::new("quiet");
        let path = folder.file("entry");
        write(&path, 1);
        let watch = Arc::new(FolderWatch { folder: folder.0.clone(), files: Mutex::default() });
        let revision = watch::Sender::new(FileRevision::Unknown);
        watch.files().insert(path.clone(), WatchedFile { stamp: None, unsettled: UNSETTLED, revision });
        let known = || *watch.files()[&path].revision.borrow();
        watch.look(false);
        assert_eq!(known(), FileRevision::Known(1));
        // The first look has found something new.
        // It has made the file private, too, which is a change again.
        (0..=UNSETTLED).for_each(|_| watch.look(false));
        assert!(watch.to_look_at(false).is_empty());

        write(&path, 2);
        watch.look(true);
        assert_eq!(known(), FileRevision::Known(2));
        // Two changes within one step of the file system's clock may leave the same times.
        write(&path, 3);
        watch.files().get_mut(&path).unwrap().stamp = fs::symlink_metadata(&path).ok().map(|now| Stamp::of(&now));
        watch.look(true);
        assert_eq!(known(), FileRevision::Known(3));
        fs::remove_file(&path).unwrap();
        watch.look(true);
        assert_eq!(known(), FileRevision::Known(0));
    }
}
