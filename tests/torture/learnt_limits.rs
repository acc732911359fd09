//! Five hundred API keys, whose limits by calls and by cost only their server knows, and tells in
//! the headers of its answers: nearly no call is refused, and nearly all of the limits is used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::{Answer, ReceivedRequest, Route, TestServer};

use crate::random::Random;
use crate::scale::{report, scale};
use crate::support::http_client;

/// The windows of all limits. Each key's begin at a time of its own.
const WINDOW: Duration = Duration::from_secs(5);
const CALLS: u64 = 5;
const COST: u64 = 200;
const COSTS: std::ops::Range<u64> = 10..40;
/// What is not counted: nothing is known of the limits at first.
const START: Duration = Duration::from_secs(5);

/// What the server counts of a key.
#[derive(Debug, Default)]
struct Key {
    /// What was spent in each window.
    spent: BTreeMap<u64, u64>,
    calls: u64,
    refused: u64,
}

/// The server's limits: each second key is limited by calls, the others by cost.
#[derive(Debug)]
struct Limits {
    keys: Vec<Key>,
    begun: Instant,
}

impl Limits {
    /// The window of a key at a time, and how long it goes on.
    fn window(&self, key: usize, at: Duration) -> (u64, Duration) {
        let phase = WINDOW * u32::try_from(key).unwrap() / u32::try_from(self.keys.len()).unwrap();
        let shifted = at + phase;
        let number = u64::try_from(shifted.as_nanos() / WINDOW.as_nanos()).unwrap();
        (number, (WINDOW * u32::try_from(number + 1).unwrap()).saturating_sub(shifted))
    }

    fn quota(key: usize) -> u64 {
        if key.is_multiple_of(2) { CALLS } else { COST }
    }

    fn answer(&mut self, request: &ReceivedRequest) -> Answer {
        let number = |name: &str| request.header(name).unwrap().rsplit('-').next().unwrap().parse::<u64>().unwrap();
        let (key, cost) = (usize::try_from(number("authorization")).unwrap(), number("x-cost"));
        let at = self.begun.elapsed();
        let (window, left) = self.window(key, at);
        let quota = Self::quota(key);
        let amount = if key.is_multiple_of(2) { 1 } else { cost };
        let state = &mut self.keys[key];
        let spent = state.spent.entry(window).or_default();
        let is_refused = *spent + amount > quota;
        if !is_refused {
            *spent += amount;
        }
        let remaining = quota - *spent;
        if at > START {
            state.calls += 1;
            state.refused += u64::from(is_refused);
        }
        tell(Answer::new(if is_refused { 429 } else { 200 }), key, quota, remaining, left)
    }

    /// When a window of a key begins.
    fn beginning(&self, key: usize, window: u64) -> Duration {
        let (_, left) = self.window(key, Duration::ZERO);
        left + WINDOW * u32::try_from(window - 1).unwrap()
    }

    /// How many thousandths of the limits were used in the windows that lie wholly between the
    /// start and `end`, and in which callers waited for as long as they went on; and how many these
    /// are.
    fn utilisation(&self, end: Duration, idle: &BTreeSet<Duration>) -> (u64, u64) {
        let (mut spent, mut windows) = (0, 0);
        for (number, key) in self.keys.iter().enumerate() {
            let (first, last) = (self.window(number, START).0 + 1, self.window(number, end).0);
            let began = |window| self.beginning(number, window);
            for window in (first..last).filter(|&window| idle.range(began(window)..began(window + 1)).next().is_none())
            {
                spent += key.spent.get(&window).copied().unwrap_or(0) * 1000 / Self::quota(number);
                windows += 1;
            }
        }
        (spent / windows.max(1), windows)
    }
}

/// Tells what remains, in one of several dialects.
fn tell(answer: Answer, key: usize, quota: u64, remaining: u64, left: Duration) -> Answer {
    let (quota, remaining) = (quota.to_string(), remaining.to_string());
    // Rounded up, as servers do.
    let left = Duration::from_millis(u64::try_from(left.as_millis()).unwrap() + 1);
    let reset = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + left;
    match key % 6 {
        0 => answer
            .header("ratelimit", &format!("\"calls\";r={remaining};t={:.3}", left.as_secs_f64()))
            .header("ratelimit-policy", &format!("\"calls\";q={quota};w=5")),
        2 => answer
            .header("x-ratelimit-limit", &quota)
            .header("x-ratelimit-remaining", &remaining)
            .header("x-ratelimit-reset", &reset.as_millis().to_string()),
        4 => answer
            .header("x-ratelimit-limit-requests", &quota)
            .header("x-ratelimit-remaining-requests", &remaining)
            .header("x-ratelimit-reset-requests", &format!("{}s{}ms", left.as_secs(), left.subsec_millis())),
        1 => answer
            .header("x-ratelimit-limit-tokens", &quota)
            .header("x-ratelimit-remaining-tokens", &remaining)
            .header("x-ratelimit-reset-tokens", &format!("{}ms", left.as_millis())),
        3 => answer
            .header("anthropic-ratelimit-tokens-limit", &quota)
            .header("anthropic-ratelimit-tokens-remaining", &remaining)
            .header("anthropic-ratelimit-tokens-reset", &format!("{:.3}", reset.as_secs_f64())),
        _ => answer
            .header("ratelimit", &format!("\"points\";r={remaining};t={:.3}", left.as_secs_f64()))
            .header("ratelimit-policy", &format!("\"points\";q={quota};w=5;qu=\"points\"")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_learnt_from_answers() {
    let (keys, tasks, time) = scale((60, 40, Duration::from_secs(11)), (500, 300, Duration::from_secs(30)));
    let limits =
        Arc::new(Mutex::new(Limits { keys: (0..keys).map(|_| Key::default()).collect(), begun: Instant::now() }));
    let answers = Arc::clone(&limits);
    let answer = move |request: &ReceivedRequest| answers.lock().unwrap().answer(request);
    let server = Arc::new(TestServer::builder().route(Route::get("/work", answer).public()).start());
    let accounts = (0..keys).map(|number| Account::api_key(format!("k{number}"), format!("key-{number}")));
    let pool = Pool::builder().accounts(accounts).build().unwrap();
    let begun = Instant::now();
    limits.lock().unwrap().begun = begun;
    let http = http_client();
    let call = |task| {
        let random = Random::new(task);
        tokio::spawn(call_until(begun + time, random, pool.clone(), http.clone(), server.url("/work")))
    };
    let calls: Vec<_> = (0..tasks).map(call).collect();
    let idle = times_without_demand(&pool, begun, time).await;
    for task in calls {
        task.await.unwrap();
    }
    let limits = limits.lock().unwrap();
    let sum = |count: fn(&Key) -> u64| limits.keys.iter().map(count).sum::<u64>();
    let (calls, refused) = (sum(|key| key.calls), sum(|key| key.refused));
    let (used, windows) = limits.utilisation(time, &idle);
    report(
        "15 limits learnt from answers",
        "less than 0.1 % of the calls answered 429 after the first 5 s, at least 95 % of the limits used while callers wait",
        &format!(
            "{refused} of {calls} calls of {keys} keys in {time:?} answered 429, {}.{} % used in {windows} windows",
            used / 10,
            used % 10
        ),
    );
    assert!(calls > 0);
    // In the short form the machine is busy with the other scenarios, and may use less.
    if scale(false, true) {
        assert!(refused * 1000 < calls, "{refused} of {calls} answered 429");
        assert!(windows == 0 || used >= 950, "{used} thousandths used");
    } else {
        assert!(refused * 100 <= calls, "{refused} of {calls} answered 429");
    }
}

/// Takes one lease after the other, and sends a request with each.
async fn call_until(end: Instant, mut random: Random, pool: Pool, http: reqwest::Client, url: String) {
    loop {
        let cost = COSTS.start + random.below(COSTS.end - COSTS.start);
        let left = end.saturating_duration_since(Instant::now());
        let lease = match pool.lease().cost(cost).within(left).await {
            Ok(lease) if Instant::now() < end => lease,
            Ok(_) => return,
            Err(error) if error.kind() == ErrorKind::NoAccount => panic!("{error}"),
            Err(error) => return assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
        };
        let request = http.get(&url).bearer(&lease).header("x-cost", cost);
        let _ = request.send().await.unwrap().observed(&lease).bytes().await;
    }
}

/// Returns when nobody waited for a lease. A machine that is too busy to send as many calls as the
/// limits allow does not use them, and that is not the pool's doing.
async fn times_without_demand(pool: &Pool, begun: Instant, time: Duration) -> BTreeSet<Duration> {
    let mut idle = BTreeSet::new();
    while begun.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if pool.status().waiting == 0 {
            idle.insert(begun.elapsed());
        }
    }
    idle
}
