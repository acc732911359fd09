//! The task of a renewal. It is independent of the caller that began the renewal, so that a rotated
//! refresh token is not lost when that caller is dropped.

use std::sync::Arc;

use tokio::runtime::Handle;
use tracing::Instrument;

use super::shared::SessionShared;
use super::state::RenewalPermit;
use crate::renewal::{CutOffGuard, Outcome, revoke, within};

/// Spawns the task that runs the renewal of `permit`.
pub(super) fn spawn(shared: Arc<SessionShared>, permit: RenewalPermit, runtime: &Handle) {
    let id = shared.id;
    let span = tracing::debug_span!("jwt_refresh.renew", session = id);
    let (plan, basis) = (permit.plan, permit.basis.clone());
    let active_renewal = shared.count_renewal();
    let guard = {
        let shared = Arc::clone(&shared);
        CutOffGuard::new(permit, move |permit: RenewalPermit| {
            let outcome = Outcome::cut_off(permit.plan, permit.basis.credential.clone());
            shared.complete(permit, outcome);
        })
    };
    let work = async move {
        let outcome = shared.renew(plan, &basis).await;
        let unsaved = if let Outcome::Unsaved(issued) = &outcome { Some(issued.clone()) } else { None };
        let credential = outcome.new_credential();
        if let Some(permit) = guard.disarm() {
            shared.complete(permit, outcome);
        }
        // Tokens that arrived after a logout are revoked.
        if let Some(credential) = credential.filter(|_| shared.cell.lock().is_logged_out()) {
            let _ = revoke(&shared.authenticator, &credential, shared.policy().refresh_timeout).await;
        }
        if let Some(issued) = unsaved {
            shared.retry_save(issued).await;
        }
        drop(active_renewal);
    };
    runtime.spawn(within(id, work).instrument(span));
}
