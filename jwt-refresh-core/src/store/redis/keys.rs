//! The names of an account's keys and channels. They hold the prefix and the account's name, and
//! never a secret.

use crate::redis::encode;

/// Names an account's keys and channels: `prefix:{account}:noun`.
///
/// The account stands in braces, Redis Cluster's hash tag, so that all keys of an account are on
/// one node and one script may touch them. Everything in its name but letters, digits, `-`, `_`,
/// `.` and `@` is percent-encoded, so that no two accounts, and no account and prefix, share a key,
/// whatever they are called.
#[derive(Debug)]
pub(super) struct EntryKeys(String);

impl EntryKeys {
    pub(super) fn new(prefix: &str, account: &str) -> Self {
        Self(format!("{prefix}:{{{}}}", encode(account)))
    }

    /// The hash that is the entry.
    pub(super) fn entry(&self) -> String {
        format!("{}:entry", self.0)
    }

    /// The string that names the holder of the lease.
    pub(super) fn lease(&self) -> String {
        format!("{}:lease", self.0)
    }

    /// Where what was found instead of an entry is kept.
    pub(super) fn corrupt(&self) -> String {
        format!("{}:corrupt", self.0)
    }

    /// The channel that announces a new entry.
    pub(super) fn saved(&self) -> String {
        format!("{}:saved", self.0)
    }

    /// The channel that announces a lease that was given back.
    pub(super) fn freed(&self) -> String {
        format!("{}:freed", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_keys_of_an_account_share_one_hash_tag() {
        for account in ["", "alice", "a}b", "{}", "a:b", "ä", "%", "\0\n"] {
            let keys = EntryKeys::new("jwt-refresh", account);
            for key in [keys.entry(), keys.lease(), keys.corrupt(), keys.saved(), keys.freed()] {
                let tag = key.strip_prefix("jwt-refresh:{").and_then(|rest| rest.split_once('}'));
                let (tag, noun) = tag.unwrap();
                assert!(!tag.is_empty() && noun.starts_with(':'), "{key}");
            }
        }
    }

    #[test]
    fn no_two_accounts_share_a_key() {
        let nasty = ["", "%", "%25", "a", "a:entry", "a}:entry", "{a}", "a%3Aentry", " a", "a ", "A", "ä", "a\0", "*"];
        let keys: BTreeSet<_> = nasty.iter().map(|account| EntryKeys::new("p", account).entry()).collect();
        assert_eq!(keys.len(), nasty.len());
        assert_ne!(EntryKeys::new("p:q", "a").entry(), EntryKeys::new("p", "q:a").entry());
    }
}
