//! A renewal of a session's tokens: in a task of its own, so that no caller who is dropped takes it along, and with a guard
//! that lands it whatever happens: a rotated refresh token must never be lost, and nobody may wait for ever.

use std::sync::Arc;

use tokio::runtime::Handle;
use tracing::Instrument;

use super::shared::Shared;
use super::state::{Basis, Landing, Plan, Ticket};
use crate::{Error, ErrorKind};

tokio::task_local! {
    /// The sessions whose renewal the current task works for, outermost first.
    static WITHIN: Arc<[u64]>;
}

/// Whether the current task is part of a renewal of the session `id`, and would wait for itself.
pub(super) fn is_within(id: u64) -> bool {
    WITHIN.try_with(|within| within.contains(&id)).unwrap_or(false)
}

/// Runs the renewal that `ticket` stands for.
pub(super) fn launch(shared: Arc<Shared>, ticket: Ticket, runtime: &Handle) {
    let mut within = WITHIN.try_with(|within| within.to_vec()).unwrap_or_default();
    within.push(shared.id());
    let span = tracing::debug_span!("jwt_refresh.renew", session = shared.id());
    let (plan, basis) = (ticket.plan, ticket.basis.clone());
    let busy = shared.busy();
    let flight = Flight { shared, ticket: Some(ticket) };
    let work = async move {
        let landing = flight.shared.renew(plan, &basis).await;
        let unsaved = if let Landing::Unsaved(holding) = &landing { Some(holding.clone()) } else { None };
        let brought = landing.grant();
        let shared = flight.land(landing);
        // Tokens that came after a logout are given back; if the server cannot be told, they expire by themselves.
        if let Some(grant) = brought.filter(|_| shared.desk.lock().is_logged_out()) {
            let _ = shared.revoke(&grant).await;
        }
        if let Some(holding) = unsaved {
            shared.save_late(holding).await;
        }
        drop(busy);
    };
    runtime.spawn(WITHIN.scope(within.into(), work).instrument(span));
}

/// A renewal in the air. Dropped before it has landed (the authenticator panicked, the runtime was shut down) it lands as a
/// failure whose outcome is unknown.
struct Flight {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
}

impl Flight {
    fn land(mut self, landing: Landing) -> Arc<Shared> {
        if let Some(ticket) = self.ticket.take() {
            self.shared.land(ticket, landing);
        }
        Arc::clone(&self.shared)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let error = Error::new(ErrorKind::Aborted, "the renewal was cut off by a panic or the end of its runtime");
        let grant = match ticket.plan {
            Plan::Renew => ticket.basis.grant.clone().in_doubt(),
            // A login sends no refresh token.
            Plan::LogIn => ticket.basis.grant.clone(),
        };
        self.shared.land(ticket, Landing::failed(error, grant));
    }
}

impl Shared {
    async fn renew(&self, plan: Plan, basis: &Basis) -> Landing {
        match self.vault() {
            None => self.exchange(plan, basis.grant.clone(), basis.issue + 1).await,
            Some(vault) => self.renew_jointly(vault, plan, basis).await,
        }
    }
}
