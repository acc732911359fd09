//! A typed wrapper for the API of a shop.

use futures_util::Stream;
use futures_util::stream::{self, TryStreamExt};
use jwt_refresh::Unauthorized;
use jwt_refresh::prelude::*;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The API of a shop, logged in to an account.
pub struct Shop {
    products: Products,
    inventory: Inventory,
}

impl Shop {
    /// Logs in to the shop whose URL is `base`.
    pub async fn connect(base: &str, email: &str, password: &str) -> Result<Self, ShopError> {
        let login = HttpAuthenticator::builder(format!("{base}/api/auth/login"))
            .refresh_url(format!("{base}/api/auth/refresh"))
            .field("email", email)
            .secret_field("password", password)
            .build()?;
        let session = Session::builder(login).connect().await?;
        let api = ApiClient { http: reqwest::Client::new(), base: format!("{base}/api/v1") };
        // A clone of a session is a handle on the same tokens, so there is one login for all.
        Ok(Self {
            products: Products { api: api.clone(), session: session.clone() },
            inventory: Inventory { api, session },
        })
    }

    /// Returns the endpoints for products.
    pub fn products(&self) -> &Products {
        &self.products
    }

    /// Returns the endpoints for stock and prices.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }
}

/// A product.
#[derive(Debug, Deserialize)]
pub struct Product {
    pub id: u64,
    pub name: String,
}

/// The endpoints below `/products`.
pub struct Products {
    api: ApiClient,
    session: Session,
}

// Before the body of a method runs, the attribute gets a valid access token from `self.session`,
// which is `token` in the body. With `retry`, an error for which `is_unauthorized` is true renews
// the token and runs the body once more.
#[refresh_token(token, retry)]
impl Products {
    pub async fn get(&self, id: u64) -> Result<Product, ShopError> {
        let request = self.api.http.get(self.api.url(&format!("products/{id}")));
        self.api.read(request.bearer(&token)).await
    }

    /// Renames a product. Doing it twice has the same result, so it may be retried.
    pub async fn rename(&self, id: u64, name: &str) -> Result<Product, ShopError> {
        let request = self.api.http.patch(self.api.url(&format!("products/{id}"))).json(name);
        self.api.read(request.bearer(&token)).await
    }

    pub async fn delete(&self, id: u64) -> Result<(), ShopError> {
        let request = self.api.http.delete(self.api.url(&format!("products/{id}")));
        self.api.send(request.bearer(&token)).await.map(drop)
    }
}

/// The price of a product.
#[derive(Debug, Deserialize)]
pub struct Price {
    pub price_cents: u64,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Price>,
    next: Option<u32>,
}

/// The endpoints below `/inventory`.
pub struct Inventory {
    api: ApiClient,
    session: Session,
}

impl Inventory {
    /// Returns all prices as a stream, which fetches the next page when it is needed. If the token
    /// expires between two pages, it is renewed, and the stream goes on.
    pub fn prices(&self) -> impl Stream<Item = Result<Price, ShopError>> + '_ {
        let pages = stream::try_unfold(Some(1), async |page| {
            let Some(number) = page else { return Ok(None) };
            let page = self.page(number).await?;
            let items = stream::iter(page.items.into_iter().map(Ok));
            Ok::<_, ShopError>(Some((items, page.next)))
        });
        pages.try_flatten()
    }

    #[refresh_token(token, retry)]
    async fn page(&self, number: u32) -> Result<Page, ShopError> {
        let request = self.api.http.get(self.api.url("inventory/pricing")).query(&[("page", number)]);
        self.api.read(request.bearer(&token)).await
    }
}

/// What all groups of endpoints share: where the API is, and what its answers mean.
#[derive(Clone)]
struct ApiClient {
    http: reqwest::Client,
    base: String,
}

impl ApiClient {
    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, ShopError> {
        let answer = request.send().await?;
        match answer.status() {
            StatusCode::UNAUTHORIZED => Err(ShopError::Unauthorized),
            StatusCode::FORBIDDEN => Err(ShopError::Forbidden),
            StatusCode::NOT_FOUND => Err(ShopError::NotFound),
            _ => Ok(answer.error_for_status()?),
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, ShopError> {
        Ok(self.send(request).await?.json().await?)
    }
}

/// Why a call of the shop failed.
#[derive(Debug)]
pub enum ShopError {
    /// The shop does not have what was asked for.
    NotFound,
    /// The account may not do this.
    Forbidden,
    /// The shop rejected the token.
    Unauthorized,
    /// There is no token, since the login or refresh failed.
    Login(jwt_refresh::Error),
    /// The network failed, or the answer was not as expected.
    Http(reqwest::Error),
}

/// Tells `retry` which error means that the token was rejected.
impl Unauthorized for ShopError {
    fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Unauthorized)
    }
}

impl From<jwt_refresh::Error> for ShopError {
    fn from(error: jwt_refresh::Error) -> Self {
        Self::Login(error)
    }
}

impl From<reqwest::Error> for ShopError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl std::fmt::Display for ShopError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotFound => "the shop has no such thing",
            Self::Forbidden => "this account may not do that",
            Self::Unauthorized => "the shop rejected the token",
            Self::Login(_) => "not logged in at the shop",
            Self::Http(_) => "the shop did not answer as it should",
        })
    }
}

impl std::error::Error for ShopError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Login(error) => Some(error),
            Self::Http(error) => Some(error),
            Self::NotFound | Self::Forbidden | Self::Unauthorized => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use jwt_refresh_testkit::{Answer, Endpoint, Fault, Route, TestServer, Times};
    use serde_json::json;

    use super::*;

    // A server with a route of this test's own. The other tests use the API that the kit has.
    #[tokio::test]
    async fn a_product_that_is_gone_is_an_error_of_its_own_after_a_renewal_too() {
        let server = TestServer::builder()
            .route(Route::get("/api/v1/products/{id}", |request| match request.param("id") {
                "7" => Answer::from(json!({ "id": 7, "name": "Lamp" })),
                _ => Answer::new(404),
            }))
            .start();
        let shop = Shop::connect(server.base_url(), server.email(), server.password()).await.unwrap();
        assert_eq!(shop.products().get(7).await.unwrap().name, "Lamp");

        server.rotate_signing_key(); // the token is rejected; `retry` renews it and asks again
        assert!(matches!(shop.products().get(8).await, Err(ShopError::NotFound)));
        assert_eq!((server.stats().rejected, server.stats().refreshes), (1, 1));
        assert_eq!(server.requests().last().unwrap().path(), "/api/v1/products/8");
    }

    async fn shop() -> (TestServer, Shop) {
        let server = TestServer::start();
        let shop = Shop::connect(server.base_url(), server.email(), server.password()).await.unwrap();
        (server, shop)
    }

    #[tokio::test]
    async fn connecting_with_a_wrong_password_fails() {
        let server = TestServer::start();
        let error = Shop::connect(server.base_url(), server.email(), "wrong").await.err().unwrap();
        assert!(matches!(error, ShopError::Login(error) if !error.is_transient()));
    }

    #[tokio::test]
    async fn the_stream_contains_all_pages_despite_a_key_change_between_two() {
        let (server, shop) = shop().await;
        let mut prices = pin!(shop.inventory().prices());
        let mut count = 0;
        while prices.try_next().await.unwrap().is_some() {
            count += 1;
            if count == 15 {
                server.rotate_signing_key();
            }
        }
        assert_eq!(count, 50);
        assert_eq!((server.stats().rejected, server.stats().refreshes), (1, 1));
    }

    #[tokio::test]
    async fn a_rename_with_a_rejected_token_is_retried() {
        let (server, shop) = shop().await;
        server.rotate_signing_key();
        assert_eq!(shop.products().rename(1, "Chair").await.unwrap().name, "Chair");
        assert_eq!(shop.products().get(1).await.unwrap().name, "Chair");
    }

    #[tokio::test]
    async fn forbidden_and_missing_products_are_errors_of_their_own() {
        let (server, shop) = shop().await;
        assert!(matches!(shop.products().delete(1).await, Err(ShopError::Forbidden)));
        server.inject(Endpoint::Api, Fault::Status(404), Times::Once);
        assert!(matches!(shop.products().get(1).await, Err(ShopError::NotFound)));
        assert_eq!(server.stats().refreshes, 0);
    }
}
