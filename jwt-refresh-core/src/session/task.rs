//! A renewal of a session's tokens, in a task of its own: a caller that is dropped does not take it
//! along. A rotated refresh token must never be lost.

use std::sync::Arc;

use tokio::runtime::Handle;
use tracing::Instrument;

use super::shared::SessionShared;
use super::state::RenewalPermit;
use crate::renewal::{CutOffGuard, Outcome, revoke, within};

/// Runs the renewal that `permit` stands for.
pub(super) fn spawn(shared: Arc<SessionShared>, permit: RenewalPermit, runtime: &Handle) {
    let id = shared.id;
    let span = tracing::debug_span!("jwt_refresh.renew", session = id);
    let (plan, basis) = (permit.plan, permit.basis.clone());
    let busy = shared.busy();
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
        // Tokens that came after a logout are given back.
        if let Some(credential) = credential.filter(|_| shared.cell.lock().is_logged_out()) {
            let _ = revoke(&shared.authenticator, &credential, shared.policy().refresh_timeout).await;
        }
        if let Some(issued) = unsaved {
            shared.save_late(issued).await;
        }
        drop(busy);
    };
    runtime.spawn(within(id, work).instrument(span));
}
