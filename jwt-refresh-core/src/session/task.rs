//! The task of a renewal. It is independent of the caller that began the renewal, so that a rotated
//! refresh token is not lost when that caller is dropped.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;
use tracing::Instrument;

use super::account_store::max_lease_wait;
use super::outage::Finding;
use super::running::Step;
use super::shared::{RenewalRuntime, SessionShared};
use super::state::{CutOff, RenewalPermit};
use super::store_sync::SessionRenewal;
use super::store_write::{Unwritten, spawn_write};
use crate::renewal::{CutOffGuard, Outcome, revoke, within};
use crate::runtime;

/// How long the lease of a renewal that was given up is kept for the next one.
const LEASE_KEPT: Duration = Duration::from_secs(10);

/// Spawns the task that runs the renewal of `permit`.
pub(super) fn spawn(shared: &Arc<SessionShared>, permit: RenewalPermit, runtime: &RenewalRuntime) {
    let id = shared.id;
    let span = tracing::debug_span!("jwt_refresh.renew", session = id);
    let guard = {
        let shared = Arc::clone(shared);
        CutOffGuard::new(permit.epoch, move |epoch| cut_off(&shared, epoch))
    };
    let watch = watch(shared, permit.epoch);
    let work = within(id, run(Arc::clone(shared), permit, guard, watch)).instrument(span);
    match runtime {
        RenewalRuntime::Library(library) => drop(runtime::spawn_on_own_thread(library, work)),
        RenewalRuntime::Chosen(chosen) => drop(chosen.spawn(work)),
    }
}

/// Completes a renewal whose task was dropped.
fn cut_off(shared: &SessionShared, epoch: u64) {
    if std::thread::panicking() {
        shared.cut_off(epoch, CutOff::Panic);
    } else {
        shared.abandon_chosen_runtime();
        shared.cut_off(epoch, CutOff::RuntimeEnded);
    }
}

async fn run(
    shared: Arc<SessionShared>,
    permit: RenewalPermit,
    guard: CutOffGuard<u64, impl FnOnce(u64)>,
    watch: Option<AbortHandle>,
) {
    let RenewalPermit { plan, basis, epoch, condition, after, .. } = permit;
    if let Some(after) = after {
        // A logout has overtaken the renewal before. Even so, there is one exchange at a time.
        shared.cell.advance(epoch, Step::Queued, max_lease_wait(shared.policy()));
        let _ = after.result().await;
    }
    let renewal = SessionRenewal::new(&shared, epoch);
    let finding = renewal.check(condition, &basis).await;
    if finding != Finding::Met {
        guard.disarm();
        shared.give_up_early(epoch, finding);
        watch.inspect(AbortHandle::abort);
        return;
    }
    let outcome = renewal.renew(plan, &basis).await;
    let unsaved = if let Outcome::Unsaved(issued) = &outcome { Some(issued.sequence) } else { None };
    // What is in the store is used by others, and a logout has revoked what it found there.
    let is_saved = shared.store.is_some() && matches!(outcome, Outcome::Renewed(_));
    let credential = outcome.new_credential(&basis.credential).filter(|_| !is_saved);
    let not_saved = shared.count_unsaved();
    guard.disarm();
    let is_current = shared.complete(epoch, outcome);
    shared.lease.release(epoch);
    watch.inspect(AbortHandle::abort);
    // Tokens that nobody will use are revoked.
    if let Some(credential) = credential.filter(|credential| !is_current && !shared.cell.holds(credential)) {
        let _ = revoke(&shared.authenticator, &credential, shared.policy().refresh_timeout).await;
    }
    drop(shared);
    if let Some(sequence) = unsaved.filter(|_| is_current) {
        spawn_write(not_saved, Unwritten::Tokens(sequence));
    }
}

/// Gives the renewal up if one of its steps takes longer than it may. Runs on the library's
/// runtime, whatever runtime the renewal is on.
fn watch(shared: &Arc<SessionShared>, epoch: u64) -> Option<AbortHandle> {
    let session = Arc::downgrade(shared);
    let library = runtime::handle().ok()?;
    Some(library.spawn(give_up_when_overdue(session, epoch)).abort_handle())
}

async fn give_up_when_overdue(session: Weak<SessionShared>, epoch: u64) {
    loop {
        let deadline = session.upgrade().and_then(|shared| shared.cell.renewal_deadline(epoch));
        let Some(deadline) = deadline else { return };
        tokio::time::sleep_until(deadline.into()).await;
        let Some(shared) = session.upgrade() else { return };
        if shared.cell.is_overdue(epoch) {
            if !shared.cell.has_started(epoch) {
                shared.abandon_chosen_runtime();
            }
            shared.cut_off(epoch, CutOff::Overdue);
            break;
        }
    }
    tokio::time::sleep(LEASE_KEPT).await;
    if let Some(shared) = session.upgrade() {
        shared.lease.release(epoch);
    }
}
