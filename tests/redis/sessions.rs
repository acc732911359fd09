//! Sessions that share a Redis: one login and one refresh for all of them, and a live token outlives an outage.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use jwt_refresh::{HttpAuthenticator, ManualClock, RedisStore, Session};
use jwt_refresh_testkit::TestServer;

use crate::hasty;
use crate::server::Server;

const LIFETIME: Duration = Duration::from_secs(60);

fn session(api: &TestServer, clock: &ManualClock, store: RedisStore) -> Session {
    let authenticator = HttpAuthenticator::builder(api.url("/api/auth/login"))
        .refresh_url(api.url("/api/auth/refresh"))
        .field("email", api.email())
        .secret_field("password", api.password());
    Session::builder(authenticator.build().unwrap()).clock(clock).store(store, "alice").build()
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
