//! What goes on while nobody uses a session. The one timer of all sessions watches its clock, and,
//! if there is a store, a task follows what other processes write there. Neither keeps the session
//! alive, and both end with it.

use std::sync::{Arc, Weak};

use super::shared::{SessionShared, Upkeep};
use crate::clock::OnDeadline;
use crate::runtime::BackgroundTask;
use crate::store;

/// Starts what goes on in the background, unless it has been started.
pub(super) fn start(shared: &Arc<SessionShared>) {
    shared.cell.start_timer(|| Arc::downgrade(shared) as Weak<dyn OnDeadline>);
    if shared.store.is_some() {
        follow_store(shared);
    }
}

impl OnDeadline for SessionShared {
    /// Handles a deadline of the session's state. The fast path reads a clock that can be stepped
    /// back; the timer also reads the time since boot, which cannot be stepped.
    fn deadline_passed(self: Arc<Self>) {
        // This thread may stand still until the next deadline has passed, too.
        let now = self.cell.clock.moment();
        self.cell.tell_login_end(|event| self.telemetry.send_event(event));
        if self.upkeep == Upkeep::KeepFresh || self.telemetry.has_token_receivers() {
            // Events and the next caller report how the renewal ends.
            drop(self.acquire());
        } else {
            self.cell.update_fast_path();
        }
        self.cell.update_deadline(now);
    }
}

/// Starts the task that follows the store, unless it runs. If it has ended, it is started again,
/// because a session may outlive the runtime that the user has chosen for it.
fn follow_store(shared: &Arc<SessionShared>) {
    let mut follower = shared.follower.lock();
    match &*follower {
        Some(task) if !task.has_ended() => return,
        // It ended with the runtime that the user has chosen.
        Some(_) => shared.abandon_chosen_runtime(),
        None => {}
    }
    let Ok(runtime) = shared.runtime() else { return };
    *follower = Some(BackgroundTask::spawn(runtime.handle(), watch_store(Arc::downgrade(shared))));
}

/// Takes over what other processes write into the store.
async fn watch_store(session: Weak<SessionShared>) {
    let mut revision = 0;
    loop {
        let change = {
            let Some(shared) = session.upgrade() else { return };
            // The wait must not keep the session alive, so it holds only the store.
            let Some(store) = shared.store.clone() else { return };
            async move { store.changed(revision).await }
        };
        let next_look = tokio::time::Instant::now() + store::POLL;
        let changed = change.await;
        let Some(shared) = session.upgrade() else { return };
        let found = if changed.is_ok() { shared.follow_store().await } else { None };
        drop(shared);
        match found {
            Some(found) if found != revision => revision = found,
            // The store failed, or ended the wait although nothing has changed.
            _ => tokio::time::sleep_until(next_look).await,
        }
    }
}
