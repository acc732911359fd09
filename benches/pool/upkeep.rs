//! Checks that a million accounts are refreshed in the background before their tokens expire, while
//! the pool gives leases of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use jwt_refresh::pool::{Account, Pool, PoolPolicy, QuarantineCause};
use jwt_refresh::{Error, TokenProvider};

use crate::server::{Login, SLICE, Server};
use crate::{ACCOUNTS, EXCHANGES};

const LIFETIME: Duration = Duration::from_secs(30);
/// The time within which every account must have been refreshed.
const DEADLINE: Duration = Duration::from_secs(40);

pub(crate) fn measure() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(Error::other)?.block_on(keep_up())
}

async fn keep_up() -> Result<(), Error> {
    let server = Server::new(LIFETIME, ACCOUNTS);
    let pool = Pool::builder().policy(PoolPolicy::default().exchanges(EXCHANGES)).build()?;
    for number in 0..ACCOUNTS {
        pool.add(Account::new(format!("account-{number}"), Login::at(&server, number)))?;
    }
    while pool.status().active < ACCOUNTS {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let joined = server.slices().len();

    let client = Client::start(&pool);
    let begun = Instant::now();
    while server.refreshed.load(Ordering::Relaxed) < ACCOUNTS {
        assert!(begun.elapsed() < DEADLINE, "some accounts were not refreshed");
        let expired = pool.status().quarantined_for(QuarantineCause::Expired);
        assert_eq!(expired, 0, "accounts are out because their tokens expired");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.report();
    report(&server, joined);
    Ok(())
}

fn report(server: &Server, joined: usize) {
    let slices = server.slices();
    let (logins, refreshes) = slices.split_at(joined);
    let seconds =
        |slices: &[u32]| slices.iter().filter(|count| **count > 0).map(|_| SLICE).sum::<Duration>().as_secs_f64();
    let a_second = |slices: &[u32]| f64::from(slices.iter().copied().max().unwrap_or(0)) / SLICE.as_secs_f64();
    let [most, late, all] = [&server.most, &server.late, &server.logins].map(|count| count.load(Ordering::Relaxed));
    let oldest = Duration::from_millis(server.oldest.load(Ordering::Relaxed));
    println!("upkeep: {ACCOUNTS} logins within {:.1} s, at most {:.0} a second", seconds(logins), a_second(logins));
    println!(
        "upkeep: {ACCOUNTS} refreshes within {:.1} s, at most {:.0} a second",
        seconds(refreshes),
        a_second(refreshes)
    );
    println!("upkeep: at most {most} of {EXCHANGES} exchanges at once");
    println!(
        "upkeep: the oldest token was renewed after {oldest:.1?} of {LIFETIME:.1?}, {late} after they had expired"
    );
    assert!(most <= EXCHANGES, "more exchanges at once than the policy allows");
    assert_eq!(late, 0, "tokens were renewed too late");
    assert_eq!(all, ACCOUNTS, "accounts logged in more than once");
}

/// A thread that takes a lease every 200 µs, until [`report`](Self::report) is called.
struct Client {
    ends: Arc<AtomicBool>,
    thread: thread::JoinHandle<Vec<Duration>>,
}

impl Client {
    fn start(pool: &Pool) -> Self {
        let (pool, ends) = (pool.clone(), Arc::new(AtomicBool::new(false)));
        let ended = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            let mut times = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_micros(200));
                let begun = Instant::now();
                let lease = pool.ready().expect("a lease, of one account in a million");
                times.push(begun.elapsed());
                assert!(
                    lease.expires_at().is_some_and(|time| time > SystemTime::now()),
                    "a lease of a token that expired"
                );
            }
            times
        });
        Self { ends, thread }
    }

    fn report(self) {
        self.ends.store(true, Ordering::Relaxed);
        let mut times = self.thread.join().expect("every lease was served, by a token that lived");
        times.sort_unstable();
        let [median, most, worst] = [times.len() / 2, times.len() * 99 / 100, times.len() - 1].map(|at| times[at]);
        println!("upkeep: {} leases meanwhile: median {median:?}, 99 % {most:?}, worst {worst:?}", times.len());
    }
}
