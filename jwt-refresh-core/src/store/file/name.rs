//! What an account's files are called.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Longest encoded account. With what is put before and after it, a name stays below 143 bytes, the least limit of a file system
/// in use (eCryptfs).
const LONGEST: usize = 104;

/// What is kept of a longer one, before `~` and 64 digits of its hash.
const KEPT: usize = LONGEST - 65;

/// The name, without its ending, of the account's files. Different accounts have different ones, on file systems without upper
/// case too; it is one component of a path and no name that Windows reserves, whatever the account is.
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
