//! Sessions that share a Redis: one login and one refresh for all of them, and a live token outlives an outage.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use jwt_refresh::store::{RedisStore, StoreFailure};
use jwt_refresh::{ErrorKind, HttpAuthenticator, ManualClock, Policy, Session, SessionBuilder};
use jwt_refresh_testkit::TestServer;

use crate::server::{Proxy, Server};
use crate::{hasty, until};

const LIFETIME: Duration = Duration::from_secs(60);

fn session(api: &TestServer, clock: &ManualClock, store: RedisStore) -> Session {
    builder(api, clock, store).build()
}

fn builder(api: &TestServer, clock: &ManualClock, store: RedisStore) -> SessionBuilder {
    let authenticator = HttpAuthenticator::builder(api.url("/api/auth/login"))
        .refresh_url(api.url("/api/auth/refresh"))
        .field("email", api.email())
        .secret_field("password", api.password());
    Session::builder(authenticator.build().unwrap()).clock(clock).store(store, "alice")
}

#[tokio::test]
async fn eight_sessions_share_each_login_and_refresh() {
    let mut redis = Server::start().await;
    let api = TestServer::builder().access_lifetime(LIFETIME).start();
    let clock = ManualClock::new();
    // Each with connections of its own, like as many processes.
    let sessions: Vec<_> = (0..8).map(|_| session(&api, &clock, hasty(&redis.url()).build().unwrap())).collect();
    let all_have_a_token = async || {
        for token in join_all(sessions.iter().map(Session::token)).await {
            token.unwrap();
        }
    };
    for refreshes in 0..5 {
        all_have_a_token().await;
        let stats = api.stats();
        assert_eq!((stats.logins, stats.refreshes, stats.failed_refreshes), (1, refreshes, 0));
        api.advance(LIFETIME);
        clock.step_to(SystemTime::now() + LIFETIME * u32::try_from(refreshes + 1).unwrap());
    }
    all_have_a_token().await;
    redis.stop();
    all_have_a_token().await;
    assert_eq!(api.stats().logins, 1);
}

const ANSWERS: [StoreFailure; 3] = [StoreFailure::Fail, StoreFailure::ServeWhatLives, StoreFailure::RefreshUnguarded];

/// A session on a Redis whose answers can be lost on the way, and which answers what its policy says.
struct Cut {
    api: TestServer,
    clock: ManualClock,
    proxy: Proxy,
    session: Session,
    _redis: Server,
}

impl Cut {
    async fn under(answer: StoreFailure) -> Self {
        let redis = Server::start().await;
        let proxy = Proxy::before(&redis).await;
        let api = TestServer::builder().access_lifetime(LIFETIME).latency(Duration::from_millis(100)).start();
        let clock = ManualClock::new();
        let session = builder(&api, &clock, hasty(&proxy.url()).build().unwrap());
        let session = session.policy(Policy::default().store_failure(answer)).login().await.unwrap();
        Self { api, clock, proxy, session, _redis: redis }
    }

    fn pass(&self, time: Duration) {
        self.api.advance(time);
        self.clock.advance(time);
    }

    fn refreshes(&self) -> u64 {
        self.api.stats().refreshes
    }

    /// Until the session can renew again, and has; nothing was spent twice, and no login was needed.
    async fn recovers(&self) {
        self.proxy.mute(false);
        self.pass(LIFETIME * 2);
        self.session.token().await.unwrap();
        self.session.flush().await;
        let stats = self.api.stats();
        assert_eq!((stats.logins, stats.reuses, stats.failed_refreshes), (1, 0, 0));
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_before_or_after_the_refresh_costs_nothing_under_any_policy() {
    for answer in ANSWERS {
        let cut = Cut::under(answer).await;
        cut.proxy.cut_the_next_answer();
        cut.pass(LIFETIME);
        cut.session.token().await.unwrap();
        assert!(cut.proxy.has_cut(), "{answer:?}");

        cut.pass(LIFETIME);
        let renewing = tokio::spawn({
            let session = cut.session.clone();
            async move { session.token().await }
        });
        until("the refresh token is spent, and its successor not saved", async || cut.refreshes() == 2).await;
        cut.proxy.cut_the_next_answer();
        renewing.await.unwrap().unwrap();
        assert!(cut.proxy.has_cut(), "{answer:?}");
        cut.recovers().await;
        assert_eq!(cut.refreshes(), 3, "{answer:?}");
    }
}

#[tokio::test]
async fn a_redis_that_goes_silent_in_the_middle_of_a_command_is_met_as_the_policy_says() {
    for answer in ANSWERS {
        let cut = Cut::under(answer).await;
        cut.proxy.mute(true);
        // Due, and alive.
        cut.pass(LIFETIME.mul_f64(0.97));
        let alive = cut.session.token().await.map_err(|error| error.kind());
        cut.pass(LIFETIME);
        let expired = cut.session.token().await.map_err(|error| error.kind());
        let (alive, expired) = (alive.map(|token| token.generation()), expired.map(|token| token.generation()));
        let refreshes = cut.refreshes();
        match answer {
            StoreFailure::Fail => {
                assert_eq!((alive, expired, refreshes), (Err(ErrorKind::Store), Err(ErrorKind::Store), 0));
            }
            StoreFailure::RefreshUnguarded => assert_eq!((alive, expired, refreshes), (Ok(2), Ok(3), 2)),
            _ => assert_eq!((alive, expired, refreshes), (Ok(1), Err(ErrorKind::Store), 0)),
        }
        cut.recovers().await;
    }
}
