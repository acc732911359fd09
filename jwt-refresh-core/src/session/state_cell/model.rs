//! Tests the state cell with a model checker, which runs the threads in many different orders:
//! there is one renewal at a time. `scripts/test` runs it, with
//!
//! `RUSTFLAGS='--cfg shuttle' cargo test -p jwt-refresh-core --no-default-features --lib model`

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use shuttle::thread;

use super::*;
use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::renewal::RequestTimes;
use crate::session::pending::RenewalResult;
use crate::token::Tokens;

const ITERATIONS: usize = 20_000;

/// Runs the scenario in random orders, and in orders that are rare.
fn check(scenario: impl Fn() + Send + Sync + 'static + Clone) {
    shuttle::check_random(scenario.clone(), ITERATIONS);
    shuttle::check_pct(scenario, ITERATIONS, 3);
}

/// A state cell, and a server that counts the exchanges that it is in.
struct World {
    cell: StateCell,
    clock: ManualClock,
    active: AtomicU32,
    exchanges: AtomicU32,
}

impl World {
    fn new() -> Arc<Self> {
        let clock = ManualClock::new();
        let cell = StateCell::new(Policy::default(), Clock::from(&clock));
        Arc::new(Self { cell, clock, active: AtomicU32::new(0), exchanges: AtomicU32::new(0) })
    }

    fn logged_in() -> Arc<Self> {
        let world = Self::new();
        world.token().unwrap();
        world
    }

    /// Gets a token as a caller does. The renewal has its own thread, as it has its own task on a
    /// runtime.
    fn token(self: &Arc<Self>) -> Result<AccessToken, Error> {
        loop {
            let pending = match self.cell.acquire(|| Ok(()))? {
                Acquisition::Serve(token) | Acquisition::Launch(_, (), Some(token)) => return Ok(token),
                Acquisition::Wait(pending) => pending,
                Acquisition::Launch(permit, (), None) => {
                    let pending = permit.pending.clone();
                    let world = Arc::clone(self);
                    thread::spawn(move || world.exchange(permit));
                    pending
                }
            };
            if let Some(result) = wait(pending).token() {
                return result;
            }
        }
    }

    fn exchange(&self, permit: RenewalPermit) {
        assert_eq!(self.active.fetch_add(1, Ordering::SeqCst), 0, "two renewals at once");
        thread::yield_now();
        self.exchanges.fetch_add(1, Ordering::SeqCst);
        let now = self.cell.clock.moment();
        let tokens = Tokens::new("t").unwrap().expires_in(Duration::from_secs(100)).refresh_token("r");
        let sequence = permit.basis.sequence + 1;
        let times = RequestTimes { sent: now, answered: now };
        let issued = IssuedTokens::issued(&self.cell.policy, tokens, times, None, sequence).unwrap();
        self.active.fetch_sub(1, Ordering::SeqCst);
        let completed = self.cell.complete(permit.epoch, Outcome::Renewed(issued), drop);
        completed.unwrap().notification.send();
    }
}

fn wait(pending: PendingRenewal) -> RenewalResult {
    shuttle::future::block_on(pending.result())
}

fn all(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn in_every_order_callers_at_once_share_the_token_of_one_renewal() {
    check(|| {
        let world = World::new();
        let ask = |world: &Arc<World>| {
            let world = Arc::clone(world);
            thread::spawn(move || assert_eq!(world.token().unwrap().generation(), 1))
        };
        all((0..4).map(|_| ask(&world)).collect());
        assert_eq!(world.exchanges.load(Ordering::SeqCst), 1);
        assert!(world.cell.is_ready());
    });
}

#[test]
fn in_every_order_rejections_of_one_token_cost_one_renewal() {
    check(|| {
        let world = World::logged_in();
        let reject = |world: &Arc<World>| {
            let world = Arc::clone(world);
            thread::spawn(move || {
                world.cell.reject(1);
                assert_eq!(world.token().unwrap().generation(), 2);
            })
        };
        all((0..3).map(|_| reject(&world)).collect());
        assert_eq!(world.exchanges.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn in_every_order_there_is_no_token_after_a_logout() {
    check(|| {
        let world = World::new();
        let caller = {
            let world = Arc::clone(&world);
            thread::spawn(move || match world.token() {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::LoggedOut),
            })
        };
        let logout = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                world.cell.log_out(drop);
                assert!(!world.cell.is_ready(), "the fast path serves a session that is logged out");
            })
        };
        all(vec![caller, logout]);
        assert!(!world.cell.is_ready());
        assert!(world.cell.lock().token().is_none());
        assert!(world.cell.acquire(|| Ok(())).is_err());
    });
}

#[test]
fn in_every_order_the_fast_path_serves_no_token_that_was_rejected_before() {
    check(|| {
        let world = World::logged_in();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || drop(world.token()))
        };
        world.cell.reject(1);
        if world.cell.is_ready() {
            assert!(world.cell.generation() > 1);
        }
        world.clock.advance(Duration::from_secs(1));
        assert!(world.token().unwrap().generation() > 1);
        all(vec![other]);
    });
}

#[test]
fn in_every_order_a_login_that_joins_a_renewal_starts_no_second_one() {
    check(|| {
        let world = World::new();
        let login = {
            let world = Arc::clone(&world);
            thread::spawn(move || match world.cell.begin_now(Plan::LogIn).unwrap() {
                Ok(permit) => world.exchange(permit),
                Err(pending) => drop(wait(pending).success().unwrap()),
            })
        };
        let caller = {
            let world = Arc::clone(&world);
            thread::spawn(move || drop(world.token().unwrap()))
        };
        all(vec![login, caller]);
        assert!(world.cell.is_ready());
    });
}
