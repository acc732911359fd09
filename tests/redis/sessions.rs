//! Sessions that share a Redis: one login and one refresh for all, and live tokens during outages.

use std::time::Duration;

use futures_util::future::join_all;
use jwt_refresh::store::StoreFailure;
use jwt_refresh::{ErrorKind, Policy, Session, SessionBuilder};
use jwt_refresh_testkit::TestServer;

use crate::support::{MINUTE, Machine, RedisProxy, RedisServer, World, spawn_caller, until};
use crate::with_short_timeouts;

/// A session that keeps its tokens in the Redis at `url`.
fn session(world: &World, url: &str) -> SessionBuilder {
    world.session().store(with_short_timeouts(url).build().unwrap(), "alice")
}

#[tokio::test]
async fn eight_sessions_share_each_login_and_refresh_and_serve_live_tokens_without_redis() {
    let mut redis = RedisServer::start().await;
    let world = World::new();
    // Each session has connections of its own, as in a process of its own.
    let sessions: Vec<_> = (0..8).map(|_| session(&world, &redis.url()).build()).collect();
    let all_have_a_token = async || {
        for token in join_all(sessions.iter().map(Session::token)).await {
            token.unwrap();
        }
    };
    for refreshes in 0..5 {
        all_have_a_token().await;
        let stats = world.server.stats();
        assert_eq!((stats.logins, stats.refreshes, stats.failed_refreshes), (1, refreshes, 0));
        world.pass(MINUTE);
    }
    all_have_a_token().await;
    redis.stop();
    all_have_a_token().await;
    assert_eq!(world.server.stats().logins, 1);
}

const ANSWERS: [StoreFailure; 3] = [StoreFailure::Fail, StoreFailure::ServeWhatLives, StoreFailure::RefreshUnguarded];

/// A session whose Redis is behind a proxy, and whose policy says what to do if the store fails.
struct SessionBehindProxy {
    world: World,
    proxy: RedisProxy,
    session: Session,
    _redis: RedisServer,
}

impl SessionBehindProxy {
    async fn with_policy(answer: StoreFailure) -> Self {
        let redis = RedisServer::start().await;
        let proxy = RedisProxy::before(&redis).await;
        let world = World::with(TestServer::builder().latency(Duration::from_millis(100)).start());
        let policy = Policy::default().store_failure(answer);
        let session = session(&world, &proxy.url()).policy(policy).connect().await.unwrap();
        Self { world, proxy, session, _redis: redis }
    }

    /// Lets time pass, without the real time that [`World::pass`] adds to the session's clock.
    fn pass(&self, time: Duration) {
        self.world.server.advance(time);
        self.world.clock.advance(time);
    }

    fn refreshes(&self) -> u64 {
        self.world.server.stats().refreshes
    }

    /// Asserts that the session can renew again, and that the failure cost no login and no reuse.
    async fn assert_recovers(&self) {
        self.proxy.pass_answers();
        self.pass(MINUTE * 2);
        until("the session renews again", async || {
            let machine = Machine::watch();
            let Err(error) = self.session.token().await else { return true };
            // Redis may still not answer in time, and then there is a pause.
            assert!(!machine.was_free(), "{error}");
            self.pass(MINUTE);
            false
        })
        .await;
        self.session.flush().await;
        let stats = self.world.server.stats();
        assert_eq!((stats.logins, stats.reuses, stats.failed_refreshes), (1, 0, 0));
    }
}

#[tokio::test]
async fn a_connection_cut_before_or_after_a_refresh_costs_nothing_under_any_policy() {
    for answer in ANSWERS {
        let cut = SessionBehindProxy::with_policy(answer).await;
        cut.proxy.cut_next_answer();
        cut.pass(MINUTE);
        cut.session.token().await.unwrap();
        assert!(cut.proxy.has_cut_answer(), "{answer:?}");

        cut.pass(MINUTE);
        let renewing = spawn_caller(&cut.session);
        until("the refresh token is spent, and its successor not yet saved", async || cut.refreshes() == 2).await;
        cut.proxy.cut_next_answer();
        renewing.await.unwrap().unwrap();
        assert!(cut.proxy.has_cut_answer(), "{answer:?}");
        cut.assert_recovers().await;
        assert_eq!(cut.refreshes(), 3, "{answer:?}");
    }
}

#[tokio::test]
async fn a_redis_that_goes_silent_is_handled_as_the_policy_says() {
    for answer in ANSWERS {
        let silent = SessionBehindProxy::with_policy(answer).await;
        silent.proxy.lose_answers();
        // The token is in its refresh-ahead window, and alive.
        silent.pass(MINUTE.mul_f64(0.97));
        let alive = silent.session.token().await.map_err(|error| error.kind());
        silent.pass(MINUTE);
        let expired = silent.session.token().await.map_err(|error| error.kind());
        let (alive, expired) = (alive.map(|token| token.generation()), expired.map(|token| token.generation()));
        let refreshes = silent.refreshes();
        match answer {
            StoreFailure::Fail => {
                assert_eq!((alive, expired, refreshes), (Err(ErrorKind::Store), Err(ErrorKind::Store), 0));
            }
            StoreFailure::RefreshUnguarded => assert_eq!((alive, expired, refreshes), (Ok(2), Ok(3), 2)),
            _ => assert_eq!((alive, expired, refreshes), (Ok(1), Err(ErrorKind::Store), 0)),
        }
        silent.assert_recovers().await;
    }
}
