//! Accounts that start with tokens that were captured elsewhere.

use jwt_refresh::pool::{Account, QuarantineCause};
use jwt_refresh::{Authenticator, ErrorKind, HttpAuthenticator, Tokens};

use crate::active;
use crate::support::{HOUR, MINUTE, SECOND, World, account_login, account_name, until};

/// Tokens of the account `a0`, as another program has got them.
async fn captured(world: &World) -> Tokens {
    account_login(&world.server, 0).build().unwrap().login().await.unwrap()
}

#[tokio::test]
async fn captured_tokens_take_the_place_of_a_login_and_are_refreshed() {
    let world = World::with_accounts(1);
    let tokens = captured(&world).await;
    let pool = world.pool_of([world.account(0).tokens(tokens)]).build().unwrap();
    assert_eq!(world.call_with(&pool.lease().await.unwrap()).await, 200);
    world.pass(59 * MINUTE);
    until("they were refreshed", async || world.server.stats().refreshes == 1).await;
    active(&pool, 1).await;
    assert_eq!((world.call_with(&pool.lease().await.unwrap()).await, world.server.stats().logins), (200, 1));
}

#[tokio::test]
async fn an_access_token_that_has_expired_is_refreshed_first() {
    let world = World::with_accounts(1);
    let tokens = captured(&world).await;
    world.pass(MINUTE);
    world.server.set_password(&account_name(0), "changed");
    let expired = tokens.expires_at(world.now() - SECOND);
    let pool = world.pool_of([world.account(0).tokens(expired)]).build().unwrap();
    active(&pool, 1).await;
    assert_eq!((world.server.stats().logins, world.server.stats().refreshes), (1, 1));
}

#[tokio::test]
async fn an_account_without_login_serves_until_its_tokens_end_and_says_then_what_is_missing() {
    let world = World::with_accounts(1);
    let access = captured(&world).await.access().expose().to_owned();
    let tokens = Tokens::new(access).unwrap().expires_in(HOUR);
    let pool = world.pool_of([Account::without_login("a0").tokens(tokens)]).build().unwrap();
    assert_eq!(world.call_with(&pool.lease().await.unwrap()).await, 200);

    world.pass(2 * HOUR);
    let error = pool.lease().await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::NoAccount, None));
    assert!(error.to_string().contains("\"a0\", for example (no tokens and no login)"), "{error}");
    let [ref one] = pool.status().quarantined[..] else { panic!("{:?}", pool.status()) };
    assert_eq!((one.cause, one.returns_in), (QuarantineCause::NoLogin, None));
    // It is not tried again.
    world.pass(24 * HOUR);
    assert_eq!(pool.status().quarantined[0].cause, QuarantineCause::NoLogin);

    pool.remove("a0");
    pool.add(Account::without_login("a0").tokens(Tokens::new("other").unwrap())).unwrap();
    assert_eq!(pool.lease().await.unwrap().expose(), "other");
}

#[tokio::test]
async fn captured_tokens_whose_refresh_is_refused_end_in_a_named_error_without_a_login() {
    let world = World::with_accounts(1);
    let tokens = captured(&world).await;
    let refresh = HttpAuthenticator::without_login().refresh_url(world.server.url("/api/auth/refresh"));
    let account = Account::new("a0", refresh.build().unwrap()).tokens(tokens);
    let pool = world.pool_of([account]).build().unwrap();
    assert_eq!(world.call_with(&pool.lease().await.unwrap()).await, 200);
    world.server.revoke_refresh_tokens();
    pool.lease().await.unwrap().rejected();
    until("it is out", async || pool.status().quarantined[0].cause == QuarantineCause::NoLogin).await;
    let error = pool.lease().await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("the refresh token is no longer accepted") && cause.contains("no way to log in"), "{cause}");
    assert_eq!(world.server.stats().logins, 1);
}

#[tokio::test]
async fn an_account_without_login_and_tokens_is_out_from_the_start() {
    let world = World::with_accounts(1);
    let pool = world.pool_of([Account::without_login("a0")]).build().unwrap();
    until("it is out", async || pool.status().quarantined[0].cause == QuarantineCause::NoLogin).await;
}
