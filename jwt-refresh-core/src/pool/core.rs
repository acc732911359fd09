//! What a pool's handles, leases and keeper share: the state behind its lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::account::Account;
use super::counter;
use super::flight::{self, Answers};
use super::policy::PoolPolicy;
#[cfg(feature = "metrics")]
use super::quarantine::Causes;
use super::state::State;
use super::status::{PoolStatus, Quarantined};
use crate::{Clock, Error, session};

pub(super) struct Core {
    pub(super) id: u64,
    pub(super) clock: Clock,
    pub(super) policy: Arc<PoolPolicy>,
    pub(super) runtime: Handle,
    state: Mutex<State>,
    /// Wakes the keeper: there is something to do earlier than it thinks, or the pool has ended.
    pub(super) bell: Arc<Notify>,
    pub(super) answers: Arc<Answers>,
}

impl Core {
    pub(super) fn new(policy: PoolPolicy, clock: Clock, runtime: Handle) -> Self {
        let now = clock.moment().boot.as_nanos();
        Self {
            id: session::next_id(),
            state: Mutex::new(State::new(policy.selection, now)),
            clock,
            policy: Arc::new(policy),
            runtime,
            bell: Arc::default(),
            answers: Arc::default(),
        }
    }

    /// Changes the state, then tells those whom it concerns: with the lock given back.
    pub(super) fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State, i64) -> T) -> T {
        let (done, outbox) = {
            let mut state = self.lock();
            let now = self.now();
            state.pass_time(now);
            let done = change(&mut state, now);
            let outbox = state.conclude(now);
            let wake_at = state.wake_at(&self.policy);
            if wake_at < state.armed {
                state.armed = wake_at;
                self.bell.notify_one();
            }
            (done, outbox)
        };
        for (reply, answer) in outbox {
            // A lease that nobody waits for any more comes back and is dropped: the next in the queue has it then.
            let _ = reply.send(answer.map(|granted| counter::hand_over(self, granted)));
        }
        done
    }

    pub(super) fn add(self: &Arc<Self>, account: Account) -> Result<(), Error> {
        let mut offered = Some(account);
        self.change(|state, now| state.add(&mut offered, now))
    }

    fn now(&self) -> i64 {
        self.clock.moment().boot.as_nanos()
    }

    /// No code of the user's runs under this lock, so what a poisoned one guards is as good as ever.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(self: &Arc<Self>) -> PoolStatus {
        self.change(|state, now| {
            let returns_in = |until: i64| Duration::from_nanos(u64::try_from(until.saturating_sub(now)).unwrap_or(0));
            let quarantined: Vec<_> = state
                .confined()
                .map(|(member, quarantine)| Quarantined {
                    account: member.identity.name().to_owned(),
                    cause: quarantine.cause,
                    returns_in: quarantine.until.map(returns_in),
                })
                .collect();
            PoolStatus { quarantined, ..self.figures(state, now) }
        })
    }

    /// The status, with how many are in quarantine by why in the place of who they are: there may be a million.
    #[cfg(feature = "metrics")]
    pub(super) fn gauged(self: &Arc<Self>) -> (PoolStatus, Causes) {
        self.change(|state, now| (self.figures(state, now), state.tally.causes))
    }

    #[expect(clippy::cast_precision_loss, reason = "ratios of counts that large need no more digits")]
    fn figures(&self, state: &mut State, now: i64) -> PoolStatus {
        let (succeeded, failed) = self.answers.counts();
        let (succeeded, failed) = (succeeded as f64, failed as f64);
        let exchanges = succeeded + failed;
        let accounts = state.size();
        let active = accounts - state.tally.causes.total();
        let leases = state.tally.leases;
        PoolStatus {
            accounts,
            active,
            quarantined: Vec::new(),
            waiting: state.waiting(),
            leases,
            average_ttl: state.tally.average_ttl(now),
            refresh_success: (exchanges > 0.0).then(|| succeeded / exchanges),
            requests_per_token_per_minute: state.tally.per_minute(now) / (active.max(1) as f64),
            auth_overhead: exchanges / (leases.max(1) as f64),
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.bell.notify_one();
        let last_words = self.lock().last_words();
        flight::see_off(self, last_words);
    }
}
