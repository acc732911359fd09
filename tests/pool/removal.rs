//! Removed accounts: their refresh tokens are revoked.

use jwt_refresh::pool::{Account, Pool};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use crate::support::{MINUTE, SECOND, World, account_login, account_name, until};
use crate::{active, policy};

/// The `number`th account, whose refresh tokens are revoked at `path`.
fn account_revoked_at(world: &World, number: usize, path: &str) -> Account {
    let login = account_login(&world.server, number).revocation_url(world.server.url(path));
    Account::new(account_name(number), login.build().unwrap())
}

fn account(world: &World, number: usize) -> Account {
    account_revoked_at(world, number, "/api/auth/revoke")
}

fn pool(world: &World, accounts: usize) -> Pool {
    let accounts = (0..accounts).map(|number| account(world, number));
    world.pool_of(accounts).policy(policy().exchanges(2)).build().unwrap()
}

async fn revoked(world: &World, tokens: u64) {
    until(&format!("{tokens} tokens are revoked"), async || world.server.stats().revocations == tokens).await;
}

#[tokio::test]
async fn a_removed_accounts_refresh_token_is_revoked() {
    let world = World::with_accounts(2);
    let pool = pool(&world, 2);
    active(&pool, 2).await;
    assert!(pool.remove("a0"));
    revoked(&world, 1).await;
    assert_eq!(pool.lease().await.unwrap().account(), "a1");
}

#[tokio::test]
async fn all_of_many_removed_accounts_are_revoked_even_if_the_pool_is_dropped() {
    let world = World::with_accounts(10);
    let pool = pool(&world, 10);
    active(&pool, 10).await;
    for number in 0..10 {
        assert!(pool.remove(&format!("a{number}")));
    }
    drop(pool);
    revoked(&world, 10).await;
}

#[tokio::test]
async fn tokens_that_a_login_brings_after_a_removal_are_revoked() {
    let world = World::with_accounts(1);
    world.server.inject(Endpoint::Login, Fault::HangAfterProcessing(SECOND / 2), Times::Always);
    let pool = pool(&world, 1);
    until("the login is under way", async || world.server.stats().auth_requests == 1).await;
    assert!(pool.remove("a0"));
    revoked(&world, 1).await;
    assert_eq!(world.server.stats().logins, 1);
}

#[tokio::test]
async fn tokens_that_a_refresh_brings_after_a_removal_are_revoked_and_the_spent_one_is_not() {
    let world = World::with_accounts(1);
    let pool = pool(&world, 1);
    active(&pool, 1).await;
    world.server.inject(Endpoint::Refresh, Fault::Hang(SECOND / 2), Times::Always);
    world.pass(57 * MINUTE);
    until("the refresh is under way", async || world.server.stats().auth_requests == 2).await;
    assert!(pool.remove("a0"));
    revoked(&world, 1).await;
    let stats = world.server.stats();
    assert_eq!((stats.refreshes, stats.failed_refreshes), (1, 0));
}

#[tokio::test]
async fn an_account_whose_token_cannot_be_revoked_is_removed_all_the_same() {
    let world = World::with_accounts(2);
    let pool = pool(&world, 1);
    pool.add(account_revoked_at(&world, 1, "/no/such/endpoint")).unwrap();
    active(&pool, 2).await;
    assert!(pool.remove("a1") && !pool.remove("a1"));
    pool.add(account(&world, 1)).unwrap();
    active(&pool, 2).await;
    assert!(pool.remove("a1"));
    revoked(&world, 1).await;
    assert_eq!(pool.status().accounts, 1);
}
