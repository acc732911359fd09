//! What the parts of a walk share: the model behind its lock, and the clock of the machine that the
//! sessions run on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jwt_refresh::ManualClock;
use tokio::sync::watch;

use crate::process::LONGEST;
use crate::state::State;

/// How something ends that was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    LetGo,
    CutOff,
}

/// Counts as held until it is dropped.
struct Counted(World);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.with(|state| state.held -= 1);
    }
}

#[derive(Clone)]
pub(crate) struct World(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    clock: ManualClock,
    server: SocketAddr,
}

impl World {
    pub(crate) fn new(state: State, server: SocketAddr) -> Self {
        let clock = ManualClock::at(state.issuer.epoch);
        Self(Arc::new(Shared { state: Mutex::new(state), changed: watch::Sender::new(()), clock, server }))
    }

    /// Reads or changes the model.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let done = act(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.changed.send_replace(());
        done
    }

    /// Waits until `done`, at most for `longest`.
    pub(crate) async fn until(&self, longest: Duration, mut done: impl FnMut(&State) -> bool) {
        let mut changed = self.0.changed.subscribe();
        let wait = async {
            while !done(&self.0.state.lock().unwrap_or_else(PoisonError::into_inner)) {
                // The sender is in `self`, so the wait cannot fail.
                let _ = changed.changed().await;
            }
        };
        // The caller sees by itself what has come of it.
        let _ = tokio::time::timeout(longest, wait).await;
    }

    /// Holds something until the walk lets it go on, or cuts it off.
    pub(crate) async fn hold(&self, what: &str) -> Held {
        let (releases, hang_ups) = self.with(|state| {
            state.stuck += 1;
            state.held += 1;
            state.note(format_args!("    {what}"));
            (state.releases, state.hang_ups)
        });
        let _counted = Counted(self.clone());
        self.until(LONGEST, |state| state.releases > releases || state.hang_ups > hang_ups).await;
        self.with(|state| if state.hang_ups > hang_ups { Held::CutOff } else { Held::LetGo })
    }

    /// Waits until the walk lets go on what is held.
    pub(crate) async fn released(&self) {
        let releases = self.with(|state| state.releases);
        self.until(LONGEST, |state| state.releases > releases).await;
    }

    /// Returns the clock of all sessions.
    pub(crate) fn clock(&self) -> &ManualClock {
        &self.0.clock
    }

    /// Lets time pass. The model's goes first, so that no token seems to be issued before it was
    /// asked for.
    pub(crate) fn pass(&self, time: Duration) {
        self.with(|state| state.pass(time));
        self.0.clock.advance(time);
    }

    /// Returns the URL of what the server does for an exchange.
    pub(crate) fn url(&self, what: &str, exchange: usize) -> String {
        format!("http://{}/{what}/{exchange}", self.0.server)
    }
}
