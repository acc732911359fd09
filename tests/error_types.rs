//! The error types of wrappers, as `retry` sees them: those that hide the error of the HTTP client.

mod support;

use std::error::Error as StdError;
use std::fmt;

use anyhow::Context;
use jwt_refresh::prelude::*;
use jwt_refresh::{Error, Unauthorized};

use support::{World, http_client};

/// What `thiserror` makes of `#[error(transparent)]` with `#[from]`: it shows itself as the error
/// in it, and that one's source is its own.
#[derive(Debug)]
enum Transparent {
    Http(reqwest::Error),
    Auth(Error),
}

impl fmt::Display for Transparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::Auth(error) => error.fmt(f),
        }
    }
}

impl StdError for Transparent {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Http(error) => error.source(),
            Self::Auth(error) => error.source(),
        }
    }
}

impl From<reqwest::Error> for Transparent {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl From<Error> for Transparent {
    fn from(error: Error) -> Self {
        Self::Auth(error)
    }
}

struct Api {
    http: reqwest::Client,
    world: World,
    session: Session,
}

impl Api {
    async fn logged_in() -> Self {
        let world = World::new();
        let session = world.session().connect().await.unwrap();
        Self { http: http_client(), world, session }
    }

    async fn get(&self, path: &str, token: &AccessToken) -> Result<String, reqwest::Error> {
        let request = self.http.get(self.world.server.url(path)).bearer(token);
        request.send().await?.error_for_status()?.text().await
    }
}

#[refresh_token(token, retry)]
impl Api {
    async fn transparent(&self) -> Result<String, Transparent> {
        Ok(self.get("/api/v1/products/1", &token).await?)
    }

    async fn with_context(&self) -> anyhow::Result<String> {
        let answer = self.get("/api/v1/products/1", &token).await;
        answer.map_err(Transparent::from).context("the product could not be read")
    }

    async fn missing(&self) -> Result<String, Transparent> {
        Ok(self.get("/api/v1/missing", &token).await?)
    }
}

#[tokio::test]
async fn a_401_is_seen_in_an_error_that_shows_itself_as_that_of_reqwest() {
    let api = Api::logged_in().await;
    api.world.server.rotate_signing_key();
    api.transparent().await.unwrap();
    api.world.server.rotate_signing_key();
    api.with_context().await.unwrap();
    assert_eq!(api.world.server.stats().refreshes, 2);
}

#[tokio::test]
async fn another_status_in_such_an_error_is_not_retried() {
    let api = Api::logged_in().await;
    assert!(matches!(api.missing().await, Err(Transparent::Http(_))));
    let stats = api.world.server.stats();
    assert_eq!((stats.refreshes, stats.auth_requests), (0, 1));
}

#[test]
fn an_error_that_only_tells_of_a_401_is_not_one() {
    let is_401 = |text: &str| <dyn StdError>::is_unauthorized(&*Box::<dyn StdError>::from(text));
    assert!(is_401("HTTP status client error (401 Unauthorized) for url (https://api.example/)"));
    assert!(!is_401("HTTP status client error (403 Forbidden) for url (https://api.example/401)"));
    assert!(!is_401("the mirror answered HTTP status client error (401 Unauthorized)"));
    assert!(!is_401("HTTP status client error ("));
    assert!(!is_401(""));
}

#[cfg(feature = "ureq")]
mod ureq_errors {
    use super::*;

    struct Script {
        agent: ureq::Agent,
        world: World,
        session: Session,
    }

    impl Script {
        #[refresh_token(token, retry)]
        fn product(&self) -> Result<String, Box<dyn StdError>> {
            let request = self.agent.get(self.world.server.url("/api/v1/products/1")).bearer(&token);
            Ok(request.call()?.body_mut().read_to_string()?)
        }
    }

    #[test]
    fn a_401_is_seen_in_an_error_of_ureq() {
        let world = World::new();
        let session = world.session().build();
        let script = Script { agent: ureq::agent(), world, session };
        script.product().unwrap();
        script.world.server.rotate_signing_key();
        script.product().unwrap();
        assert_eq!(script.world.server.stats().refreshes, 1);
    }

    #[test]
    fn another_status_of_ureq_is_no_401() {
        let is_401 = |error: &(dyn StdError + 'static)| error.is_unauthorized();
        assert!(is_401(&ureq::Error::StatusCode(401)));
        assert!(!is_401(&ureq::Error::StatusCode(403)));
        assert!(!is_401(&ureq::Error::HostNotFound));
    }
}
