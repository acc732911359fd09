//! Measures how long a caller is held up by the pool's lock, in the states of a pool of a million
//! accounts that make most work.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jwt_refresh::pool::{Account, Lease, LeaseRequest, Limit, Pool, PoolPolicy, Selection};
use jwt_refresh::{Clock, Error, ManualClock, TokenProvider};

use crate::ACCOUNTS;
use crate::timing::Times;

/// The longest that a lease may take after a pause.
const AFTER_A_PAUSE: Duration = Duration::from_millis(1);
/// The longest that a lease with a tag and a key may take.
const WITH_A_KEY: Duration = Duration::from_micros(10);
const STATUS: Duration = Duration::from_millis(5);
/// The longest that an error, a removal, or a lease of a rare tag may take.
const OTHERS: Duration = Duration::from_millis(1);

/// The tag is on one account out of this many.
const RARE: usize = 1000;
const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn measure() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(Error::other)?;
    let _entered = runtime.enter();
    for selection in [Selection::Soonest, Selection::RoundRobin, Selection::Weighted] {
        after_a_pause(selection)?;
    }
    let (pool, clock) = resting()?;
    in_quarantine(&pool);
    runtime.block_on(with_keys(&pool))?;
    after_rests(&pool, &clock);
    drop((pool, clock));
    runtime.block_on(with_a_shared_quota())
}

/// Returns a pool of accounts that need no login. One in a thousand has the tag `rare`, and another
/// one the tag `away`.
fn pool(selection: Selection, account: impl Fn(Account) -> Account) -> Result<(Pool, ManualClock), Error> {
    let clock = ManualClock::new();
    let pool = Pool::builder().clock(&clock).policy(PoolPolicy::default().selection(selection)).build()?;
    for number in 0..ACCOUNTS {
        let new = account(Account::api_key(format!("account-{number}"), format!("key-{number}")));
        pool.add(match number % RARE {
            0 => new.tag("rare"),
            1 => new.tag("away"),
            _ => new,
        })?;
    }
    Ok((pool, clock))
}

fn at_once(request: LeaseRequest) -> Option<Result<Lease, Error>> {
    request.into_future().now_or_never()
}

/// All accounts have used their rates, and may be called again at the same moment.
fn after_a_pause(selection: Selection) -> Result<(), Error> {
    let (pool, clock) = pool(selection, |account| account.rate(1, SECOND))?;
    let mut first = Vec::new();
    let mut further = Vec::new();
    for _ in 0..3 {
        while pool.ready().is_some() {}
        clock.advance(3600 * SECOND);
        first.push(Times::of(1, |_| pool.ready().expect("all may be called")).median());
        further.push(Times::of(100_000, |_| pool.ready().expect("all may be called")));
    }
    first.sort_unstable();
    println!("after a pause ({selection:?}): the first lease {first:?} (bound {AFTER_A_PAUSE:?})");
    assert!(first[1] <= AFTER_A_PAUSE, "more than {AFTER_A_PAUSE:?}");
    for times in further {
        times.expect_most(&format!("after a pause ({selection:?}): the leases that follow"), AFTER_A_PAUSE);
    }
    Ok(())
}

/// Returns a pool of which only the accounts with the tag `rare` serve; all others rest until the
/// same moment.
fn resting() -> Result<(Pool, ManualClock), Error> {
    let (pool, clock) = pool(Selection::Soonest, |account| account)?;
    let mut rare = Vec::new();
    while let Some(lease) = pool.ready() {
        // The others are used least recently, so each is found once.
        match lease.account().rsplit('-').next().and_then(|number| number.parse::<usize>().ok()) {
            Some(number) if number.is_multiple_of(RARE) => rare.push(lease),
            _ => lease.quota_used_up(Some(3600 * SECOND)),
        }
        if rare.len() > ACCOUNTS / RARE {
            break;
        }
    }
    println!("{} of {ACCOUNTS} accounts rest", pool.status().accounts - pool.status().active);
    Ok((pool, clock))
}

fn in_quarantine(pool: &Pool) {
    Times::of(100, |_| pool.status()).expect("the status of a pool whose accounts rest", STATUS);
    let error = |_| match at_once(pool.lease().tag("away")) {
        Some(Err(error)) => error,
        other => unreachable!("all accounts with the tag rest: {other:?}"),
    };
    Times::of(1000, error).expect("the error for a tag whose accounts rest", OTHERS);
    Times::of(1000, |_| at_once(pool.lease().tag("rare"))).expect("a lease of a rare tag", WITH_A_KEY);
    let last = ACCOUNTS - 1;
    Times::of(1000, |number| pool.remove(&format!("account-{}", last - number * RARE - 500)))
        .expect("the removal of an account that rests", OTHERS);
    let begun = Instant::now();
    let listed = pool.quarantined().count();
    println!("all {listed} accounts that rest listed in {:?}", begun.elapsed());
}

/// Leases with keys: of all accounts, of which one in a thousand serves, and of those with a tag.
async fn with_keys(pool: &Pool) -> Result<(), Error> {
    for tag in [None, Some("rare")] {
        let request = |key: usize| {
            let request = pool.lease().key(format!("user-{key}"));
            if let Some(tag) = tag { request.tag(tag) } else { request }
        };
        let begun = Instant::now();
        request(0).await?;
        println!("the first lease with a key (tag {tag:?}), which waits until the ring is made: {:?}", begun.elapsed());
        let times = Times::of(10_000, |key| at_once(request(key)).expect("an account serves").expect("a lease"));
        times.expect(&format!("a lease with a key (tag {tag:?})"), WITH_A_KEY);
    }
    Ok(())
}

/// All rests are over at the same moment.
fn after_rests(pool: &Pool, clock: &ManualClock) {
    clock.advance(2 * 3600 * SECOND);
    // Each of them ends some rests of a thousand accounts.
    let first = Times::of(9, |_| at_once(pool.lease().tag("away")).expect("they are back").expect("a lease"));
    first.expect("the first leases of a tag after a million rests", AFTER_A_PAUSE);
    Times::of(10_000, |_| pool.ready()).expect_most("the leases that follow", AFTER_A_PAUSE);
    Times::of(10_000, |key| at_once(pool.lease().key(format!("user-{key}"))))
        .expect_most("those with a key", AFTER_A_PAUSE);
}

/// All accounts share a quota, which is used up; then the wall clock is put forward by a day.
async fn with_a_shared_quota() -> Result<(), Error> {
    const QUOTA: usize = 1000;
    let quota = Limit::daily(QUOTA as u64).shared("organisation");
    let (pool, clock) = pool(Selection::Soonest, |account| account.limit(quota.clone()))?;
    Times::of(QUOTA, |_| pool.ready().expect("of the quota something is left"))
        .expect_most("leases of a shared quota", OTHERS);
    let refused = |_| assert!(at_once(pool.lease()).is_none_or(|lease| lease.is_err()));
    Times::of(10_000, refused).expect_most("leases once it is used up", OTHERS);
    let begun = Instant::now();
    while pool.status().active > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("all accounts of the quota rest after {:?}", begun.elapsed());

    clock.step_to(Clock::from(&clock).now() + 24 * 3600 * SECOND);
    let times = Times::of(QUOTA, |_| drop(at_once(pool.lease())));
    times.expect_most("leases after the wall clock was put forward by a day", OTHERS);
    Ok(())
}
