//! What a pool asks servers for.

use std::sync::Arc;
use std::time::Duration;

use super::entry::AccountHandle;
use super::slots::Priority;
use crate::authenticator::DynAuthenticator;
use crate::pool::account::NamedAuthenticator;
use crate::pool::limits::EndpointIndex;
use crate::renewal::{Plan, RefreshCredential, revoke};

/// One account and what to ask its server for.
pub(super) struct Job {
    pub(super) identity: Arc<dyn NamedAuthenticator>,
    pub(super) request: Request,
    pub(super) priority: Priority,
    /// When it was begun, in nanoseconds since boot.
    pub(super) begun: i64,
    pub(super) endpoint: EndpointIndex,
    /// How many exchanges of the account have failed since the last that did not.
    pub(super) failures: u8,
}

pub(super) enum Request {
    /// Get new tokens for an account.
    Exchange(AccountHandle, RefreshCredential, Plan),
    /// Revoke the refresh token of an account that was removed.
    Revocation(RefreshCredential),
}

/// Revokes what an account that was removed could be refreshed with, or logs it out in its store.
pub(super) async fn leave(identity: &Arc<dyn NamedAuthenticator>, credential: &RefreshCredential, timeout: Duration) {
    if let Some(account) = identity.stored() {
        return account.log_out().await;
    }
    let authenticator: Arc<dyn DynAuthenticator> = Arc::clone(identity) as _;
    let _ = revoke(&authenticator, credential, timeout).await;
}
