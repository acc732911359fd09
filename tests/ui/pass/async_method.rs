use jwt_refresh::prelude::*;

use crate::api::{Result, Server, assert_send, session};

struct Api {
    session: Session,
    server: Server,
}

impl Api {
    #[refresh_token]
    async fn plain(&self) -> Result<u8> {
        Ok(1)
    }

    #[refresh_token(token)]
    async fn bound(&self) -> Result<u64> {
        Ok(token.generation())
    }

    #[refresh_token(retry)]
    async fn unbound(&self) -> Result<u64> {
        self.server.call(&self.session.token().await?)
    }

    #[refresh_token(token = bearer, retry)]
    async fn again(&self) -> Result<u64> {
        tokio::task::yield_now().await;
        self.server.call(&bearer)
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let api = Api { session: session().await, server: Server::default() };
    assert_eq!(assert_send(api.plain()).await.unwrap(), 1);
    assert_eq!(assert_send(api.bound()).await.unwrap(), 1);
    assert_eq!(assert_send(api.again()).await.unwrap(), 2);
    assert_eq!(assert_send(api.unbound()).await.unwrap(), 3);
}
