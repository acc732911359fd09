//! Many callers at once: they share one renewal, and what comes of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jwt_refresh::{AccessToken, Authenticator, Error, ErrorKind, Event, Policy, Session, TokenProvider, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, Times};
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinHandle;

use crate::slow_store::SlowStore;
use crate::support::{HOUR, MINUTE, PAST_EXPIRY, SECOND, World, spawn_caller, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_tasks_that_find_the_token_expired_share_one_refresh() {
    const TASKS: usize = 10_000;
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.pass(PAST_EXPIRY);

    let start = Arc::new(Barrier::new(TASKS));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (session, start) = (session.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                session.token().await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().generation(), 2);
    }
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.auth_requests), (1, 1, 2));
}

/// Spawns a hundred tasks that each ask for a token.
fn spawn_callers(session: &Session) -> Vec<JoinHandle<Result<AccessToken, Error>>> {
    (0..100).map(|_| spawn_caller(session)).collect()
}

#[tokio::test]
async fn the_first_callers_of_a_session_share_one_login() {
    let world = World::new();
    let session = world.session().build();
    for task in spawn_callers(&session) {
        task.await.unwrap().unwrap();
    }
    assert_eq!(world.server.stats().auth_requests, 1);
}

#[tokio::test]
async fn a_failure_is_shared_by_all_who_wait_and_by_all_who_ask_in_the_pause_after_it() {
    let world = World::new();
    world.server.inject(Endpoint::Login, Fault::TooManyRequests { retry_after: 20 * SECOND }, Times::Always);
    let session = world.session().build();
    for task in spawn_callers(&session) {
        let error = task.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(20 * SECOND)));
    }
    world.clock.advance(19 * SECOND);
    assert!(session.token().await.is_err());
    assert_eq!(world.server.stats().auth_requests, 1);

    world.server.clear_faults();
    world.clock.advance(SECOND);
    session.token().await.unwrap();
}

#[tokio::test]
async fn a_live_token_is_served_while_it_is_renewed() {
    let world = World::with_long_tokens();
    let session = world.session().connect().await.unwrap();
    world.server.inject(Endpoint::Refresh, Fault::Hang(HOUR), Times::Once);
    world.pass(56 * MINUTE);
    for _ in 0..1000 {
        assert_eq!(session.token().await.unwrap().generation(), 1);
    }
    until("the refresh has arrived", async || world.server.stats().auth_requests == 2).await;
}

#[tokio::test]
async fn a_rejected_token_that_was_replaced_meanwhile_costs_no_refresh() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let old = session.token().await.unwrap();
    world.pass(PAST_EXPIRY);
    let new = session.token().await.unwrap();
    assert_eq!(session.rejected(&old).await.unwrap().generation(), new.generation());
    assert_eq!(world.server.stats().refreshes, 1);
    assert_eq!(session.rejected(&new).await.unwrap().generation(), new.generation() + 1);
    assert_eq!(world.server.stats().refreshes, 2);
}

#[tokio::test]
async fn endless_rejections_cost_few_refreshes_and_end_in_an_error_that_says_so() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let mut last = Ok(session.token().await.unwrap());
    for _ in 0..1000 {
        last = match session.token().await {
            Ok(token) => session.rejected(&token).await,
            Err(error) => Err(error),
        };
    }
    assert_eq!(last.unwrap_err().kind(), ErrorKind::RejectedAsIssued);
    assert_eq!(world.server.stats().refreshes, 4);
    world.pass(31 * SECOND);
    assert!(session.token().await.is_ok(), "the window has passed");
}

/// Each login waits until the test lets it go on. The `n`th brings `token-n`.
#[derive(Default)]
struct Gated {
    logins: AtomicU32,
    entered: Notify,
    go_on: Notify,
}

impl Gated {
    fn new() -> Arc<Self> {
        Arc::default()
    }
}

impl Authenticator for Gated {
    async fn login(&self) -> Result<Tokens, Error> {
        let count = self.logins.fetch_add(1, Ordering::SeqCst) + 1;
        self.entered.notify_one();
        self.go_on.notified().await;
        Ok(Tokens::new(format!("token-{count}"))?.expires_in(HOUR))
    }
}

#[tokio::test]
async fn a_logout_overrides_the_renewal_under_way_and_a_login_ends_it() {
    let gate = Gated::new();
    let session = Session::new(Arc::clone(&gate));
    let caller = spawn_caller(&session);
    gate.entered.notified().await;
    session.logout().await.unwrap();
    gate.go_on.notify_one();
    assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::LoggedOut);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);

    gate.go_on.notify_one();
    assert_eq!(session.login().await.unwrap().expose(), "token-2");
    assert_eq!(session.token().await.unwrap().expose(), "token-2");
}

#[tokio::test]
async fn a_caller_that_waits_while_tokens_are_adopted_goes_on_with_those() {
    let gate = Gated::new();
    let session = Session::new(Arc::clone(&gate));
    let caller = spawn_caller(&session);
    gate.entered.notified().await;
    session.adopt(Tokens::new("expired").unwrap().expires_in(Duration::ZERO)).await.unwrap();
    gate.go_on.notify_one();
    gate.entered.notified().await;
    gate.go_on.notify_one();
    assert_eq!(caller.await.unwrap().unwrap().expose(), "token-2");
}

#[tokio::test]
async fn an_exchange_without_an_answer_ends_at_its_timeout() {
    let policy = Policy::default().login_timeout(Duration::from_millis(20));
    let session = Session::builder(Gated::new()).policy(policy).build();
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Unanswered);
}

struct Panics;

impl Authenticator for Panics {
    async fn login(&self) -> Result<Tokens, Error> {
        panic!("an authenticator with a bug");
    }
}

#[tokio::test]
async fn an_authenticator_that_panics_leaves_no_caller_waiting() {
    let session = Session::new(Panics);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Aborted);
}

/// Asks the session that it logs in for a token.
struct Reentrant(OnceLock<Session>);

impl Authenticator for Reentrant {
    async fn login(&self) -> Result<Tokens, Error> {
        let session = self.0.get().expect("set before use");
        let token = session.token().await?;
        Tokens::new(token.expose())
    }
}

#[tokio::test]
async fn a_login_that_asks_its_own_session_for_a_token_gets_an_error_and_does_not_hang() {
    let authenticator = Arc::new(Reentrant(OnceLock::new()));
    let session = Session::new(Arc::clone(&authenticator));
    authenticator.0.set(session.clone()).unwrap();
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Reentrant);
}

#[tokio::test]
async fn tokens_that_a_session_reads_while_it_saves_them_are_not_told_as_anothers() {
    let world = World::new();
    let store = SlowStore::default();
    let policy = Policy::default().store_timeout(HOUR);
    let session = world.session().policy(policy).store(store.clone(), "ada").build();
    let mut events = session.events();
    let controls = &store.controls;
    controls.notifies_of_changes.send_replace(true);
    controls.save_to_hold.store(1, Ordering::SeqCst);
    let caller = spawn_caller(&session);
    let loads = controls.loads.load(Ordering::SeqCst);
    controls.held.notified().await;
    until("the new entry is loaded", async || controls.loads.load(Ordering::SeqCst) > loads + 2).await;
    controls.go_on.notify_one();
    caller.await.unwrap().unwrap();
    let event = events.next().await;
    assert!(matches!(event, Some(Event::Renewed)), "{event:?}");
}
