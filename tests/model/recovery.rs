//! The end of a walk: all is well from now on, and every session must come to serve a token that
//! the API takes.

use std::time::{Duration, Instant};

use jwt_refresh::{Error, ErrorKind};

use crate::history::Promise;
use crate::process::unstuck;
use crate::walk::Walk;

/// How long it may take, in real time, until a session is well on a server that is.
const RECOVERY: Duration = Duration::from_secs(60);

impl Walk {
    pub(crate) async fn recover(&mut self) {
        self.world.with(|state| {
            state.note("- all is well from now on");
            state.script.clear();
            state.unreachable = 0;
            state.releases += 1;
            state.issuer.knows_password = true;
        });
        for process in 0..self.processes.len() {
            if let Some(store) = &self.process(process).store {
                store.heal();
            }
        }
        self.restore().await;
        for process in self.processes.iter_mut().flatten() {
            process.settle().await;
        }
        for process in 0..self.processes.len() {
            if !self.revive(process).await {
                let what = format!("s{} has no token that the API takes", self.process(process).number);
                return self.world.with(|state| state.broken(Promise::AliveAtTheEnd, what));
            }
        }
    }

    /// Calls until a token is taken, and helps as a person would where that is due.
    async fn revive(&mut self, process: usize) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < RECOVERY && !self.is_broken() {
            let world = self.world.clone();
            match unstuck(&world, self.process(process).call()).await {
                Ok(Ok(token)) => {
                    let Some(number) = world.with(|state| state.api(token.expose())) else { return true };
                    let _ = unstuck(&world, self.process(process).reject(token, number)).await;
                }
                Ok(Err(error)) => self.help(process, &error).await,
                Err(_) => {}
            }
        }
        self.is_broken()
    }

    async fn help(&mut self, process: usize, error: &Error) {
        use ErrorKind::{Configuration, Denied, LoggedOut, ReauthenticationRequired};
        let needs_a_person = [LoggedOut, ReauthenticationRequired, Configuration, Denied];
        if !needs_a_person.contains(&error.kind()) {
            let pause = error.retry_after().unwrap_or_default().max(Duration::from_secs(1));
            self.world.pass(pause);
            // A pause of the store's is in real time.
            return tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if self.setup.can_login {
            self.process(process).log_in();
        } else {
            let captured = self.capture();
            self.process(process).adopt(captured);
        }
        self.process(process).settle().await;
        // A server that has asked to be left alone is, by a person too.
        self.world.pass(Duration::from_secs(1));
    }
}
