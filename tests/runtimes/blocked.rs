//! Authenticators that block their thread: they stop no other session, and are given up.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use jwt_refresh::store::MemoryStore;
use jwt_refresh::{Authenticator, Error, ErrorKind, RefreshToken, Session, Tokens};

use crate::support::until_blocking;
use crate::{SECOND, World, all_within, block_on};

/// Closed at first. Threads wait until it is opened.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

/// Blocks its thread in the first refresh, and notes what it was asked.
#[derive(Clone, Default)]
struct Blocks {
    door: Door,
    said: Arc<Mutex<Vec<String>>>,
}

impl Blocks {
    fn say(&self, what: impl Into<String>) -> usize {
        let mut said = self.said.lock().unwrap();
        said.push(what.into());
        said.len()
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }
}

impl Authenticator for Blocks {
    async fn login(&self) -> Result<Tokens, Error> {
        let number = self.say("login");
        Ok(Tokens::new(format!("access{number}"))?.refresh_token(format!("login{number}")).expires_in(60 * SECOND))
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        self.say(format!("refresh {}", token.expose()));
        self.door.pass();
        Ok(Tokens::new("late")?.refresh_token("late").expires_in(60 * SECOND))
    }

    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        self.say(format!("revoke {}", token.expose()));
        Ok(())
    }
}

#[test]
fn authenticators_that_block_their_threads_stop_no_other_session() {
    struct Never(Door);
    impl Authenticator for Never {
        async fn login(&self) -> Result<Tokens, Error> {
            self.0.pass();
            Err(Error::denied("no"))
        }
    }
    let door = Door::default();
    let blocked: Vec<_> = (0..20).map(|_| Session::new(Never(door.clone()))).collect();
    let callers: Vec<_> = blocked
        .iter()
        .map(|session| {
            let session = session.clone();
            std::thread::spawn(move || block_on(session.token()))
        })
        .collect();
    let world = World::new();
    block_on(world.builder().build().token()).unwrap();
    door.open();
    for caller in callers {
        assert!(caller.join().unwrap().is_err());
    }
}

#[test]
fn a_refresh_that_blocks_is_given_up_and_what_it_brings_late_is_revoked_and_not_served() {
    let authenticator = Blocks::default();
    let clock = jwt_refresh::ManualClock::new();
    let policy = all_within(SECOND).backoff(SECOND / 100, SECOND / 100);
    // The store's lease is the session's, so the hanging renewal does not keep it from the next
    // one.
    let session = Session::builder(authenticator.clone()).clock(&clock).policy(policy);
    let session = session.store(MemoryStore::new(), "ada").build();
    block_on(session.token()).unwrap();
    clock.advance(61 * SECOND);

    let begun = Instant::now();
    let error = block_on(session.token()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unanswered, "{error}");
    assert!(begun.elapsed() < 30 * SECOND, "waited for {:?}", begun.elapsed());

    // The refresh token is in doubt, so the next renewal logs in.
    clock.advance(SECOND);
    until_blocking("the next renewal logs in", || block_on(session.token()).is_ok());
    let token = block_on(session.token()).unwrap();
    assert_eq!(authenticator.said(), ["login", "refresh login1", "login"]);

    authenticator.door.open();
    until_blocking("what came late is revoked", || authenticator.said().contains(&"revoke late".to_owned()));
    assert_eq!(block_on(session.token()).unwrap().expose(), token.expose());
}

#[test]
fn a_login_after_a_logout_waits_until_the_renewal_before_has_ended() {
    let authenticator = Blocks::default();
    let clock = jwt_refresh::ManualClock::new();
    let session = Session::builder(authenticator.clone()).clock(&clock).build();
    block_on(session.token()).unwrap();
    clock.advance(61 * SECOND);
    let caller = std::thread::spawn({
        let session = session.clone();
        move || block_on(session.token())
    });
    until_blocking("the refresh is under way", || authenticator.said().len() == 2);
    block_on(session.logout()).unwrap();
    let login = std::thread::spawn({
        let session = session.clone();
        move || block_on(session.login())
    });
    until_blocking("the login is asked for", || !block_on(async { session.stats().waits == 0 }));
    assert_eq!(authenticator.said().iter().filter(|said| *said == "login").count(), 1, "two exchanges at once");
    authenticator.door.open();
    login.join().unwrap().unwrap();
    assert_eq!(authenticator.said().iter().filter(|said| *said == "login").count(), 2);
    // The caller looks again, and finds the tokens of the login, or the logout.
    let _ = caller.join().unwrap();
    until_blocking("what came late is revoked", || authenticator.said().contains(&"revoke late".to_owned()));
    assert_ne!(block_on(session.token()).unwrap().expose(), "late");
}
