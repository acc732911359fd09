//! How an entry is written:
//!
//! | bytes | are |
//! |---|---|
//! | 12 | `jwt-refresh`, line feed |
//! | 4 | version of the format: 1 |
//! | 8 | revision |
//! | 4 | length of the account |
//! | 4 | length of the data |
//! | … | account, data |
//! | 32 | SHA-256 of all before |
//!
//! Numbers are big-endian. Every version of the format begins with the first two fields and ends
//! with the last one.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::store::StoreEntry;

/// Length of the largest entry that is written and read. Most are a few KiB.
pub(in crate::store) const LARGEST: usize = 1 << 20;

/// Length of the fields before the account.
pub(super) const HEAD: usize = MAGIC.len() + 4 + 8 + 4 + 4;

const MAGIC: &[u8; 12] = b"jwt-refresh\n";
const VERSION: u32 = 1;
const SUM: usize = 32;

/// Why bytes are no entry of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// They are no entry; the text says what they are instead.
    Corrupt(&'static str),
    /// They are an entry in a later version of the format.
    Later(u32),
}

/// Returns the bytes of the entry, or `None` if they are more than [`LARGEST`].
pub(super) fn encode(account: &str, entry: &StoreEntry) -> Option<Zeroizing<Vec<u8>>> {
    let size = HEAD + account.len() + entry.data.len() + SUM;
    if size > LARGEST {
        return None;
    }
    // The vector never grows, so it leaves no copy of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&entry.revision.to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(account.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(entry.data.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(account.as_bytes());
    bytes.extend_from_slice(&entry.data);
    let sum = Sha256::digest(bytes.as_slice());
    bytes.extend_from_slice(&sum);
    Some(bytes)
}

/// Returns the account's entry that was written as `bytes`.
pub(super) fn decode(account: &str, bytes: &[u8]) -> Result<StoreEntry, Flaw> {
    const CUT: Flaw = Flaw::Corrupt("is cut short");
    if bytes.is_empty() {
        return Err(Flaw::Corrupt("is empty"));
    }
    if bytes.len() > LARGEST {
        // What a later version says of its size is not known.
        let version = bytes.strip_prefix(MAGIC).and_then(number).map_or(0, |(version, _)| version);
        return Err(if version > VERSION { Flaw::Later(version) } else { Flaw::Corrupt("is larger than 1 MiB") });
    }
    if MAGIC.starts_with(bytes) {
        return Err(CUT);
    }
    if !bytes.starts_with(MAGIC) {
        return Err(Flaw::Corrupt("is not written by jwt-refresh"));
    }
    let (signed, sum) = bytes.split_last_chunk::<SUM>().ok_or(CUT)?;
    if Sha256::digest(signed).as_slice() != sum {
        return Err(Flaw::Corrupt("is cut short or damaged"));
    }
    let rest = &signed[MAGIC.len().min(signed.len())..];
    let (version, rest) = number(rest).ok_or(CUT)?;
    if version != VERSION {
        return Err(Flaw::Later(version));
    }
    let (revision, rest) = rest.split_first_chunk().ok_or(CUT)?;
    let (account_length, rest) = number(rest).ok_or(CUT)?;
    let (data_length, rest) = number(rest).ok_or(CUT)?;
    let (written_for, data) = rest.split_at_checked(account_length as usize).ok_or(CUT)?;
    if written_for != account.as_bytes() {
        return Err(Flaw::Corrupt("is another account's"));
    }
    let revision = u64::from_be_bytes(*revision);
    if data.len() != data_length as usize || revision == 0 {
        return Err(Flaw::Corrupt("is damaged"));
    }
    Ok(StoreEntry { revision, data: Zeroizing::new(data.to_vec()) })
}

/// Returns the revision that the first bytes of an entry tell, if they are in this format.
pub(super) fn revision(head: &[u8; HEAD]) -> Option<u64> {
    let (version, rest) = number(head.strip_prefix(MAGIC)?)?;
    let (revision, _) = rest.split_first_chunk()?;
    (version == VERSION).then(|| u64::from_be_bytes(*revision))
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}
