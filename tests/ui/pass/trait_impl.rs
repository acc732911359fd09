use jwt_refresh::prelude::*;

use crate::api::{Result, Server, session};

trait Products {
    const PATH: &str;
    type Id;

    async fn get(&self, id: Self::Id) -> Result<u64>;
    async fn put(&mut self, id: Self::Id) -> Result<u64>;
}

struct Api {
    session: Session,
    server: Server,
}

#[refresh_token(token, retry)]
impl Products for Api {
    const PATH: &str = { "products" };
    type Id = String;

    async fn get(&self, id: Self::Id) -> Result<u64> {
        assert_eq!(id, Self::PATH);
        self.server.call(&token)
    }

    #[jwt_refresh::refresh_token(retry)]
    async fn put(&mut self, mut id: Self::Id) -> Result<u64> {
        id.push('s');
        assert_eq!(id.len(), 9);
        self.server.call(&token)
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let mut api = Api { session: session().await, server: Server::default() };
    assert_eq!(api.put(Api::PATH.to_owned()).await.unwrap(), 2);
    assert_eq!(api.get(Api::PATH.to_owned()).await.unwrap(), 3);
}
