//! What a server says beside the tokens may be malformed or wrong. It costs neither a token nor a
//! login.

use std::time::{Duration, SystemTime};

use jwt_refresh::{Authenticator, Error, HttpAuthenticator, Session, TokenFields, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, Hints, TestServer, Times};

use crate::support::{PAST_EXPIRY, World, login};

#[tokio::test]
async fn a_malformed_hint_beside_a_rotated_refresh_token_costs_no_login() {
    for field in ["expires_in", "expires_at", "refresh_expires_in"] {
        for json in ["-1", r#""""#, r#""3600s""#, "true", "1e300", "1e400", "{}"] {
            let world = World::new();
            let fields = TokenFields::default().expires_at("expires_at");
            let login = login(&world.server).answer(fields).build().unwrap();
            let session = Session::builder(login).clock(&world.clock).connect().await.unwrap();
            world.server.inject(Endpoint::Refresh, Fault::WrongField(field, json), Times::Count(2));
            for generation in [2, 3, 4] {
                world.pass(PAST_EXPIRY);
                assert_eq!(world.call(&session).await, 200, "{field}: {json}");
                assert_eq!(session.token().await.unwrap().generation(), generation, "{field}: {json}");
            }
            let stats = world.server.stats();
            assert_eq!((stats.logins, stats.refreshes, stats.reuses), (1, 3, 0), "{field}: {json}");
        }
    }
}

#[tokio::test]
async fn a_malformed_hint_of_a_login_does_not_make_it_fail() {
    let world = World::new();
    world.server.inject(Endpoint::Login, Fault::WrongField("expires_in", r#""3600s""#), Times::Once);
    assert_eq!(world.call(&world.session().connect().await.unwrap()).await, 200);
}

#[tokio::test]
async fn a_refresh_token_that_cannot_be_read_costs_no_access_token_and_puts_the_old_one_in_doubt() {
    for json in ["7", "true", r#""\n""#, r#"["r"]"#] {
        let world = World::new();
        let session = world.session().connect().await.unwrap();
        world.server.inject(Endpoint::Refresh, Fault::WrongField("refresh_token", json), Times::Once);
        world.pass(PAST_EXPIRY);
        assert_eq!(world.call(&session).await, 200, "{json}");
        assert_eq!(session.token().await.unwrap().generation(), 2, "{json}");
        world.pass(PAST_EXPIRY);
        assert_eq!(world.call(&session).await, 200, "{json}");
        let stats = world.server.stats();
        assert_eq!((stats.logins, stats.refreshes, stats.reuses), (2, 1, 0), "{json}");
    }
}

/// Shows its session another `Date` than the server's.
struct WrongDate(HttpAuthenticator, SystemTime);

impl Authenticator for WrongDate {
    async fn login(&self) -> Result<Tokens, Error> {
        Ok(self.0.login().await?.server_time(self.1))
    }
}

#[tokio::test]
async fn a_date_of_1970_or_2036_beside_an_iat_makes_no_token_live_shorter_or_longer() {
    for hints in [Hints::Both, Hints::Exp] {
        for seconds in [0, 2_082_758_400] {
            let world = World::with(TestServer::builder().lifetime_hints(hints).start());
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let login = WrongDate(login(&world.server).build().unwrap(), date);
            let token = Session::new(login).token().await.unwrap();
            let left = token.expires_at().unwrap().duration_since(SystemTime::now()).unwrap();
            assert!((50..=60).contains(&left.as_secs()), "{date:?}: {left:?}");
        }
    }
}
