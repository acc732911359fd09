//! The two tasks that run in the background while a session exists: one watches the clock, the
//! other the store. Neither keeps the session alive, and both sleep nearly all the time.

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::shared::{SessionShared, Upkeep};
use crate::clock::{Clock, Moment};
use crate::store;

/// Starts the tasks, unless they run. If one of them has ended, they are started again, because a
/// session may outlive the runtime that the user has chosen for it.
pub(super) fn start(shared: &Arc<SessionShared>) {
    let mut tasks = shared.background.lock();
    let ended = !tasks.is_empty() && tasks.try_join_next().is_some();
    if !tasks.is_empty() && !ended {
        return;
    }
    if ended {
        // They ended with the runtime that the user has chosen.
        shared.abandon_chosen_runtime();
    }
    let Ok(runtime) = shared.runtime() else { return };
    let runtime = runtime.handle();
    *tasks = JoinSet::new();
    let deadline = shared.cell.deadline();
    tasks.spawn_on(watch_clock(Arc::downgrade(shared), shared.cell.clock.clone(), deadline.clone()), runtime);
    if shared.store.is_some() {
        tasks.spawn_on(watch_store(Arc::downgrade(shared), deadline), runtime);
    }
}

/// Calls [`on_deadline`] whenever a deadline of the session passes. The fast path reads a clock
/// that can be stepped back; the time since boot, which this task also reads, cannot be stepped.
async fn watch_clock(session: Weak<SessionShared>, clock: Clock, mut deadline: watch::Receiver<Moment>) {
    loop {
        let next = *deadline.borrow_and_update();
        tokio::select! {
            () = clock.sleep_until(next) => {}
            changed = deadline.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        }
        let Some(shared) = session.upgrade() else { return };
        on_deadline(&shared);
        drop(shared);
        // This deadline has been handled. The next one comes with the next change of the state.
        if deadline.changed().await.is_err() {
            return;
        }
    }
}

/// Handles a deadline that has passed, on a clock that cannot be stepped.
fn on_deadline(shared: &Arc<SessionShared>) {
    shared.cell.tell_login_end(|event| shared.telemetry.send_event(event));
    match shared.upkeep {
        // Events and the next caller report how the renewal ends.
        Upkeep::KeepFresh => drop(shared.acquire()),
        Upkeep::OnDemand => shared.cell.close_fast_path_if_due(),
    }
    shared.cell.update_deadline();
}

/// Takes over what other processes write into the store.
async fn watch_store(session: Weak<SessionShared>, mut deadline: watch::Receiver<Moment>) {
    let mut revision = 0;
    loop {
        let change = {
            let Some(shared) = session.upgrade() else { return };
            // The wait must not keep the session alive, so it holds only the store.
            let Some(store) = shared.store.clone() else { return };
            async move { store.changed(revision).await }
        };
        let changed = tokio::select! {
            changed = change => changed,
            () = until_session_ends(&mut deadline) => return,
        };
        let Some(shared) = session.upgrade() else { return };
        let found = if changed.is_ok() { shared.follow_store().await } else { None };
        drop(shared);
        match found {
            Some(found) if found != revision => revision = found,
            // The store failed, or ended the wait too early.
            _ => tokio::time::sleep(store::POLL).await,
        }
    }
}

/// Waits until the session has ended, which closes the channel of its deadline.
async fn until_session_ends(deadline: &mut watch::Receiver<Moment>) {
    while deadline.changed().await.is_ok() {}
}
