//! A typed wrapper for the API of a shop.

use futures_util::Stream;
use futures_util::stream::{self, TryStreamExt};
use jwt_refresh::Unauthorized;
use jwt_refresh::prelude::*;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The shop's API, logged in.
pub struct Shop {
    products: Products,
    inventory: Inventory,
}

impl Shop {
    /// Logs in at the shop at `base`.
    pub async fn connect(base: &str, email: &str, password: &str) -> Result<Self, ShopError> {
        let login = HttpAuthenticator::builder(format!("{base}/api/auth/login"))
            .refresh_url(format!("{base}/api/auth/refresh"))
            .field("email", email)
            .secret_field("password", password)
            .build()?;
        let session = Session::builder(login).login().await?;
        let caller = Caller { http: reqwest::Client::new(), base: format!("{base}/api/v1") };
        Ok(Self {
            products: Products { caller: caller.clone(), session: session.clone() },
            inventory: Inventory { caller, session },
        })
    }

    /// What is sold.
    pub fn products(&self) -> &Products {
        &self.products
    }

    /// What is in stock, and for how much.
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

/// `/products`.
pub struct Products {
    caller: Caller,
    session: Session,
}

#[refresh_token(token, retry)]
impl Products {
    pub async fn get(&self, id: u64) -> Result<Product, ShopError> {
        let request = self.caller.http.get(self.caller.url(&format!("products/{id}")));
        self.caller.read(request.bearer(&token)).await
    }

    /// Renaming twice comes to the same, so it may be retried.
    pub async fn rename(&self, id: u64, name: &str) -> Result<Product, ShopError> {
        let request = self.caller.http.patch(self.caller.url(&format!("products/{id}"))).json(name);
        self.caller.read(request.bearer(&token)).await
    }

    pub async fn delete(&self, id: u64) -> Result<(), ShopError> {
        let request = self.caller.http.delete(self.caller.url(&format!("products/{id}")));
        self.caller.send(request.bearer(&token)).await.map(drop)
    }
}

/// What a product costs.
#[derive(Debug, Deserialize)]
pub struct Price {
    pub price_cents: u64,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Price>,
    next: Option<u32>,
}

/// `/inventory`.
pub struct Inventory {
    caller: Caller,
    session: Session,
}

impl Inventory {
    /// All prices, page by page as they are asked for. A token that expires between two pages is no affair of the caller's.
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
        let request = self.caller.http.get(self.caller.url("inventory/pricing")).query(&[("page", number)]);
        self.caller.read(request.bearer(&token)).await
    }
}

/// What all families share: where the API is, and what its answers mean.
#[derive(Clone)]
struct Caller {
    http: reqwest::Client,
    base: String,
}

impl Caller {
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

/// Why the shop did not do what it was asked.
#[derive(Debug)]
pub enum ShopError {
    /// There is no such thing.
    NotFound,
    /// This account may not do that.
    Forbidden,
    /// The token was rejected.
    Unauthorized,
    /// There is no token.
    Login(jwt_refresh::Error),
    /// The network, or an answer that makes no sense.
    Http(reqwest::Error),
}

/// This is all that `retry` needs to know.
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

    use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};

    use super::*;

    async fn shop() -> (TestServer, Shop) {
        let server = TestServer::start();
        let shop = Shop::connect(server.base_url(), server.email(), server.password()).await.unwrap();
        (server, shop)
    }

    #[tokio::test]
    async fn a_wrong_password_is_known_when_connecting() {
        let server = TestServer::start();
        let error = Shop::connect(server.base_url(), server.email(), "wrong").await.err().unwrap();
        assert!(matches!(error, ShopError::Login(error) if !error.is_transient()));
    }

    #[tokio::test]
    async fn all_pages_come_as_one_stream_and_a_key_change_between_two_is_not_seen() {
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
    async fn a_rename_that_is_rejected_is_done_once_in_the_end() {
        let (server, shop) = shop().await;
        server.rotate_signing_key();
        assert_eq!(shop.products().rename(1, "Chair").await.unwrap().name, "Chair");
        assert_eq!(shop.products().get(1).await.unwrap().name, "Chair");
    }

    #[tokio::test]
    async fn what_is_forbidden_or_missing_is_told_as_that() {
        let (server, shop) = shop().await;
        assert!(matches!(shop.products().delete(1).await, Err(ShopError::Forbidden)));
        server.inject(Endpoint::Api, Fault::Status(404), Times::Once);
        assert!(matches!(shop.products().get(1).await, Err(ShopError::NotFound)));
        assert_eq!(server.stats().refreshes, 0);
    }
}
