//! Sessions end when they are dropped, whatever goes on in the background.

use std::sync::{Arc, Weak};

use jwt_refresh::store::{FileStore, MemoryStore};
use jwt_refresh::{Authenticator, Clock, Error, ManualClock, Session, SessionBuilder, Tokens};

use crate::support::{HOUR, until};

/// Logs in at once. It is dropped with the last session that uses it.
struct Always;

impl Authenticator for Always {
    async fn login(&self) -> Result<Tokens, Error> {
        Ok(Tokens::new("token")?.expires_in(HOUR))
    }
}

async fn is_freed(what: &str, build: impl Fn(Arc<Always>) -> SessionBuilder) {
    let authenticator = Arc::new(Always);
    let session: Weak<Always> = Arc::downgrade(&authenticator);
    let sessions: Vec<Session> = (0..10).map(|_| build(Arc::clone(&authenticator)).build()).collect();
    drop(authenticator);
    for session in &sessions {
        session.token().await.unwrap();
    }
    drop(sessions);
    until(&format!("a session {what} is freed"), async || session.strong_count() == 0).await;
}

#[tokio::test]
async fn sessions_that_are_dropped_are_freed_with_all_that_goes_on_in_the_background() {
    let manual = ManualClock::new();
    let folder = tempfile::tempdir().unwrap();
    is_freed("on the system's clock", Session::builder).await;
    is_freed("on a manual clock", |api| Session::builder(api).clock(&manual)).await;
    is_freed("that is kept fresh", |api| Session::builder(api).keep_fresh()).await;
    is_freed("in memory", |api| Session::builder(api).store(MemoryStore::new(), "account")).await;
    is_freed("in a folder", |api| Session::builder(api).store(FileStore::new(folder.path()), "account")).await;
    manual.advance(HOUR);
    assert!(Clock::from(&manual).now() > std::time::SystemTime::now());
}

#[tokio::test]
async fn the_events_of_a_session_that_is_dropped_end() {
    let session = Session::builder(Always).keep_fresh().build();
    let mut events = session.events();
    session.token().await.unwrap();
    drop(session);
    let end = async { while events.next().await.is_some() {} };
    tokio::time::timeout(crate::support::MINUTE, end).await.expect("the events end with the session");
}

#[tokio::test]
async fn one_clock_moves_all_the_sessions_that_read_it() {
    let (one, other) = (ManualClock::new(), ManualClock::new());
    let build = |clock: &ManualClock| Session::builder(Always).clock(clock).keep_fresh().build();
    let sessions: Vec<_> = (0..100).map(|_| build(&one)).collect();
    let apart = build(&other);
    for session in sessions.iter().chain([&apart]) {
        session.token().await.unwrap();
    }
    for renewals in 2..=4 {
        one.advance(HOUR);
        until("all are renewed", async || sessions.iter().all(|session| session.stats().logins >= renewals)).await;
    }
    assert_eq!(apart.stats().logins, 1);
}
