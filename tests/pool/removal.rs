use jwt_refresh::HttpAuthenticator;
use jwt_refresh::pool::{Account, Pool};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use crate::{MINUTE, SECOND, World, active, policy, until};

/// The `number`th account, which says good-bye.
fn account(world: &World, number: usize) -> Account {
    let name = format!("a{number}");
    let login = HttpAuthenticator::builder(world.server.url("/api/auth/login"))
        .refresh_url(world.server.url("/api/auth/refresh"))
        .revocation_url(world.server.url("/api/auth/revoke"))
        .field("email", &name)
        .secret_field("password", "secret")
        .build()
        .unwrap();
    Account::new(name, login)
}

fn pool(world: &World, number: usize) -> Pool {
    let accounts = (0..number).map(|number| account(world, number));
    Pool::builder().clock(&world.clock).policy(policy().exchanges(2)).accounts(accounts).build().unwrap()
}

async fn revoked(world: &World, number: u64) {
    until(&format!("{number} tokens are revoked"), || world.server.stats().revocations == number).await;
}

#[tokio::test]
async fn a_removed_accounts_refresh_token_is_revoked() {
    let world = World::new(2);
    let pool = pool(&world, 2);
    active(&pool, 2).await;
    assert!(pool.remove("a0"));
    revoked(&world, 1).await;
    assert_eq!(pool.lease().await.unwrap().account(), "a1");
}

#[tokio::test]
async fn all_of_many_removed_accounts_are_revoked_even_if_the_pool_is_dropped() {
    let world = World::new(10);
    let pool = pool(&world, 10);
    active(&pool, 10).await;
    for number in 0..10 {
        assert!(pool.remove(&format!("a{number}")));
    }
    drop(pool);
    revoked(&world, 10).await;
}

#[tokio::test]
async fn what_a_login_brings_for_an_account_removed_meanwhile_is_revoked() {
    let world = World::new(1);
    world.server.inject(Endpoint::Login, Fault::HangAfterProcessing(SECOND / 2), Times::Always);
    let pool = pool(&world, 1);
    until("it logs in", || world.server.stats().auth_requests == 1).await;
    assert!(pool.remove("a0"));
    revoked(&world, 1).await;
    assert_eq!(world.server.stats().logins, 1);
}

#[tokio::test]
async fn what_a_refresh_brings_for_an_account_removed_meanwhile_is_revoked_and_not_what_it_spends() {
    let world = World::new(1);
    let pool = pool(&world, 1);
    active(&pool, 1).await;
    world.server.inject(Endpoint::Refresh, Fault::Hang(SECOND / 2), Times::Always);
    world.pass(57 * MINUTE);
    until("it is refreshed", || world.server.stats().auth_requests == 2).await;
    assert!(pool.remove("a0"));
    revoked(&world, 1).await;
    let stats = world.server.stats();
    assert_eq!((stats.refreshes, stats.failed_refreshes), (1, 0));
}

#[tokio::test]
async fn an_account_whose_token_cannot_be_revoked_is_gone_all_the_same() {
    let world = World::new(2);
    let login = HttpAuthenticator::builder(world.server.url("/api/auth/login"))
        .revocation_url(world.server.url("/no/such/endpoint"))
        .field("email", "a1")
        .secret_field("password", "secret")
        .build()
        .unwrap();
    let pool = pool(&world, 1);
    pool.add(Account::new("a1", login)).unwrap();
    active(&pool, 2).await;
    assert!(pool.remove("a1") && !pool.remove("a1"));
    pool.add(account(&world, 1)).unwrap();
    active(&pool, 2).await;
    assert!(pool.remove("a1"));
    revoked(&world, 1).await;
    assert_eq!(pool.status().accounts, 1);
}
