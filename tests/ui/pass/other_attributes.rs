use jwt_refresh::prelude::*;

use crate::api::{Result, Server, session};

struct Api {
    session: Session,
    server: Server,
}

impl Api {
    /// Attributes above and below.
    #[must_use = "it does nothing but tell"]
    #[refresh_token(token)]
    #[inline]
    async fn documented(&self) -> Result<u64> {
        Ok(token.generation())
    }

    #[tracing::instrument(skip_all)]
    #[refresh_token(token, retry)]
    async fn below_instrument(&self, name: String) -> Result<u64> {
        drop(name);
        self.server.call(&token)
    }

    #[refresh_token(token, retry)]
    #[tracing::instrument(skip(self))]
    async fn above_instrument(&mut self, name: String) -> Result<u64> {
        drop(name);
        self.server.call(&token)
    }

    #[cfg(not(test))]
    #[refresh_token]
    async fn absent(&self) {}

    #[cfg_attr(test, refresh_token(token))]
    async fn conditional(&self) -> Result<u64> {
        Ok(token.generation())
    }
}

#[refresh_token]
impl Api {
    #![allow(clippy::needless_pass_by_value, reason = "inner attributes stay where they are")]

    #[cfg(not(test))]
    async fn absent(&self) -> Result<u64> {
        Ok(1)
    }

    #[expect(clippy::used_underscore_binding, reason = "the argument is used")]
    #[refresh_token(token)]
    #[tracing::instrument(skip_all, err)]
    async fn instrumented(&self, _name: String) -> Result<u64> {
        assert!(_name.is_empty());
        Ok(token.generation())
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let mut api = Api { session: session().await, server: Server::default() };
    assert_eq!(api.documented().await.unwrap(), 1);
    assert_eq!(api.below_instrument(String::new()).await.unwrap(), 2);
    assert_eq!(api.above_instrument(String::new()).await.unwrap(), 3);
    assert_eq!(api.conditional().await.unwrap(), 2);
    assert_eq!(api.instrumented(String::new()).await.unwrap(), 2);
}
