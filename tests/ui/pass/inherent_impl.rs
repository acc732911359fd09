use jwt_refresh::prelude::*;

use crate::api::{Result, Server, session};

struct Api {
    session: Session,
    server: Server,
}

#[refresh_token(token, retry)]
impl Api {
    const RETRIES: u64 = 1;

    async fn connect() -> Self {
        Self { session: session().await, server: Server::default() }
    }

    const fn retries(&self) -> u64 {
        let _ = self;
        Self::RETRIES
    }

    async fn uses_the_token(&self) -> Result<u64> {
        self.server.call(&token)
    }

    async fn does_not(&self) -> Result<u8> {
        Ok(1)
    }

    #[refresh_token(token = bearer, from = self.session)]
    async fn has_its_own_name_for_it(&self) -> Result<u64> {
        self.server.call(&bearer)
    }

    #[refresh_token(skip)]
    async fn is_left_alone(&self) -> u64 {
        std::future::ready(self.retries()).await
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let api = Api::connect().await;
    assert_eq!(api.does_not().await.unwrap(), 1);
    assert_eq!(api.uses_the_token().await.unwrap(), 2);
    assert_eq!(api.has_its_own_name_for_it().await.unwrap(), 3);
    assert_eq!(api.is_left_alone().await, 1);
}
