//! Sessions without async: in threads without a runtime, and in runtimes whose threads are blocked.

#![cfg(feature = "blocking")]

mod support;

use std::sync::{Arc, Barrier, OnceLock};
use std::time::Duration;

use jwt_refresh::prelude::*;
use jwt_refresh::store::FileStore;
use jwt_refresh::{Error, ErrorKind, Policy};
use jwt_refresh_testkit::TestServer;

use support::{BoxError, PAST_EXPIRY, World, spawn_caller};

#[test]
fn many_threads_without_a_runtime_make_one_login_and_one_refresh() {
    const THREADS: usize = 32;
    let world = World::new();
    let session = world.session().build();
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
        world.pass(PAST_EXPIRY);
    }
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes), (1, 1));
}

/// Lets a task of the present runtime begin a login, for which `wait` then blocks the thread.
async fn block_for_login_of_task(wait: impl FnOnce(&Api<ureq::Agent>)) {
    let world = World::with(TestServer::builder().latency(Duration::from_millis(50)).start());
    let api = Api::new(ureq::agent(), &world);
    let task = spawn_caller(&api.session);
    tokio::task::yield_now().await;
    wait(&api);
    task.await.unwrap().unwrap();
    assert_eq!(world.server.stats().logins, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn the_only_thread_of_a_runtime_can_block_for_a_renewal_that_one_of_its_tasks_began() {
    block_for_login_of_task(|api| assert_eq!(api.session.blocking_token().unwrap().generation(), 1)).await;
    block_for_login_of_task(|api| assert!(api.product(1).unwrap().contains("price_cents"))).await;
}

/// Asks the session that it logs in for a token, without async.
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
fn logins_that_block_for_one_another_do_not_run_out_of_threads() {
    let chain = (0..10).fold(None, |inner, _| Some(Session::new(Chained(inner)))).unwrap();
    assert_eq!(chain.blocking_token().unwrap().expose(), "the-innermost");
}

#[test]
fn a_session_can_be_built_and_logged_in_without_async() {
    let world = World::new();
    let wrong =
        HttpAuthenticator::builder(world.server.url("/api/auth/login")).field("email", "nobody").build().unwrap();
    assert_eq!(Session::builder(wrong).blocking_connect().unwrap_err().kind(), ErrorKind::ReauthenticationRequired);
    let session = world.session().build();
    assert_eq!(session.blocking_login().unwrap().generation(), 1);
    assert_eq!(session.blocking_refresh_now().unwrap().generation(), 2);
}

#[test]
fn connect_in_a_plain_program_takes_the_live_token_of_a_store_in_a_folder() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    // A slow disk may take longer than the default.
    let policy = || Policy::default().store_timeout(Duration::from_secs(60));
    let folder = || FileStore::new(folder.path());
    let start = || world.session().policy(policy()).store(folder(), "ada").blocking_connect().unwrap();
    let first = start().blocking_token().unwrap();
    assert_eq!(start().blocking_token().unwrap().expose(), first.expose());
    assert_eq!(world.server.stats().auth_requests, 1);
}

/// An API with blocking methods.
struct Api<C> {
    client: C,
    base: String,
    session: Session,
}

impl<C> Api<C> {
    fn new(client: C, world: &World) -> Self {
        Self { client, base: world.server.base_url().to_owned(), session: world.session().build() }
    }
}

impl Api<reqwest::blocking::Client> {
    #[refresh_token(token, retry)]
    fn product(&self, id: u64) -> Result<reqwest::blocking::Response, BoxError> {
        let request = self.client.get(format!("{}/api/v1/products/{id}", self.base));
        Ok(request.bearer(&token).send()?)
    }
}

impl Api<ureq::Agent> {
    #[refresh_token(token, retry_if = is_401)]
    fn product(&self, id: u64) -> Result<String, BoxError> {
        let request = self.client.get(format!("{}/api/v1/products/{id}", self.base));
        Ok(request.header("Authorization", token.header()).call()?.body_mut().read_to_string()?)
    }
}

fn is_401(error: &BoxError) -> bool {
    matches!(error.downcast_ref(), Some(ureq::Error::StatusCode(401)))
}

/// Calls from many threads at once: with no token, with an expired one, and with a rejected one.
fn assert_renewals_are_shared<C: Sync>(client: C, call: impl Fn(&Api<C>, u64) + Sync) {
    const THREADS: usize = 16;
    let world = World::new();
    let api = Api::new(client, &world);
    let start = Barrier::new(THREADS);
    let all_call = || {
        std::thread::scope(|scope| {
            for id in 0..THREADS as u64 {
                let (api, start, call) = (&api, &start, &call);
                scope.spawn(move || {
                    start.wait();
                    call(api, id);
                });
            }
        });
    };
    all_call();
    world.pass(PAST_EXPIRY);
    all_call();
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.rejected), (1, 1, 0));
    world.server.rotate_signing_key();
    all_call();
    assert_eq!(world.server.stats().since(&stats).refreshes, 1);
}

#[test]
fn blocking_methods_over_reqwest_share_one_login_one_refresh_and_one_renewal_after_a_401() {
    assert_renewals_are_shared(reqwest::blocking::Client::new(), |api, id| {
        assert_eq!(api.product(id).unwrap().status(), 200);
    });
}

#[test]
fn blocking_methods_over_ureq_share_one_login_one_refresh_and_one_renewal_after_a_401() {
    assert_renewals_are_shared(ureq::agent(), |api, id| {
        assert!(api.product(id).unwrap().contains("price_cents"));
    });
}

/// Logs in with an annotated method of the session that is logging in.
struct Circular(OnceLock<Session>);

impl Circular {
    #[refresh_token(from = self.0.get().expect("set before use"), token)]
    fn whoami(&self) -> Result<String, Error> {
        Ok(token.expose().to_owned())
    }
}

impl Authenticator for Circular {
    async fn login(&self) -> Result<Tokens, Error> {
        Tokens::new(self.whoami()?)
    }
}

#[test]
fn a_login_that_calls_an_annotated_blocking_method_gets_an_error_at_once() {
    let circular = Arc::new(Circular(OnceLock::new()));
    circular.0.set(Session::new(Arc::clone(&circular))).unwrap();
    let (done, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(circular.whoami().unwrap_err().kind()));
    assert_eq!(end.recv_timeout(Duration::from_secs(20)), Ok(ErrorKind::Reentrant));
}
