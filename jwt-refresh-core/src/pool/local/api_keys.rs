//! Which accounts of a pool have an API key. A key that two accounts had would be used twice as
//! often as its limits allow.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::rank::Slot;
use crate::token::AccessToken;

/// The accounts by the digests of their keys.
#[derive(Default)]
pub(super) struct ApiKeys(BTreeMap<[u8; 32], Slot>);

/// Returns the digest of a key. The same secret in another header is the same key.
fn digest(key: &AccessToken) -> [u8; 32] {
    Sha256::digest(key.expose()).into()
}

impl ApiKeys {
    pub(super) fn account_with(&self, key: &AccessToken) -> Option<Slot> {
        self.0.get(&digest(key)).copied()
    }

    pub(super) fn insert(&mut self, key: &AccessToken, slot: Slot) {
        self.0.insert(digest(key), slot);
    }

    /// Forgets the token of an account that was removed, if it is a key.
    pub(super) fn remove(&mut self, token: Option<&AccessToken>) {
        if let Some(key) = token.filter(|token| token.is_api_key()) {
            self.0.remove(&digest(key));
        }
    }
}
