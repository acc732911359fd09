//! What surrounds the block of a future may change its result.

use futures_util::future::{BoxFuture, FutureExt, TryFutureExt};
use jwt_refresh::prelude::*;
use jwt_refresh::{Error, Unauthorized};
use tracing::Instrument;

use crate::api::{ApiError, Result, Server, assert_send, session};

struct Api {
    session: Session,
    server: Server,
}

#[derive(Debug, PartialEq)]
struct Product(u64);

impl From<u64> for Product {
    fn from(raw: u64) -> Self {
        Self(raw)
    }
}

/// An error that only the block has.
#[derive(Debug)]
struct RawError(ApiError);

impl From<ApiError> for RawError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<Error> for RawError {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl Unauthorized for RawError {
    fn is_unauthorized(&self) -> bool {
        self.0.is_unauthorized()
    }
}

impl From<RawError> for ApiError {
    fn from(error: RawError) -> Self {
        error.0
    }
}

fn wrap<'a>(raw: impl Future<Output = Result<u64, RawError>> + Send + 'a) -> BoxFuture<'a, Result<Product>> {
    raw.map_ok(Product).err_into().boxed()
}

fn traced<'a, T>(future: impl Future<Output = Result<T>> + Send + 'a) -> BoxFuture<'a, Result<T>> {
    future.boxed()
}

#[refresh_token(token)]
impl Api {
    fn ok(&self) -> BoxFuture<'_, Result<Product>> {
        async move { Ok::<u64, ApiError>(token.generation()) }.map_ok(Product::from).boxed()
    }

    fn ok_of_a_call(&self) -> impl Future<Output = Result<Product>> {
        async move { self.server.call(&token).or(Ok(token.generation())) }.map_ok(Product::from)
    }

    fn error(&self) -> BoxFuture<'_, Result<Product>> {
        async move { Ok::<_, RawError>(Product(token.generation())) }.map_err(|RawError(error)| error).boxed()
    }

    fn then(&self) -> BoxFuture<'_, Result<Product>> {
        async move { Ok::<u64, RawError>(token.generation()) }.then(|raw| async move { Ok(Product(raw?)) }).boxed()
    }

    fn map(&self) -> BoxFuture<'_, Result<Product>> {
        Box::pin(async move { Ok::<u64, ApiError>(token.generation()) }.map(|raw| raw.map(Product)))
    }

    fn wrapped(&self) -> BoxFuture<'_, Result<Product>> {
        wrap(async move { Ok(token.generation()) })
    }

    fn instrumented(&self) -> BoxFuture<'_, Result<String>> {
        async move { Ok(token.generation().to_string().into()) }.instrument(tracing::Span::none()).boxed()
    }
}

#[refresh_token(token, retry)]
impl Api {
    fn ok_again(&self) -> BoxFuture<'_, Result<Product>> {
        async move {
            let raw = self.server.call(&token)?;
            Ok(raw)
        }
        .map_ok(Product::from)
        .boxed()
    }

    fn ok_of_a_call_again(&self) -> impl Future<Output = Result<Product, ApiError>> {
        async move { self.server.call(&token) }.map_ok(Product::from)
    }

    fn error_again(&self) -> BoxFuture<'_, Result<Product>> {
        async move { Ok::<_, RawError>(Product(self.server.call(&token)?)) }.map_err(ApiError::from).boxed()
    }

    fn then_again(&self) -> BoxFuture<'_, Result<Product>> {
        async move { Ok::<_, RawError>(self.server.call(&token)?) }.then(|raw| async move { Ok(Product(raw?)) }).boxed()
    }

    fn map_again(&self) -> BoxFuture<'_, Result<Product>> {
        Box::pin(async move { Ok(self.server.call(&token)?) }.map(|raw| raw.map(Product)))
    }

    fn wrapped_again(&self) -> BoxFuture<'_, Result<Product>> {
        wrap(async move { Ok::<u64, RawError>(self.server.call(&token)?) })
    }

    /// The block does not say what it evaluates to.
    fn traced_again(&self) -> BoxFuture<'_, Result<String>> {
        traced(async move { Ok(self.server.call(&token)?.to_string().into()) })
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let api = Api { session: session().await, server: Server::default() };
    assert_eq!(assert_send(api.ok()).await.unwrap(), Product(1));
    assert_eq!(assert_send(api.ok_of_a_call()).await.unwrap(), Product(1));
    assert_eq!(assert_send(api.error()).await.unwrap(), Product(1));
    assert_eq!(assert_send(api.then()).await.unwrap(), Product(1));
    assert_eq!(assert_send(api.map()).await.unwrap(), Product(1));
    assert_eq!(assert_send(api.wrapped()).await.unwrap(), Product(1));
    assert_eq!(assert_send(api.instrumented()).await.unwrap(), "1");
}

#[tokio::test]
async fn runs_again() {
    let api = || async { Api { session: session().await, server: Server::default() } };
    assert_eq!(assert_send(api().await.ok_again()).await.unwrap(), Product(2));
    assert_eq!(assert_send(api().await.ok_of_a_call_again()).await.unwrap(), Product(2));
    assert_eq!(assert_send(api().await.error_again()).await.unwrap(), Product(2));
    assert_eq!(assert_send(api().await.then_again()).await.unwrap(), Product(2));
    assert_eq!(assert_send(api().await.map_again()).await.unwrap(), Product(2));
    assert_eq!(assert_send(api().await.wrapped_again()).await.unwrap(), Product(2));
    assert_eq!(assert_send(api().await.traced_again()).await.unwrap(), "2");
}
