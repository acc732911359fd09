//! Many accounts, each with a rate, and more tasks than they can serve: no account exceeds its
//! rate, and all rates are used.

use std::time::Duration;

use crate::load::{Load, exact};
use crate::scale::{report, scale};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_account_exceeds_its_rate_and_all_rates_are_used() {
    let time = Duration::from_secs(scale(2, 30));
    let load = Load { accounts: 50, rate: 10, burst: 1, tasks: 200, time };
    let seen = load.run().await;
    let (most, least) = seen.extremes();
    report(
        "12 rates of a pool",
        "no 429, at least 98 % of the sum of limits, and the busiest and idlest account differ by less than 5 %",
        &format!(
            "{} calls of {} accounts in {time:?}, {:.1} % of the sum of limits, none answered 429, {least} to {most} an account \
             ({:.1} %), at most {} within any second",
            seen.total(),
            load.accounts,
            100.0 * exact(seen.total()) / load.sum_of_rates(),
            100.0 * exact(most - least) / exact(least),
            seen.most_in_a_second(),
        ),
    );
    seen.assert_within(&load);
    // In the short form the machine is busy with the other scenarios: calls wait for each other,
    // and arrive closer together than their leases were given. `tests/pool/limits.rs` has the same
    // on a clock that waits for the pool.
    if scale(false, true) {
        seen.assert_none_limited();
        seen.assert_all_used(&load);
    }
}
