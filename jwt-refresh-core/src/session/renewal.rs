//! A renewal of a session's tokens: in a task of its own, so that no caller who is dropped takes it along, and with a guard
//! that lands it whatever happens: a rotated refresh token must never be lost, and nobody may wait for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tracing::Instrument;

use super::exchange::{Party, exchange};
use super::holding::Grant;
use super::shared::Shared;
use super::state::{Basis, Landing, Plan, Ticket};
use crate::authenticator::AnyAuthenticator;
use crate::{Clock, Error, ErrorKind, Policy};

tokio::task_local! {
    /// The sessions and pools whose renewal the current task works for, outermost first.
    static WITHIN: Arc<[u64]>;
}

/// What tells a session or a pool from every other one in the process.
pub(crate) fn next_id() -> u64 {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// Whether the current task is part of a renewal of the session or pool `id`, and would wait for itself.
pub(crate) fn is_within(id: u64) -> bool {
    WITHIN.try_with(|within| within.contains(&id)).unwrap_or(false)
}

/// `work` as a part of a renewal of the session or pool `id`, and of those that the current task is part of.
pub(crate) fn within<F: Future>(id: u64, work: F) -> impl Future<Output = F::Output> {
    let mut within = WITHIN.try_with(|within| within.to_vec()).unwrap_or_default();
    within.push(id);
    WITHIN.scope(within.into(), work)
}

/// Runs the renewal that `ticket` stands for.
pub(super) fn launch(shared: Arc<Shared>, ticket: Ticket, runtime: &Handle) {
    let id = shared.id();
    let span = tracing::debug_span!("jwt_refresh.renew", session = id);
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
    runtime.spawn(within(id, work).instrument(span));
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

impl Shared {
    pub(super) async fn exchange(&self, plan: Plan, grant: Grant, issue: u64) -> Landing {
        exchange(self, plan, grant, issue).await
    }
}

impl Party for Shared {
    fn authenticator(&self) -> &Arc<dyn AnyAuthenticator> {
        &self.authenticator
    }

    fn policy(&self) -> &Policy {
        &self.desk.policy
    }

    fn clock(&self) -> &Clock {
        &self.desk.clock
    }

    fn answered(&self, action: &'static str, error: Option<&Error>) {
        self.telemetry.answered(action, error);
    }

    async fn rotated_elsewhere(&self, issue: u64) -> Option<Landing> {
        self.found_elsewhere(issue).await
    }
}
