//! Measures how evenly the keys of callers and the weights of accounts share out the calls.

use std::collections::HashMap;

use futures_util::FutureExt;
use jwt_refresh::pool::{Account, Lease, LeaseRequest, Pool, PoolPolicy, Selection};
use jwt_refresh::{Error, ManualClock};

/// The shares that an account may have of the keys, relative to a fair one.
const FAIR: std::ops::RangeInclusive<f64> = 0.7..=1.3;

pub(crate) fn measure() -> Result<(), Error> {
    for (accounts, keys) in [(10, 100_000), (50, 200_000), (1000, 1_000_000)] {
        measure_keys(accounts, keys)?;
    }
    measure_weights()
}

/// Returns a pool of accounts that need no login.
fn pool(accounts: impl Iterator<Item = Account>, selection: Selection) -> Result<Pool, Error> {
    let policy = PoolPolicy::default().selection(selection);
    Pool::builder().clock(&ManualClock::new()).policy(policy).accounts(accounts).build()
}

fn lease(request: LeaseRequest) -> Result<Lease, Error> {
    request.into_future().now_or_never().ok_or_else(|| Error::other("no account was ready"))?
}

fn measure_keys(accounts: u32, keys: u32) -> Result<(), Error> {
    let all = (0..accounts).map(|number| Account::api_key(format!("account-{number}"), format!("key-{number}")));
    let pool = pool(all, Selection::Soonest)?;
    let mut counts = HashMap::<String, u32>::new();
    for key in 0..keys {
        let lease = lease(pool.lease().key(format!("user-{key}")))?;
        *counts.entry(lease.account().to_owned()).or_default() += 1;
    }
    let fair = f64::from(keys) / f64::from(accounts);
    let share = |count: Option<&u32>| f64::from(count.copied().unwrap_or(0)) / fair;
    let least = if counts.len() < accounts as usize { 0.0 } else { share(counts.values().min()) };
    let most = share(counts.values().max());
    println!("keys: {least:.2} to {most:.2} of a fair share at {accounts} accounts (bounds {FAIR:?})");
    assert!(FAIR.contains(&least) && FAIR.contains(&most), "the keys are shared out unevenly");
    Ok(())
}

/// Two accounts with the weights 9 and 1, while each lease of theirs is followed by one of another
/// tag.
fn measure_weights() -> Result<(), Error> {
    let accounts = [("heavy", "eu", 9), ("light", "eu", 1), ("other", "us", 1), ("another", "us", 1)];
    let account = |(name, tag, weight)| Account::api_key(name, format!("key-of-{name}")).tag(tag).weight(weight);
    let pool = pool(accounts.into_iter().map(account), Selection::Weighted)?;
    let mut heavy = 0;
    for _ in 0..1000 {
        heavy += u32::from(lease(pool.lease().tag("eu"))?.account() == "heavy");
        lease(pool.lease().tag("us"))?;
    }
    println!("weights: {heavy}:{} of 9:1, with leases of another tag between", 1000 - heavy);
    assert!(heavy.abs_diff(900) <= 1, "the weights do not hold");
    Ok(())
}
