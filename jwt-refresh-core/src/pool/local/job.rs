//! What a pool asks servers for.

use std::sync::Arc;

use super::entry::AccountHandle;
use crate::pool::account::NamedAuthenticator;
use crate::renewal::RefreshCredential;

/// One account and what to ask its server for.
pub(super) struct Job {
    pub(super) identity: Arc<dyn NamedAuthenticator>,
    pub(super) request: Request,
    /// How many exchanges of the account have failed since the last that did not.
    pub(super) failures: u8,
}

pub(super) enum Request {
    /// Get new tokens for an account.
    Exchange(AccountHandle, RefreshCredential),
    /// Revoke the refresh token of an account that was removed.
    Revocation(RefreshCredential),
}
