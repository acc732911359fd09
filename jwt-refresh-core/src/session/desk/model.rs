//! The single flight under a model checker, which runs threads in every order that it can think of. Run by `scripts/test`:
//! `RUSTFLAGS='--cfg shuttle' cargo test -p jwt-refresh-core --no-default-features --lib model`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use shuttle::thread;

use super::*;
use crate::session::lifetime::Exchange;
use crate::session::state::Verdict;
use crate::{ErrorKind, ManualClock, Tokens};

const ITERATIONS: usize = 20_000;

/// Tries random orders, and orders that are rare.
fn check(scenario: impl Fn() + Send + Sync + 'static + Clone) {
    shuttle::check_random(scenario.clone(), ITERATIONS);
    shuttle::check_pct(scenario, ITERATIONS, 3);
}

/// A desk, and a server that counts how many talk to it.
struct World {
    desk: Desk,
    clock: ManualClock,
    talking: AtomicU32,
    exchanges: AtomicU32,
}

impl World {
    fn new() -> Arc<Self> {
        let clock = ManualClock::new();
        let desk = Desk::new(Policy::default(), Clock::from(&clock));
        Arc::new(Self { desk, clock, talking: AtomicU32::new(0), exchanges: AtomicU32::new(0) })
    }

    fn logged_in() -> Arc<Self> {
        let world = Self::new();
        world.token().unwrap();
        world
    }

    /// What a caller does, with the renewal in its own thread as a runtime would have it in a task.
    fn token(self: &Arc<Self>) -> Result<AccessToken, Error> {
        loop {
            let outcome = match self.desk.turn(|| Ok(()))? {
                Turn::Serve(token) | Turn::Launch(_, (), Some(token)) => return Ok(token),
                Turn::Wait(outcome) => outcome,
                Turn::Launch(ticket, (), None) => {
                    let outcome = ticket.subscribe();
                    let world = Arc::clone(self);
                    thread::spawn(move || world.exchange(ticket));
                    outcome
                }
            };
            if let Some(result) = wait(outcome).token() {
                return result;
            }
        }
    }

    fn exchange(&self, ticket: Ticket) {
        assert_eq!(self.talking.fetch_add(1, Ordering::SeqCst), 0, "two renewals at once");
        thread::yield_now();
        self.exchanges.fetch_add(1, Ordering::SeqCst);
        let now = self.desk.clock.moment();
        let tokens = Tokens::new("t").unwrap().expires_in(Duration::from_secs(100)).refresh_token("r");
        let issue = ticket.basis.issue + 1;
        let exchange = Exchange { asked: now, answered: now };
        let holding = Holding::issued(&self.desk.policy, tokens, exchange, None, issue).unwrap();
        self.talking.fetch_sub(1, Ordering::SeqCst);
        self.desk.land(ticket, Landing::Renewed(holding)).make();
    }
}

fn wait(mut outcome: Outcome) -> Verdict {
    shuttle::future::block_on(async move { outcome.wait_for(Option::is_some).await.unwrap().clone().unwrap() })
}

fn all(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn however_they_interleave_all_who_ask_at_once_get_the_token_of_one_renewal() {
    check(|| {
        let world = World::new();
        let ask = |world: &Arc<World>| {
            let world = Arc::clone(world);
            thread::spawn(move || assert_eq!(world.token().unwrap().generation(), 1))
        };
        all((0..4).map(|_| ask(&world)).collect());
        assert_eq!(world.exchanges.load(Ordering::SeqCst), 1);
        assert!(world.desk.is_ready());
    });
}

#[test]
fn however_they_interleave_rejections_of_one_token_cost_one_renewal() {
    check(|| {
        let world = World::logged_in();
        let reject = |world: &Arc<World>| {
            let world = Arc::clone(world);
            thread::spawn(move || {
                world.desk.reject(1);
                assert_eq!(world.token().unwrap().generation(), 2);
            })
        };
        all((0..3).map(|_| reject(&world)).collect());
        assert_eq!(world.exchanges.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn however_they_interleave_nobody_has_a_token_after_a_logout() {
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
                world.desk.log_out();
                assert!(!world.desk.is_ready(), "the check serves a session that is logged out");
            })
        };
        all(vec![caller, logout]);
        assert!(!world.desk.is_ready());
        assert!(world.desk.lock().token().is_none());
        assert!(world.desk.turn(|| Ok(())).is_err());
    });
}

#[test]
fn however_they_interleave_the_check_serves_no_token_that_was_rejected_before() {
    check(|| {
        let world = World::logged_in();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || drop(world.token()))
        };
        world.desk.reject(1);
        if world.desk.is_ready() {
            assert!(world.desk.generation() > 1);
        }
        world.clock.advance(Duration::from_secs(1));
        assert!(world.token().unwrap().generation() > 1);
        all(vec![other]);
    });
}

#[test]
fn however_they_interleave_a_login_that_joins_a_renewal_leaves_one_in_the_air() {
    check(|| {
        let world = World::new();
        let login = {
            let world = Arc::clone(&world);
            thread::spawn(move || match world.desk.begin_login() {
                Ok(ticket) => world.exchange(ticket),
                Err(outcome) => drop(wait(outcome).success().unwrap()),
            })
        };
        let caller = {
            let world = Arc::clone(&world);
            thread::spawn(move || drop(world.token().unwrap()))
        };
        all(vec![login, caller]);
        assert!(world.desk.is_ready());
    });
}
