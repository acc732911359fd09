//! Counters of the feature `metrics`. All tests of this process add to the same ones.

use jwt_refresh::Error;
use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::prelude::*;

use crate::support::{Recorded, World, until};
use crate::use_a_session;

#[tokio::test]
async fn counters_have_stable_names_and_no_labels() {
    let recorded = Recorded::here();
    use_a_session(&World::new()).await;
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
    assert!(counted.values().all(|count| *count >= 1));
}

/// Logs in without a server.
struct NoServer;

impl Authenticator for NoServer {
    async fn login(&self) -> Result<Tokens, Error> {
        Tokens::new("a-token")
    }
}

#[tokio::test]
async fn the_logins_of_a_pool_are_counted_with_those_of_sessions() {
    // More than all other tests of this process log in.
    const ACCOUNTS: usize = 100;
    let recorded = Recorded::here();
    let accounts = (0..ACCOUNTS).map(|number| Account::new(number.to_string(), NoServer));
    let pool = Pool::builder().accounts(accounts).build().unwrap();
    until("all accounts serve", async || pool.status().active == ACCOUNTS).await;
    assert!(recorded.counters()["jwt_refresh_logins_total"] >= ACCOUNTS as u64);
}
