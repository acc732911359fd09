//! Tokens of a pool's accounts that are bound to a key.

use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::prelude::*;
use jwt_refresh::{Observed, RequestAuth, RequestRule};

use crate::dpop::login;
use crate::dpop_server::DpopServer;
use crate::support::{BoxError, http_client};

#[tokio::test]
async fn a_lease_of_a_pool_has_proofs_and_keeps_nonces_too() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let pool = Pool::builder().account(Account::new("ada", login(&server)).concurrency(1)).build().unwrap();
    let (http, url) = (http_client(), server.url("/orders"));
    let by_hand = async || {
        let lease = pool.lease().await.unwrap();
        http.get(&url).bearer(&lease).send().await.unwrap().observed(&lease).status()
    };
    dpop.want_api_nonce("one");
    assert_eq!((by_hand().await.as_u16(), by_hand().await.as_u16()), (401, 200));
    assert_eq!(dpop.log(), ["login", "api: nonce", "api"]);

    let auth = RequestAuth::new(pool.clone(), RequestRule::for_origin(server.url("")).unwrap());
    dpop.want_api_nonce("two");
    let answer = auth.execute(&http, http.get(&url).build().unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), dpop.log()), (200, vec!["api: nonce".to_owned(), "api".to_owned()]));
    drop(answer);

    let orders = PooledOrders { http, url, pool };
    dpop.want_api_nonce("three");
    assert_eq!(orders.response().await.unwrap().status(), 401, "another lease may be another account's");
    assert_eq!(orders.response().await.unwrap().status(), 200);
    assert_eq!(dpop.log(), ["api: nonce", "api"]);
}

struct PooledOrders {
    http: reqwest::Client,
    url: String,
    pool: Pool,
}

#[refresh_token(from = self.pool, token, retry)]
impl PooledOrders {
    async fn response(&self) -> Result<reqwest::Response, BoxError> {
        Ok(self.http.get(&self.url).bearer(&token).send().await?)
    }
}
