//! The task that tells Redis what a process has to say: what holders of leases report, and that it lives. It ends with the pool,
//! when all is said.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::fleet::Fleet;
use super::outbox::Outbox;
use super::place::Place;
use super::scripts::BEAT;
use crate::error::Error;
use crate::redis::Connection;
use crate::store::StoreError;

/// How often a process says that it lives. After five times that without a word it is taken for dead.
pub(super) const PULSE: Duration = Duration::from_secs(2);

pub(super) fn start(fleet: &Arc<Fleet>) -> Result<(), Error> {
    let clerk = Clerk {
        fleet: Arc::downgrade(fleet),
        place: fleet.place.clone(),
        outbox: Arc::clone(&fleet.outbox),
        // Its own: it lives on the library's runtime, and a connection on one.
        link: fleet.place.link()?,
        worker: fleet.worker.clone(),
    };
    fleet.runtime.spawn(clerk.work());
    Ok(())
}

struct Clerk {
    fleet: Weak<Fleet>,
    place: Place,
    outbox: Arc<Outbox>,
    link: Arc<Connection>,
    worker: String,
}

impl Clerk {
    async fn work(self) {
        let mut told = 0;
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let is_time = tokio::select! {
                () = self.outbox.bell.notified() => false,
                _ = pulse.tick() => true,
            };
            let Some(fleet) = self.fleet.upgrade() else { break };
            if is_time {
                self.say_alive(&fleet, &mut told).await;
            }
            drop(fleet);
            if let Err(error) = self.outbox.flush(&self.link, &self.place.keys).await {
                tracing::warn!(target: "jwt_refresh", %error, "a pool's Redis was not told what became of leases; it will be");
                tokio::time::sleep(PULSE).await;
            }
        }
        // Said once, not insisted on: what is not said ends by itself.
        let _ = self.outbox.flush(&self.link, &self.place.keys).await;
        let workers = format!("{}:pool:workers", self.place.keys.base);
        let _ = self.link.query::<i64>(redis::cmd("HDEL").arg(workers).arg(&self.worker)).await;
    }

    async fn say_alive(&self, fleet: &Fleet, told: &mut u64) {
        fleet.extend_held();
        let (leases, rate) = fleet.counts();
        let beat = self.beat(rate, fleet.queue.waiting(), leases - *told);
        match beat.await {
            Ok(_) => *told = leases,
            Err(error) => {
                tracing::debug!(target: "jwt_refresh", %error, "a pool's Redis was not told that this process lives");
            }
        }
    }

    async fn beat(&self, rate: f64, waiting: usize, leases: u64) -> Result<i64, StoreError> {
        let keys = &self.place.keys;
        let numbers = [rate.to_string(), waiting.to_string(), leases.to_string()];
        let [rate, waiting, leases] = numbers.each_ref().map(String::as_bytes);
        let arguments = [keys.base.as_bytes(), self.worker.as_bytes(), b"client", rate, waiting, leases];
        self.link.run(&BEAT, &[&keys.stats], &arguments).await
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.outbox.bell.notify_one();
    }
}
