//! Pools on one machine, whose accounts are in a `RedisStore`.

use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::store::RedisStore;
use jwt_refresh_testkit::TestServer;

use crate::store;
use crate::support::{HOUR, MINUTE, RedisServer, World, account_login, account_name, until, with_accounts};

const ACCOUNTS: usize = 10;

fn pool(world: &World, store: RedisStore) -> Pool {
    let account = |number| {
        let login = account_login(&world.server, number).revocation_url(world.server.url("/api/auth/revoke"));
        Account::new(account_name(number), login.build().unwrap())
    };
    Pool::builder().clock(&world.clock).store(store).accounts((0..ACCOUNTS).map(account)).build().unwrap()
}

async fn active(pool: &Pool) {
    until("all serve", async || pool.status().active == ACCOUNTS).await;
}

#[tokio::test]
async fn two_pools_on_one_redis_log_each_account_in_once_and_so_does_the_next_process() {
    let redis = RedisServer::start().await;
    let world = World::with(with_accounts(TestServer::builder().access_lifetime(HOUR), ACCOUNTS).start());
    let pools = [(); 2].map(|()| pool(&world, store(&redis)));
    for pool in &pools {
        active(pool).await;
    }
    drop(pools);
    world.pass(MINUTE);
    let next = pool(&world, store(&redis));
    active(&next).await;
    assert_eq!(world.call_with(&next.lease().await.unwrap()).await, 200);
    assert_eq!((world.server.stats().logins, world.server.stats().refreshes), (10, 0));

    for number in 0..ACCOUNTS {
        assert!(next.remove(&account_name(number)));
    }
    until("all are revoked", async || world.server.stats().revocations == 10).await;
}
