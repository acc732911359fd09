//! What a pool has to ask a server.

use std::sync::Arc;

use super::entry::AccountHandle;
use crate::pool::account::NamedAuthenticator;
use crate::renewal::RefreshCredential;

/// A request to an account's server.
pub(super) struct Job {
    pub(super) identity: Arc<dyn NamedAuthenticator>,
    pub(super) request: Request,
}

pub(super) enum Request {
    /// New tokens for an account.
    Exchange(AccountHandle, RefreshCredential),
    /// The refresh token of an account that was removed is no longer wanted.
    Revocation(RefreshCredential),
}
