//! A session in a program of threads: no runtime to begin with, or one whose threads are made to wait.
#![cfg(feature = "blocking")]

use std::sync::{Arc, Barrier, OnceLock};
use std::time::Duration;

use jwt_refresh::prelude::*;
use jwt_refresh::{Error, ErrorKind, ManualClock};
use jwt_refresh_testkit::TestServer;

fn session(server: &TestServer, clock: &ManualClock) -> Session {
    let authenticator = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .refresh_url(server.url("/api/auth/refresh"))
        .field("email", server.email())
        .secret_field("password", server.password());
    Session::builder(authenticator.build().unwrap()).clock(clock).build()
}

#[test]
fn many_threads_without_a_runtime_make_one_login_and_one_refresh() {
    const THREADS: usize = 32;
    let server = TestServer::start();
    let clock = ManualClock::new();
    let session = session(&server, &clock);
    let start = Barrier::new(THREADS);
    for _ in 0..2 {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    session.blocking_token().unwrap();
                });
            }
        });
        clock.advance(Duration::from_secs(61));
        server.advance(Duration::from_secs(61));
    }
    let stats = server.stats();
    assert_eq!((stats.logins, stats.refreshes), (1, 1));
}

#[tokio::test(flavor = "current_thread")]
async fn the_only_thread_of_a_runtime_may_wait_for_a_renewal_that_a_task_of_it_began() {
    let server = TestServer::builder().latency(Duration::from_millis(50)).start();
    let session = session(&server, &ManualClock::new());
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    tokio::task::yield_now().await;
    let token = session.blocking_token().unwrap();
    assert_eq!(token.generation(), waiting.await.unwrap().unwrap().generation());
    assert_eq!(server.stats().logins, 1);
}

/// Asks, without async, the session that it logs in for a token.
struct Reentrant(OnceLock<Session>);

impl Authenticator for Reentrant {
    async fn login(&self) -> Result<Tokens, Error> {
        let token = self.0.get().expect("set before use").blocking_token()?;
        Tokens::new(token.expose())
    }
}

#[test]
fn a_login_that_asks_its_own_session_for_a_token_gets_an_error_and_does_not_hang() {
    let authenticator = Arc::new(Reentrant(OnceLock::new()));
    let session = Session::new(Arc::clone(&authenticator));
    authenticator.0.set(session.clone()).unwrap();
    assert_eq!(session.blocking_token().unwrap_err().kind(), ErrorKind::Reentrant);
}

/// Logs in with the token of another session, without async.
struct Chained(Option<Session>);

impl Authenticator for Chained {
    async fn login(&self) -> Result<Tokens, Error> {
        match &self.0 {
            Some(inner) => Tokens::new(inner.blocking_token()?.expose()),
            None => Tokens::new("the-innermost"),
        }
    }
}

#[test]
fn logins_that_wait_for_one_another_without_async_do_not_run_out_of_threads() {
    let chain = (0..10).fold(None, |inner, _| Some(Session::new(Chained(inner)))).unwrap();
    assert_eq!(chain.blocking_token().unwrap().expose(), "the-innermost");
}

#[test]
fn a_session_can_be_built_and_logged_in_without_async() {
    let server = TestServer::start();
    let wrong = HttpAuthenticator::builder(server.url("/api/auth/login")).field("email", "nobody").build().unwrap();
    assert_eq!(Session::builder(wrong).blocking_login().unwrap_err().kind(), ErrorKind::ReauthenticationRequired);
    let session = session(&server, &ManualClock::new());
    assert_eq!(session.blocking_login().unwrap().generation(), 1);
}
