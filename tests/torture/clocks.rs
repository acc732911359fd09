//! Clocks that disagree, are stepped and stand still: no call goes out with a token that the server takes for expired.

use std::time::Duration;

use jwt_refresh::{Bearer, Session, TokenProvider};
use jwt_refresh_testkit::{Hints, TestServer};

use crate::dice::Dice;
use crate::scale::{report, scale};
use crate::until;
use crate::world::World;

const LIFE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What has happened, as far as it may cost a refresh.
#[derive(Debug, Default)]
struct Happened {
    awake: Duration,
    suspensions: u32,
    steps_forward: u32,
    steps_back: u32,
}

impl Happened {
    /// Lets something happen at random, without any real time passing by it.
    fn more(&mut self, world: &mut World, dice: &mut Dice) -> Duration {
        let time = match dice.roll(10) {
            0 => {
                self.suspensions += 1;
                Duration::from_secs(600 + dice.roll(36_000))
            }
            1 => {
                self.steps_forward += 1;
                world.step(HOUR, true);
                Duration::ZERO
            }
            2 => {
                self.steps_back += 1;
                world.step(HOUR, false);
                Duration::ZERO
            }
            _ => {
                let time = Duration::from_millis(500 + dice.roll(14_500));
                self.awake += time;
                time
            }
        };
        world.pass(time);
        time
    }

    /// A refresh for each lifetime that passed awake, and one more for each time that a clock jumped ahead. A token lives for
    /// up to two seconds less where it is told by whole seconds on a clock that is off.
    fn budget(&self) -> u64 {
        let shortest = LIFE.saturating_sub(Duration::from_secs(2)).mul_f64(0.88);
        let lifetimes = self.awake.as_millis() / shortest.as_millis();
        u64::try_from(lifetimes).unwrap() + u64::from(self.suspensions + self.steps_forward) + 1
    }
}

async fn walk(hours_ahead: i64, hints: Hints, whole_seconds: bool, steps: u64, seed: u64) {
    let server = TestServer::builder().access_lifetime(LIFE).lifetime_hints(hints).whole_seconds(whole_seconds);
    // No suspension is so long that only a login helps.
    let server = server.refresh_lifetime(HOUR * 1_000_000).date_shift(3600 * hours_ahead);
    let mut world = World::new(server.start());
    let session = world.logged_in().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut dice = Dice::new(seed);
    let mut happened = Happened::default();
    let (mut generation, mut age) = (1, Duration::ZERO);
    for _ in 0..steps {
        age += happened.more(&mut world, &mut dice);
        if age >= LIFE.mul_f64(0.95) && generation == current(&session) {
            // It is due: told by a task that looks at a clock which cannot be stepped.
            until("the session has seen that the token is due", async || !TokenProvider::is_ready(&session)).await;
        }
        let token = session.token().await.unwrap();
        let answer = http.get(world.server.url("/api/v1/products/1")).bearer(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{token:?} after {happened:?}, {:?}", world.server.stats());
        session.flush().await;
        if current(&session) != generation {
            (generation, age) = (current(&session), Duration::ZERO);
        }
    }

    let (stats, budget) = (world.server.stats(), happened.budget());
    report(
        &format!("6 server {hours_ahead:+} h, {hints:?}, whole seconds {whole_seconds}"),
        &format!("no 401, and at most {budget} refreshes"),
        &format!("{} 401, {} refreshes, {} logins; {happened:?}", stats.rejected, stats.refreshes, stats.logins),
    );
    assert_eq!((stats.rejected, stats.logins, stats.reuses, stats.failed_refreshes), (0, 1, 0, 0));
    assert!(stats.refreshes <= budget, "{} refreshes", stats.refreshes);
}

/// How many tokens the session has had.
fn current(session: &Session) -> u64 {
    let stats = session.stats();
    stats.logins + stats.refreshes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_expired_token_is_sent_whatever_the_clocks_do() {
    let mut seed = 0;
    for hours_ahead in [-1, 0, 1] {
        for hints in [Hints::Both, Hints::Exp, Hints::ExpiresIn] {
            for whole_seconds in [false, true] {
                seed += 1;
                walk(hours_ahead, hints, whole_seconds, scale(30, 1000), seed).await;
            }
        }
    }
}
