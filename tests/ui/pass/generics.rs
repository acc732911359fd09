use std::borrow::Borrow;
use std::fmt::Display;

use jwt_refresh::prelude::*;

use crate::api::{Result, Server, session};

struct Api<T, const N: usize> {
    session: Session,
    server: Server,
    value: [T; N],
}

#[refresh_token]
impl<T: Clone + Send + Sync, const N: usize> Api<T, { N }> {
    async fn first(&self) -> Result<Option<T>> {
        Ok(self.value.first().cloned())
    }

    #[refresh_token(token, retry)]
    async fn show<U, const M: usize>(&self, values: [U; M]) -> Result<(u64, [U; M])>
    where
        U: Display + Clone,
        [U; M]: Clone,
    {
        let calls = self.server.call(&token)?;
        Ok((calls, values))
    }
}

impl<T: Clone + Send + Sync, const N: usize> Api<T, N> {
    #[refresh_token(from = provider, token)]
    async fn with<P>(&self, provider: &P) -> Result<u64>
    where
        P: TokenProvider<Token = AccessToken> + Sync + ?Sized,
    {
        Ok(token.generation() + self.value.len() as u64)
    }

    #[refresh_token(from = provider)]
    async fn without_looking<P: TokenProvider + Sync + ?Sized>(&self, provider: &P) -> Result<usize> {
        Ok(self.value.len())
    }

    /// Takes a session or a pool.
    #[refresh_token(from = provider, token, retry)]
    async fn with_lease<P: TokenProvider<Token: Clone + Sync> + Sync>(&self, provider: &P) -> Result<u64> {
        Ok(shown(token.borrow()))
    }

    #[refresh_token(from = provider, retry)]
    async fn with_any<P: TokenProvider + Clone + Send>(&self, provider: P) -> Result<usize> {
        Ok(self.value.len())
    }
}

fn shown(token: &AccessToken) -> u64 {
    token.generation()
}

#[tokio::test]
async fn compiles_and_runs() {
    let api = Api { session: session().await, server: Server::default(), value: [7] };
    assert_eq!(api.first().await.unwrap(), Some(7));
    assert_eq!(api.show([1.5, 2.5]).await.unwrap().0, 2);
    assert_eq!(api.with(&api.session).await.unwrap(), 3);
    assert_eq!(api.without_looking(&api.session).await.unwrap(), 1);
    assert_eq!(api.with_lease(&api.session).await.unwrap(), 2);
    assert_eq!(api.with_any(&api.session).await.unwrap(), 1);
}
