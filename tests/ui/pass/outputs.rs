use std::error::Error as StdError;

use futures_util::stream::{self, Stream, StreamExt};
use jwt_refresh::prelude::*;
use jwt_refresh::{Error, Unauthorized};

use crate::api::{ApiError, Server, assert_send, session};

struct Api {
    session: Session,
    server: Server,
}

type Answer<T> = Result<T, ApiError>;
type Count = Result<u64, ApiError>;

/// An error that has a source, but does not implement `Unauthorized`.
#[derive(Debug)]
struct Wrapped(Box<dyn StdError + Send + Sync>);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Wrapped {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

impl From<Error> for Wrapped {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl From<ApiError> for Wrapped {
    fn from(error: ApiError) -> Self {
        Self(error.into())
    }
}

/// A response inside `Ok`.
#[derive(Debug)]
struct Response(u16);

impl Unauthorized for Response {
    fn is_unauthorized(&self) -> bool {
        self.0 == 401
    }
}

#[refresh_token(token, retry)]
impl Api {
    async fn alias(&self) -> Answer<u64> {
        self.server.call(&token)
    }

    async fn alias_without_parameters(&self) -> Count {
        self.server.call(&token)
    }

    async fn ours(&self) -> Result<u64, Error> {
        Ok(token.generation())
    }

    async fn boxed(&self) -> Result<u64, Box<dyn StdError>> {
        Ok(self.server.call(&token)?)
    }

    async fn boxed_send(&self) -> Result<u64, Box<dyn StdError + Send + Sync>> {
        Ok(self.server.call(&token)?)
    }

    async fn anyhow(&self) -> anyhow::Result<u64> {
        use anyhow::Context;
        self.server.call(&token).context("on the way")
    }

    async fn eyre(&self) -> eyre::Result<u64> {
        Ok(self.server.call(&token)?)
    }

    async fn wrapped(&self) -> Result<u64, Wrapped> {
        Ok(self.server.call(&token)?)
    }

    async fn response(&self) -> Result<Response, Wrapped> {
        Ok(Response(self.server.call(&token).map_or(401, |_| 200)))
    }

    async fn http_response(&self) -> Result<http::Response<Vec<u8>>, Wrapped> {
        let mut response = http::Response::new(Vec::new());
        if self.server.call(&token).is_err() {
            *response.status_mut() = http::StatusCode::UNAUTHORIZED;
        }
        Ok(response)
    }

    async fn generic<E: From<Error> + From<ApiError> + Unauthorized>(&self) -> Result<u64, E> {
        Ok(self.server.call(&token)?)
    }

    async fn opaque(&self) -> Result<impl Stream<Item = u64> + use<>, ApiError> {
        let calls = self.server.call(&token)?;
        Ok(stream::iter([calls]))
    }

    #[refresh_token(retry_if = is_401)]
    async fn predicate_on_errors(&self) -> Result<u64, u16Error> {
        self.server.call(&token).map_err(|_| u16Error(401))
    }

    #[refresh_token(retry_if = Self::is_rejected)]
    async fn predicate_on_results(&self) -> Result<Option<u64>, u16Error> {
        Ok(self.server.call(&token).ok())
    }
}

impl Api {
    #[allow(clippy::ref_option_ref, reason = "it takes the result of the method")]
    const fn is_rejected(result: &Result<Option<u64>, u16Error>) -> bool {
        matches!(result, Ok(None))
    }
}

#[allow(non_camel_case_types, reason = "like an error of another crate, it follows no convention")]
#[derive(Debug)]
struct u16Error(u16);

impl From<Error> for u16Error {
    fn from(_: Error) -> Self {
        Self(500)
    }
}

const fn is_401(error: &u16Error) -> bool {
    error.0 == 401
}

async fn api() -> Api {
    Api { session: session().await, server: Server::default() }
}

#[tokio::test]
async fn a_result_that_reports_a_401_is_retried() {
    assert_eq!(api().await.alias().await.unwrap(), 2);
    assert_eq!(api().await.alias_without_parameters().await.unwrap(), 2);
    assert_eq!(api().await.generic::<ApiError>().await.unwrap(), 2);
    assert_eq!(api().await.response().await.unwrap().0, 200);
    assert_eq!(api().await.http_response().await.unwrap().status(), 200);
    assert_eq!(assert_send(api().await.opaque()).await.unwrap().collect::<Vec<_>>().await, [2]);
    assert_eq!(api().await.predicate_on_errors().await.unwrap(), 2);
    assert_eq!(api().await.predicate_on_results().await.unwrap(), Some(2));
}

#[tokio::test]
async fn an_error_without_a_known_401_among_its_sources_is_not_retried() {
    assert!(api().await.boxed().await.is_err());
    assert!(api().await.boxed_send().await.is_err());
    assert!(api().await.anyhow().await.is_err());
    assert!(api().await.eyre().await.is_err());
    assert!(api().await.wrapped().await.is_err());
    assert_eq!(api().await.ours().await.unwrap(), 1);
}
