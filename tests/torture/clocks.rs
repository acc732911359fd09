//! Clocks that disagree, are stepped and stand still: no request is sent with a token that has
//! expired for the server.

use std::time::{Duration, Instant, SystemTime};

use jwt_refresh::{Bearer, Clock, ManualClock, Session, TokenProvider};
use jwt_refresh_testkit::{Hints, TestServer};

use crate::random::Random;
use crate::scale::{report, scale};
use crate::support::{HOUR, MINUTE, http_client, login, until};

const LIFE: Duration = MINUTE;

/// A server, and a clock beside it whose wall time can be stepped.
struct World {
    server: TestServer,
    clock: ManualClock,
    /// Until when real time has passed on the session's clock. On the server's, it passes by
    /// itself.
    moved: Instant,
}

impl World {
    fn new(server: TestServer) -> Self {
        Self { server, clock: ManualClock::new(), moved: Instant::now() }
    }

    /// Lets time pass, awake or suspended.
    fn pass(&mut self, time: Duration) {
        self.server.advance(time);
        let real = self.moved.elapsed();
        self.moved += real;
        self.clock.advance(time + real);
    }

    fn wall_time(&self) -> SystemTime {
        Clock::from(&self.clock).now()
    }
}

/// What has happened that may cost a refresh.
#[derive(Debug, Default)]
struct Happened {
    awake: Duration,
    suspensions: u32,
    steps_forward: u32,
    steps_back: u32,
}

impl Happened {
    /// Lets something happen at random. Returns how much time passed by it.
    fn add_random(&mut self, world: &mut World, random: &mut Random) -> Duration {
        let time = match random.below(10) {
            0 => {
                self.suspensions += 1;
                Duration::from_secs(600 + random.below(36_000))
            }
            1 => {
                self.steps_forward += 1;
                world.clock.step_to(world.wall_time() + HOUR);
                Duration::ZERO
            }
            2 => {
                self.steps_back += 1;
                world.clock.step_to(world.wall_time() - HOUR);
                Duration::ZERO
            }
            _ => {
                let time = Duration::from_millis(500 + random.below(14_500));
                self.awake += time;
                time
            }
        };
        world.pass(time);
        time
    }

    /// How many refreshes there may be: one for each lifetime that passed awake, and one for each
    /// time that a clock jumped ahead. Where a clock is off and shows whole seconds, a token lives
    /// for up to two seconds less.
    fn max_refreshes(&self) -> u64 {
        let shortest = LIFE.saturating_sub(Duration::from_secs(2)).mul_f64(0.88);
        let lifetimes = self.awake.as_millis() / shortest.as_millis();
        u64::try_from(lifetimes).unwrap() + u64::from(self.suspensions + self.steps_forward) + 1
    }
}

async fn step_at_random(hours_ahead: i64, hints: Hints, whole_seconds: bool, steps: u64, seed: u64) {
    let server = TestServer::builder().access_lifetime(LIFE).lifetime_hints(hints).whole_seconds(whole_seconds);
    // The refresh token outlives every suspension.
    let server = server.refresh_lifetime(HOUR * 1_000_000).date_shift(3600 * hours_ahead);
    let mut world = World::new(server.start());
    let session = Session::builder(login(&world.server).build().unwrap()).clock(&world.clock);
    let session = session.connect().await.unwrap();
    let http = http_client();
    let mut random = Random::new(seed);
    let mut happened = Happened::default();
    let (mut generation, mut age) = (1, Duration::ZERO);
    for _ in 0..steps {
        age += happened.add_random(&mut world, &mut random);
        if age >= LIFE.mul_f64(0.95) && generation == current(&session) {
            // A task finds that the token is due, by a clock that cannot be stepped.
            until("the session finds that the token is due", async || !TokenProvider::is_ready(&session)).await;
        }
        let token = session.token().await.unwrap();
        let answer = http.get(world.server.url("/api/v1/products/1")).bearer(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{token:?} after {happened:?}, {:?}", world.server.stats());
        session.flush().await;
        if current(&session) != generation {
            (generation, age) = (current(&session), Duration::ZERO);
        }
    }

    let (stats, max_refreshes) = (world.server.stats(), happened.max_refreshes());
    report(
        &format!("6 server {hours_ahead:+} h, {hints:?}, whole seconds {whole_seconds}"),
        &format!("no 401, and at most {max_refreshes} refreshes"),
        &format!("{} 401, {} refreshes, {} logins; {happened:?}", stats.rejected, stats.refreshes, stats.logins),
    );
    assert_eq!((stats.rejected, stats.logins, stats.reuses, stats.failed_refreshes), (0, 1, 0, 0));
    assert!(stats.refreshes <= max_refreshes, "{} refreshes", stats.refreshes);
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
                step_at_random(hours_ahead, hints, whole_seconds, scale(30, 1000), seed).await;
            }
        }
    }
}
