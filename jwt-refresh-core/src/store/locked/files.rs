//! What an account's files are called, and how they lock its entry and its lease.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::failure::disk_error;
use super::folder::Folder;
use super::lock::Lock;
use super::open_folder::OpenFolder;
use crate::store::StoreError;

/// Longest encoded account. With what is put before and after it, a name stays below 143 bytes, the
/// least limit of a file system in use (eCryptfs).
const LONGEST: usize = 104;

/// Length of what is kept of a longer account, before `~` and the 64 digits of its hash.
const KEPT: usize = LONGEST - 65;

/// An account's files in a folder: `lock`, held while the entry is written; `lease`, held while the
/// account is renewed; and those of the medium, if it is a file. All methods but the getters block.
#[derive(Debug)]
pub(in crate::store) struct AccountFiles {
    folder: Arc<Folder>,
    account: String,
    stem: String,
}

impl AccountFiles {
    pub(in crate::store) fn new(folder: &Arc<Folder>, account: &str) -> Self {
        Self { folder: Arc::clone(folder), account: account.to_owned(), stem: stem(account) }
    }

    pub(in crate::store) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// Returns what the account's files are called, without the ending.
    #[cfg(feature = "keyring")]
    pub(in crate::store) fn stem(&self) -> &str {
        &self.stem
    }

    /// Returns what one of them is called.
    pub(in crate::store) fn name(&self, ending: &str) -> String {
        format!("{}.{ending}", self.stem)
    }

    /// Takes the lock that keeps other writers out, unless it is held.
    pub(super) fn try_lock(&self, folder: &OpenFolder) -> Result<Option<Lock>, StoreError> {
        self.attempt(folder, "lock")
    }

    /// Takes the lease, unless it is held.
    pub(super) fn try_lease(&self) -> Result<Option<Lock>, StoreError> {
        self.attempt(&self.folder.make()?, "lease")
    }

    fn attempt(&self, folder: &OpenFolder, what: &str) -> Result<Option<Lock>, StoreError> {
        let name = self.name(what);
        Lock::attempt(folder, &name).map_err(|error| {
            let path = folder.path().join(name);
            disk_error(&format!("the {what} file {} cannot be locked", path.display()), error)
        })
    }
}

/// Returns the name of the account's files, without the ending. Different accounts have different
/// names, even on file systems that ignore case. Whatever the account is, its name is one component
/// of a path, and no name that Windows reserves.
pub(super) fn stem(account: &str) -> String {
    let mut name = String::from("account-");
    let start = name.len();
    for &byte in account.as_bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => push_hex(&mut name, "%", byte),
        }
    }
    if name.len() - start > LONGEST {
        name.truncate(start + KEPT);
        name.push('~');
        for byte in Sha256::digest(account) {
            push_hex(&mut name, "", byte);
        }
    }
    name
}

fn push_hex(name: &mut String, before: &str, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(name, "{before}{byte:02x}");
}
