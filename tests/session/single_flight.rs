use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jwt_refresh::{AccessToken, Authenticator, Error, ErrorKind, Policy, Session, TokenProvider, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, Times};
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinHandle;

use crate::World;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_tasks_that_find_the_token_expired_make_one_refresh_and_all_succeed() {
    const TASKS: usize = 10_000;
    let world = World::new();
    let session = world.logged_in().await;
    world.pass(Duration::from_secs(61));

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

/// So many tasks that each ask for a token.
fn ask_at_once(session: &Session, tasks: u32) -> Vec<JoinHandle<Result<AccessToken, Error>>> {
    let ask = |_| {
        let session = session.clone();
        tokio::spawn(async move { session.token().await })
    };
    (0..tasks).map(ask).collect()
}

#[tokio::test]
async fn many_tasks_at_a_session_that_never_logged_in_make_one_login() {
    let world = World::new();
    let session = world.builder().build();
    for task in ask_at_once(&session, 100) {
        task.await.unwrap().unwrap();
    }
    assert_eq!(world.server.stats().auth_requests, 1);
}

#[tokio::test]
async fn a_failure_is_shared_by_all_who_waited_and_by_all_who_ask_in_the_pause_after_it() {
    let world = World::new();
    world.server.inject(
        Endpoint::Login,
        Fault::TooManyRequests { retry_after: Duration::from_secs(20) },
        Times::Always,
    );
    let session = world.builder().build();
    for task in ask_at_once(&session, 100) {
        let error = task.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(Duration::from_secs(20))));
    }
    world.pass(Duration::from_secs(19));
    assert!(session.token().await.is_err());
    assert_eq!(world.server.stats().auth_requests, 1);

    world.server.clear_faults();
    world.pass(Duration::from_secs(1));
    session.token().await.unwrap();
}

#[tokio::test]
async fn while_a_live_token_is_renewed_callers_go_on_with_it() {
    let world = World::new();
    let session = world.logged_in().await;
    world.server.inject(Endpoint::Refresh, Fault::Hang(HOUR), Times::Once);
    world.pass(Duration::from_secs(56));
    for _ in 0..1000 {
        assert_eq!(session.token().await.unwrap().generation(), 1);
    }
    crate::until("the refresh has arrived", || world.server.stats().auth_requests == 2).await;
}

#[tokio::test]
async fn a_401_of_an_older_token_gets_the_newer_one_without_a_refresh() {
    let world = World::new();
    let session = world.logged_in().await;
    let old = session.token().await.unwrap();
    world.pass(Duration::from_secs(61));
    let new = session.token().await.unwrap();
    assert_eq!(session.rejected(&old).await.unwrap().generation(), new.generation());
    assert_eq!(world.server.stats().refreshes, 1);
    assert_eq!(session.rejected(&new).await.unwrap().generation(), new.generation() + 1);
    assert_eq!(world.server.stats().refreshes, 2);
}

#[tokio::test]
async fn tokens_rejected_for_ever_cost_a_bounded_number_of_refreshes_and_end_in_an_error_that_says_so() {
    let world = World::new();
    let session = world.logged_in().await;
    let mut last = Ok(session.token().await.unwrap());
    for _ in 0..1000 {
        last = match session.token().await {
            Ok(token) => session.rejected(&token).await,
            Err(error) => Err(error),
        };
    }
    assert_eq!(last.unwrap_err().kind(), ErrorKind::RejectedAsIssued);
    assert_eq!(world.server.stats().refreshes, 4);
    world.pass(Duration::from_secs(31));
    assert!(session.token().await.is_ok(), "the window has passed");
}

/// Logs in as often as it is asked, after it was let go on.
struct Gated {
    logins: AtomicU32,
    entered: Notify,
    go_on: Notify,
}

impl Authenticator for Gated {
    async fn login(&self) -> Result<Tokens, Error> {
        let count = self.logins.fetch_add(1, Ordering::SeqCst) + 1;
        self.entered.notify_one();
        self.go_on.notified().await;
        Ok(Tokens::new(format!("token-{count}"))?.expires_in(HOUR))
    }
}

fn gated() -> Arc<Gated> {
    Arc::new(Gated { logins: AtomicU32::new(0), entered: Notify::new(), go_on: Notify::new() })
}

#[tokio::test]
async fn a_logout_wins_over_the_renewal_under_way_and_a_login_ends_it() {
    let gate = gated();
    let session = Session::new(Arc::clone(&gate));
    let caller = tokio::spawn({
        let s = session.clone();
        async move { s.token().await }
    });
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
async fn whoever_waits_while_other_tokens_are_adopted_goes_by_those() {
    let gate = gated();
    let session = Session::new(Arc::clone(&gate));
    let caller = tokio::spawn({
        let s = session.clone();
        async move { s.token().await }
    });
    gate.entered.notified().await;
    session.adopt(Tokens::new("expired").unwrap().expires_in(Duration::ZERO)).await.unwrap();
    gate.go_on.notify_one();
    gate.entered.notified().await;
    gate.go_on.notify_one();
    assert_eq!(caller.await.unwrap().unwrap().expose(), "token-2");
}

#[tokio::test]
async fn an_exchange_without_an_answer_ends_at_its_time_out() {
    let policy = Policy::default().login_timeout(Duration::from_millis(20));
    let session = Session::builder(gated()).policy(policy).build();
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Unanswered);
}

struct Panics;

impl Authenticator for Panics {
    async fn login(&self) -> Result<Tokens, Error> {
        panic!("an authenticator with a bug");
    }
}

#[tokio::test]
async fn an_authenticator_that_panics_leaves_nobody_waiting() {
    let session = Session::new(Panics);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Aborted);
}

// With `blocking`, renewals run on a runtime of the library's own, which does not end and is always there.
#[cfg(not(feature = "blocking"))]
#[test]
fn a_runtime_that_ends_in_the_middle_of_a_renewal_leaves_nobody_waiting() {
    let gate = gated();
    let session = Session::new(Arc::clone(&gate));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    first.block_on(async {
        let asking = session.clone();
        tokio::spawn(async move { asking.token().await });
        gate.entered.notified().await;
    });
    drop(first);
    let error = runtime().block_on(session.token()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
}

#[cfg(not(feature = "blocking"))]
#[test]
fn a_runtime_without_timers_gives_an_error_that_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let error = runtime.block_on(Session::new(gated()).token()).unwrap_err();
    assert!(error.to_string().contains("enable its timers"), "{error}");
}

#[cfg(not(feature = "blocking"))]
#[test]
fn a_runtime_that_has_ended_before_a_renewal_gives_an_error_and_does_not_hang() {
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let _inside = handle.enter();
        let session = Session::new(gated());
        let error = futures_util::FutureExt::now_or_never(session.token()).unwrap().unwrap_err();
        ended.send(error.kind()).unwrap();
    });
    assert_eq!(end.recv_timeout(Duration::from_secs(30)), Ok(ErrorKind::Aborted));
}

/// Asks the session it logs in for a token, directly.
struct Reentrant(std::sync::OnceLock<Session>);

impl Authenticator for Reentrant {
    async fn login(&self) -> Result<Tokens, Error> {
        let session = self.0.get().expect("set before use");
        let token = session.token().await?;
        Tokens::new(token.expose())
    }
}

#[tokio::test]
async fn a_login_that_asks_its_own_session_for_a_token_gets_an_error_and_does_not_hang() {
    let authenticator = Arc::new(Reentrant(std::sync::OnceLock::new()));
    let session = Session::new(Arc::clone(&authenticator));
    authenticator.0.set(session.clone()).unwrap();
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Reentrant);
}

#[cfg(not(feature = "blocking"))]
#[test]
fn without_a_runtime_a_fresh_token_is_served_and_a_renewal_says_what_is_missing() {
    let session = Session::builder(gated()).tokens(Tokens::new("captured").unwrap()).build();
    assert_eq!(session.ready().unwrap().expose(), "captured");
    let empty = Session::new(gated());
    let error = futures_util::FutureExt::now_or_never(empty.token()).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}
