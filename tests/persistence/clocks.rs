//! Processes whose clocks differ.

use std::time::{Duration, SystemTime};

use jwt_refresh::store::MemoryStore;
use jwt_refresh::{Authenticator, Error, ManualClock, RefreshToken, Session, Tokens};
use jwt_refresh_testkit::TestServer;

use crate::support::{MINUTE, World, login};

fn ahead_by(seconds: i64) -> ManualClock {
    let now = SystemTime::now();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    ManualClock::at(if seconds < 0 { now - distance } else { now + distance })
}

#[tokio::test]
async fn a_dead_token_of_a_process_whose_clock_is_wrong_is_not_served() {
    for ahead in [-600, 600] {
        for life in [MINUTE, 20 * MINUTE] {
            let world = World::with(TestServer::builder().access_lifetime(life).start());
            let store = MemoryStore::new();
            let authenticator = login(&world.server).build().unwrap();
            let wrong = Session::builder(authenticator).clock(&ahead_by(ahead)).store(store.clone(), "ada");
            wrong.connect().await.unwrap();
            for _ in 0..8 {
                world.pass(life / 5);
                let right = world.session().store(store.clone(), "ada").connect().await.unwrap();
                assert_eq!(world.call(&right).await, 200, "{ahead} s ahead, a life of {life:?}");
            }
        }
    }
}

/// Issues tokens that only say how long they live, without any date.
struct Dateless;

impl Authenticator for Dateless {
    async fn login(&self) -> Result<Tokens, Error> {
        Ok(Tokens::new("old")?.refresh_token("refresh").expires_in(5 * MINUTE))
    }

    async fn refresh(&self, _: &RefreshToken) -> Result<Tokens, Error> {
        Ok(Tokens::new("new")?.refresh_token("refresh").expires_in(5 * MINUTE))
    }
}

#[tokio::test]
async fn a_token_from_the_future_is_not_believed_if_nothing_is_known_of_the_clocks() {
    let store = MemoryStore::new();
    let start = |clock: &ManualClock| Session::builder(Dateless).clock(clock).store(store.clone(), "ada").connect();
    start(&ahead_by(600)).await.unwrap();
    let right = ahead_by(0);
    right.advance(4 * MINUTE);
    let session = start(&right).await.unwrap();
    assert_eq!(session.token().await.unwrap().expose(), "new");
}
