//! Tests of names and format. Those of what happens on disk are in the workspace's `tests/stores`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::files::stem;
use super::format::{Flaw, LARGEST, decode, encode};
use crate::store::StoreEntry;

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

#[test]
fn an_entry_in_a_later_format_is_told_from_a_damaged_one() {
    use sha2::{Digest as _, Sha256};

    let mut bytes = encode("alice", &entry(1, b"data")).unwrap().to_vec();
    bytes[15] = 2;
    assert_eq!(decode("alice", &bytes), Err(Flaw::Corrupt("is cut short or damaged")));
    let end = bytes.len() - 32;
    let sum = Sha256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum);
    assert_eq!(decode("alice", &bytes), Err(Flaw::Later(2)));
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
