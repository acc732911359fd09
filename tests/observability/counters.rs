use jwt_refresh::Error;
use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::TestServer;

use crate::a_day_in_the_life;
use crate::gauges::until;
use crate::recorder::Recorded;

#[tokio::test]
async fn counters_go_by_stable_names_and_without_labels() {
    let recorded = Recorded::here();
    let server = TestServer::start();
    a_day_in_the_life(&server).await;
    let counted = recorded.counters();
    let names: Vec<_> = counted.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "jwt_refresh_failures_total",
            "jwt_refresh_logins_total",
            "jwt_refresh_refreshes_total",
            "jwt_refresh_waits_total"
        ]
    );
    // Other tests of this program may count too.
    assert!(counted.values().all(|count| *count >= 1));
}

/// Lets everybody in.
struct Open;

impl Authenticator for Open {
    async fn login(&self) -> Result<Tokens, Error> {
        Tokens::new("a-token")
    }
}

#[tokio::test]
async fn the_logins_of_a_pool_are_counted_with_those_of_sessions() {
    // So many that those of other tests, which count too, do not make them up.
    const ACCOUNTS: usize = 100;
    let recorded = Recorded::here();
    let accounts = (0..ACCOUNTS).map(|number| Account::new(number.to_string(), Open));
    let pool = Pool::builder().accounts(accounts).build().unwrap();
    until("all accounts serve", || (pool.status().active == ACCOUNTS).then_some(())).await;
    assert!(recorded.counters()["jwt_refresh_logins_total"] >= ACCOUNTS as u64);
}
