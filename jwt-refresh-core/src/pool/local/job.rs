//! What a pool asks servers for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::entry::AccountHandle;
use super::slots::Priority;
use crate::authenticator::DynAuthenticator;
use crate::pool::account::NamedAuthenticator;
use crate::pool::limits::EndpointIndex;
use crate::renewal::{Plan, RefreshCredential, revoke};

/// One account and what to ask its server for. It is completed once: by the task that does it, or
/// when that is given up.
pub(super) struct Job {
    pub(super) identity: Arc<dyn NamedAuthenticator>,
    pub(super) request: Request,
    pub(super) priority: Priority,
    /// When it was begun, in nanoseconds since boot.
    pub(super) begun: i64,
    pub(super) endpoint: EndpointIndex,
    /// How many exchanges of the account have failed since the last that did not.
    pub(super) failures: u8,
    completed: AtomicBool,
}

impl Job {
    pub(super) fn new(
        identity: Arc<dyn NamedAuthenticator>,
        request: Request,
        (priority, endpoint): (Priority, EndpointIndex),
        failures: u8,
        begun: i64,
    ) -> Self {
        Self { identity, request, priority, begun, endpoint, failures, completed: AtomicBool::new(false) }
    }

    /// Returns what the account can be refreshed with, from before the job.
    pub(super) fn credential(&self) -> &RefreshCredential {
        match &self.request {
            Request::Exchange(_, credential, _) | Request::Revocation(credential) => credential,
        }
    }

    /// Notes that the job is completed. Returns whether it was not before.
    pub(super) fn complete(&self) -> bool {
        !self.completed.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_completed(&self) -> bool {
        self.completed.load(Ordering::Acquire)
    }
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
