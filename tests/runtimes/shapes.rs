//! The runtimes of callers, in the shapes that programs have them.

use std::sync::mpsc;

use futures_util::future::BoxFuture;
use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::store::{FileStore, MemoryStore, TokenStore};
use jwt_refresh::{AccessToken, ErrorKind, Event, Session, Tokens, Updates};
use jwt_refresh_testkit::TestServer;

use crate::support::{HOUR, login, until_blocking};
use crate::{SECOND, World, block_on, current_thread, patient};

#[test]
fn a_runtime_that_is_parked_in_the_middle_of_a_renewal_holds_up_no_caller_elsewhere() {
    let world = World::with(TestServer::builder().latency(SECOND / 5).start());
    let session = world.builder().store(MemoryStore::new(), "ada").build();
    let parked = current_thread();
    parked.block_on(async {
        let ask = tokio::spawn({
            let session = session.clone();
            async move { session.token().await }
        });
        tokio::task::yield_now().await;
        drop(ask);
    });
    // `parked` drives nothing from here on.
    current_thread().block_on(session.token()).unwrap();
    assert_eq!(world.server.stats().logins, 1);
    drop(parked);
}

#[test]
fn a_runtime_that_ends_in_the_middle_of_a_renewal_fails_no_caller_elsewhere() {
    let world = World::with(TestServer::builder().latency(SECOND / 2).start());
    let session = world.builder().build();
    let (asked, has_asked) = mpsc::channel();
    let first = std::thread::spawn({
        let session = session.clone();
        move || {
            let runtime = current_thread();
            runtime.block_on(async {
                let ask = tokio::spawn(async move { session.token().await });
                tokio::task::yield_now().await;
                asked.send(()).unwrap();
                drop(ask);
            });
            // The runtime ends here, with a caller in it.
        }
    });
    has_asked.recv().unwrap();
    let token = current_thread().block_on(session.token());
    first.join().unwrap();
    token.unwrap();
    assert_eq!(world.server.stats().logins, 1);
}

#[tokio::test(start_paused = true)]
async fn the_paused_time_of_a_test_ends_no_token_and_no_time_out() {
    let server = TestServer::builder().latency(SECOND / 5).start();
    let session = Session::builder(login(&server).build().unwrap()).policy(patient()).build();
    session.token().await.unwrap();
    tokio::time::sleep(HOUR).await;
    session.token().await.unwrap();
    let stats = server.stats();
    assert_eq!((stats.logins, stats.refreshes), (1, 0));
}

#[test]
fn one_runtime_for_each_call_sends_no_refresh_token_twice_and_keeps_the_login() {
    let world = World::with(TestServer::builder().latency(SECOND / 20).start());
    let session = world.builder().build();
    for _ in 0..5 {
        current_thread().block_on(session.token()).unwrap();
        // Into the refresh-ahead window: the refresh goes on after the runtime has ended.
        world.pass(55 * SECOND);
        current_thread().block_on(session.token()).unwrap();
        world.pass(10 * SECOND);
    }
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.reuses), (1, 0));
}

#[test]
fn without_any_runtime_a_session_does_all_that_it_does_with_one() {
    let world = World::new();
    let store = MemoryStore::new();
    let session = world.builder().store(store.clone(), "ada").build();
    block_on(async {
        session.token().await.unwrap();
        session.login().await.unwrap();
        session.adopt(Tokens::new("captured").unwrap()).await.unwrap();
        assert_eq!(session.token().await.unwrap().expose(), "captured");
        session.flush().await;
        session.logout().await.unwrap();
        assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
        assert!(store.load("ada").await.unwrap().is_some());
    });
}

#[test]
fn without_any_runtime_connect_takes_a_token_from_a_folder_and_refreshes_it() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let start = || world.builder().store(FileStore::new(folder.path()), "ada").connect();
    let first = block_on(start()).unwrap();
    let second = block_on(start()).unwrap();
    assert_eq!(world.server.stats().auth_requests, 1);
    block_on(second.refresh_now()).unwrap();
    let token = block_on(second.token()).unwrap();
    until_blocking("the other session follows", || block_on(first.token()).unwrap().expose() == token.expose());
    assert_eq!((world.server.stats().logins, world.server.stats().refreshes), (1, 1));
}

#[test]
fn a_connect_that_the_caller_gives_up_loses_no_login() {
    let world = World::new();
    let store = MemoryStore::new();
    let mut given_up = Box::pin(world.builder().store(store.clone(), "ada").connect());
    assert!(futures_util::FutureExt::now_or_never(&mut given_up).is_none());
    drop(given_up);
    until_blocking("the login has been answered", || world.server.stats().logins == 1);
    until_blocking("its tokens are in the store", || block_on(store.load("ada")).unwrap().is_some());
    block_on(world.builder().store(store, "ada").connect()).unwrap();
    assert_eq!(world.server.stats().logins, 1);
}

#[test]
fn a_session_built_without_a_runtime_keeps_its_token_fresh() {
    let world = World::new();
    let session = world.builder().keep_fresh().build();
    block_on(session.token()).unwrap();
    for refreshes in 1..=3 {
        world.pass(57 * SECOND);
        until_blocking("the token is refreshed by itself", || world.server.stats().refreshes == refreshes);
        block_on(session.flush());
    }
}

#[test]
fn a_session_goes_on_following_its_store_when_the_runtime_it_was_built_on_has_ended() {
    let world = World::new();
    let store = MemoryStore::new();
    let built = |store: &MemoryStore| world.builder().store(store.clone(), "ada").build();
    let session: Session = current_thread().block_on(async { built(&store) });
    let mut events = session.events();
    let other = built(&store);
    block_on(other.login()).unwrap();
    assert!(matches!(block_on(events.next()), Some(Event::Adopted)));
    block_on(other.logout()).unwrap();
    assert!(matches!(block_on(events.next()), Some(Event::LoggedOut)));
}

/// Gets the next token twice on each runtime: the renewal between the two is begun by the timer.
fn assert_tokens_come(world: &World, updates: &mut Updates, run: impl Fn(BoxFuture<'_, Option<AccessToken>>)) {
    let first = world.server.stats().refreshes;
    for refreshes in first + 1..first + 3 {
        world.pass(57 * SECOND);
        until_blocking("the timer has had it refreshed", || world.server.stats().refreshes == refreshes);
        run(Box::pin(updates.next()));
    }
}

#[test]
fn new_tokens_come_on_any_runtime_and_on_none_though_the_one_that_asked_first_has_ended() {
    let world = World::new();
    let session = world.builder().build();
    let mut updates = current_thread().block_on(async { session.updates() });
    assert!(block_on(updates.next()).is_some());
    assert_tokens_come(&world, &mut updates, |next| assert!(block_on(next).is_some()));
    assert_tokens_come(&world, &mut updates, |next| assert!(current_thread().block_on(next).is_some()));
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    assert_tokens_come(&world, &mut updates, |next| assert!(many.block_on(next).is_some()));
    drop(session);
    assert!(block_on(updates.next()).is_none());
}

#[test]
fn a_caller_whose_runtime_has_no_timers_gets_its_token() {
    let world = World::with(TestServer::builder().latency(SECOND / 10).start());
    let session = world.builder().build();
    let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
    bare.block_on(session.token()).unwrap();
    // In the leeway a caller waits, but not for longer than the token lives.
    world.pass(SECOND * 59);
    bare.block_on(session.token()).unwrap();
}

#[test]
fn without_any_runtime_a_pool_gives_leases_and_waits_for_them() {
    let world = World::new();
    let account = Account::new("ada", world.authenticator()).concurrency(1);
    let pool = Pool::builder().account(account).build().unwrap();
    let lease = block_on(pool.lease().into_future()).unwrap();
    let error = block_on(pool.lease().within(SECOND / 20).into_future()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(lease);
    block_on(pool.lease().within(60 * SECOND).into_future()).unwrap();
}

#[cfg(feature = "blocking")]
#[test]
fn plain_methods_can_flush_adopt_and_log_out() {
    let world = World::new();
    let session = world.builder().build();
    session.blocking_token().unwrap();
    session.blocking_flush();
    session.blocking_adopt(Tokens::new("captured").unwrap()).unwrap();
    assert_eq!(session.blocking_token().unwrap().expose(), "captured");
    session.blocking_logout().unwrap();
    assert_eq!(session.blocking_token().unwrap_err().kind(), ErrorKind::LoggedOut);
}
