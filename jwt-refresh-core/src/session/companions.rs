//! The two tasks that keep a session company for as long as it lives, and end with it: one looks at the clock, one at the store.
//! Neither holds the session; both sleep nearly always.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::shared::Shared;
use crate::clock::{Clock, Moment};

/// The tasks, while the session lives.
#[derive(Debug, Default)]
pub(super) struct Companions {
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Companions {
    /// Starts them on `runtime`, unless they run: a session may outlive the runtime they were started on.
    pub(super) fn start(&self, shared: &Arc<Shared>, runtime: &Handle) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if !running.is_empty() && running.iter().all(|task| !task.is_finished()) {
            return;
        }
        running.drain(..).for_each(|task| task.abort());
        let ticks = tick(Arc::downgrade(shared), shared.desk.clock.clone(), shared.desk.deadline());
        running.push(runtime.spawn(ticks));
        if shared.vault().is_some() {
            running.push(runtime.spawn(follow(Arc::downgrade(shared), shared.desk.deadline())));
        }
    }
}

impl Drop for Companions {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.drain(..).for_each(|task| task.abort());
    }
}

/// Has the session looked at when a deadline passes. The check before each call reads a clock that can be stepped back; this
/// one cannot be fooled so.
async fn tick(session: Weak<Shared>, clock: Clock, mut deadline: watch::Receiver<Moment>) {
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
        shared.tick();
        drop(shared);
        // It was seen; the next deadline comes with the next change.
        if deadline.changed().await.is_err() {
            return;
        }
    }
}

/// Follows what other processes write into the store.
async fn follow(session: Weak<Shared>, mut alive: watch::Receiver<Moment>) {
    let mut revision = 0;
    loop {
        let Some(shared) = session.upgrade() else { return };
        let waits = {
            // The session must not be kept alive by the wait, so the wait holds only its vault.
            let Some(vault) = shared.vault().cloned() else { return };
            async move { vault.changed(revision).await }
        };
        drop(shared);
        tokio::select! {
            () = waits => {}
            () = closed(&mut alive) => return,
        }
        let Some(shared) = session.upgrade() else { return };
        match shared.follow_store().await {
            Some(found) => revision = found,
            None => tokio::time::sleep(crate::store::POLL).await,
        }
    }
}

async fn closed(alive: &mut watch::Receiver<Moment>) {
    while alive.changed().await.is_ok() {}
}
