//! Pools against a real server: limits hold, callers are served in order, and accounts that are
//! denied are kept out until they can log in.

mod attribute;
mod backlogs;
mod bad_input;
mod blocked;
mod caller_keys;
mod captured;
mod client;
mod closing;
mod costs;
mod endpoints;
mod events;
mod exchanges;
mod health;
mod keys;
mod leaks;
mod learnt;
mod limit_changes;
mod limits;
mod memory;
mod operating;
mod quarantine;
mod queue;
mod removal;
mod scripted;
mod selection;
mod starving;
mod status;
mod store;
mod strikes;
#[path = "../support/mod.rs"]
mod support;
mod tiers;
mod weights;

use futures_util::FutureExt;
use jwt_refresh::pool::{Account, Pool, PoolBuilder, PoolPolicy};
use jwt_refresh_testkit::TestServer;

use support::{HOUR, World, account, until, with_accounts};

impl World {
    /// A server with `accounts` accounts, whose tokens live for an hour.
    fn with_accounts(accounts: usize) -> Self {
        Self::with(with_accounts(TestServer::builder().access_lifetime(HOUR), accounts).start())
    }

    fn account(&self, number: usize) -> Account {
        account(&self.server, number)
    }

    /// A pool of the first `accounts` accounts.
    fn pool(&self, accounts: usize) -> PoolBuilder {
        self.pool_of((0..accounts).map(|number| self.account(number)))
    }

    fn pool_of(&self, accounts: impl IntoIterator<Item = Account>) -> PoolBuilder {
        Pool::builder().clock(&self.clock).accounts(accounts)
    }
}

/// Waits until `accounts` accounts serve.
async fn active(pool: &Pool, accounts: usize) {
    until(&format!("{accounts} accounts serve"), async || pool.status().active == accounts).await;
}

/// Lets the other tasks run as far as they can without time passing.
async fn run_other_tasks() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn policy() -> PoolPolicy {
    PoolPolicy::default()
}

/// Polls `future` once, and returns whether it still waits.
fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
    future.now_or_never().is_none()
}
