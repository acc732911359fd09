//! The two tasks that run beside a session for as long as it lives: one watches the clock, one the
//! store. Neither keeps the session alive; both sleep nearly always.

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::shared::{SessionShared, Upkeep};
use crate::clock::{Clock, Moment};
use crate::runtime;
use crate::store;

/// Starts the tasks, unless they run or there is no runtime for them. A session may outlive the
/// runtime that they were started on, so they are started again where one has ended.
pub(super) fn start(shared: &Arc<SessionShared>) {
    let mut tasks = shared.background.lock();
    if !tasks.is_empty() && tasks.try_join_next().is_none() {
        return;
    }
    let Ok(runtime) = runtime::handle() else { return };
    *tasks = JoinSet::new();
    let deadline = shared.cell.deadline();
    tasks.spawn_on(tick(Arc::downgrade(shared), shared.cell.clock.clone(), deadline.clone()), &runtime);
    if shared.store.is_some() {
        tasks.spawn_on(follow(Arc::downgrade(shared), deadline), &runtime);
    }
}

/// Has the session looked at when a deadline passes. The check before each call reads a clock that
/// can be stepped back; this one cannot be misled so.
async fn tick(session: Weak<SessionShared>, clock: Clock, mut deadline: watch::Receiver<Moment>) {
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
        // It was seen; the next deadline comes with the next change.
        if deadline.changed().await.is_err() {
            return;
        }
    }
}

/// A deadline has passed on a clock that cannot be stepped.
fn on_deadline(shared: &Arc<SessionShared>) {
    match shared.upkeep {
        // What comes of it is told by events, and to the next caller.
        Upkeep::KeepFresh => drop(shared.acquire()),
        Upkeep::OnDemand => shared.cell.distrust_check(),
    }
}

/// Follows what other processes write into the store.
async fn follow(session: Weak<SessionShared>, mut alive: watch::Receiver<Moment>) {
    let mut revision = 0;
    loop {
        let waits = {
            let Some(shared) = session.upgrade() else { return };
            // The wait must not keep the session alive, so it holds its store only.
            let Some(store) = shared.store.clone() else { return };
            async move { store.changed(revision).await }
        };
        tokio::select! {
            () = waits => {}
            () = closed(&mut alive) => return,
        }
        let Some(shared) = session.upgrade() else { return };
        match shared.follow_store().await {
            Some(found) => revision = found,
            None => tokio::time::sleep(store::POLL).await,
        }
    }
}

async fn closed(alive: &mut watch::Receiver<Moment>) {
    while alive.changed().await.is_ok() {}
}
