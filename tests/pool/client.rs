//! The HTTP client of an account: its logins, refreshes and calls look the same to the server,
//! which binds tokens to how the login came.

use std::net::IpAddr;

use jwt_refresh::pool::{Account, Lease, Pool};
use jwt_refresh::{Authenticator, Error, ErrorKind, HttpClient, RefreshToken, Session, Tokens};
use jwt_refresh_testkit::{TestServer, TokenBinding};

use crate::active;
use crate::support::{HttpProxy, PASSWORD, PAST_EXPIRY, SECOND, World, account_login, account_name, login};

/// A server with one account for pools, whose tokens are bound.
fn world(binding: TokenBinding) -> World {
    World::with(TestServer::builder().account(&account_name(0), PASSWORD).bind_tokens(binding).start())
}

/// The account `a0`. What it sends to this machine may go through a proxy.
fn account(world: &World) -> Account {
    Account::new(account_name(0), account_login(&world.server, 0).allow_plain_http().build().unwrap())
}

async fn call(world: &World, lease: &Lease) -> u16 {
    let request = lease.client().unwrap().get(world.server.url("/api/v1/products/1"));
    request.header("authorization", lease.token()).send().await.unwrap().status().as_u16()
}

/// Logs the account in, calls, refreshes it and calls again, all with success.
async fn live(world: &World, account: Account) -> Pool {
    let pool = world.pool_of([account]).build().unwrap();
    active(&pool, 1).await;
    assert_eq!(call(world, &pool.lease().await.unwrap()).await, 200);
    world.pass(58 * SECOND);
    assert_eq!(call(world, &pool.lease().await.unwrap()).await, 200);
    let stats = world.server.account_stats(&account_name(0));
    assert_eq!((stats.logins, stats.refreshes, stats.failed_refreshes, stats.rejected), (1, 1, 0, 0));
    pool
}

fn assert_all_came_from(world: &World, address: IpAddr) {
    let requests = world.server.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request.peer() == address), "{requests:?}");
}

#[cfg(target_os = "linux")] // which has all of 127.0.0.0/8
#[tokio::test]
async fn an_account_behind_a_proxy_logs_in_refreshes_and_calls_through_it() {
    let world = world(TokenBinding::Address);
    let address = [127, 0, 0, 3].into();
    let proxy = HttpProxy::start(address).await;
    drop(live(&world, account(&world).proxy(&proxy.url()).unwrap()).await);
    assert_all_came_from(&world, address);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_account_with_a_source_address_logs_in_refreshes_and_calls_from_it() {
    let world = world(TokenBinding::Address);
    let address = [127, 0, 0, 2].into();
    drop(live(&world, account(&world).local_address(address).unwrap()).await);
    assert_all_came_from(&world, address);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn proxy_address_and_headers_of_an_account_add_up() {
    let world = world(TokenBinding::Header("user-agent".to_owned()));
    let proxy = HttpProxy::start([127, 0, 0, 4].into()).await;
    let account = account(&world).client(|| reqwest::Client::builder().user_agent("catalog/1.0")).unwrap();
    let account = account.local_address([127, 0, 0, 2].into()).unwrap().proxy(&proxy.url()).unwrap();
    drop(live(&world, account).await);
    assert_all_came_from(&world, [127, 0, 0, 4].into());
    assert!(world.server.requests().iter().all(|request| request.header("user-agent") == Some("catalog/1.0")));
}

#[tokio::test]
async fn an_accounts_cookies_are_those_of_its_logins_refreshes_and_calls() {
    let world = world(TokenBinding::Cookie("device".to_owned()));
    let headers: http::HeaderMap = [(http::header::COOKIE, "device=d7".parse().unwrap())].into_iter().collect();
    let client = HttpClient::new(move || reqwest::Client::builder().default_headers(headers.clone()));
    drop(live(&world, account(&world).client(client).unwrap()).await);
}

#[tokio::test]
async fn a_session_and_its_calls_have_one_setting() {
    let server = TestServer::builder().bind_tokens(TokenBinding::Header("user-agent".to_owned())).start();
    let world = World::with(server);
    let client = HttpClient::new(|| reqwest::Client::builder().user_agent("catalog/1.0"));
    let login = login(&world.server).client(client.clone()).build().unwrap();
    let (http, session) = (client.calls().unwrap(), Session::builder(login).clock(&world.clock).build());
    for _ in 0..2 {
        let request = http.get(world.server.url("/api/v1/products/1"));
        let request = request.header("authorization", &session.token().await.unwrap());
        assert_eq!(request.send().await.unwrap().status(), 200);
        world.pass(PAST_EXPIRY);
    }
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.rejected), (1, 1, 0));
}

struct OfMyOwn;

impl Authenticator for OfMyOwn {
    async fn login(&self) -> Result<Tokens, Error> {
        Tokens::new("x")
    }

    async fn refresh(&self, _: &RefreshToken) -> Result<Tokens, Error> {
        Tokens::new("x")
    }
}

#[test]
fn a_client_that_cannot_be_set_is_a_named_error() {
    let error = Account::new("ada", OfMyOwn).proxy("http://127.0.0.1:9").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("Authenticator::with_client"), "{error}");
    let error = Account::new("ada", OfMyOwn).proxy("http://user:S3cret@").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("proxy"), "{error}");
    assert!(!format!("{error} {error:?}").contains("S3cret"), "{error:?}");
}
