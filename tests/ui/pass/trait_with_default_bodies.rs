use jwt_refresh::prelude::*;

use crate::api::{Result, Server, session};

#[refresh_token(from = self.session(), token)]
trait Products {
    fn session(&self) -> &Session;
    fn server(&self) -> &Server;
    async fn abstract_one(&self) -> Result<u64>;

    async fn get(&self) -> Result<u64> {
        self.abstract_one().await?;
        Ok(token.generation())
    }

    #[refresh_token(retry)]
    async fn put(&mut self, id: String) -> Result<u64> {
        drop(id);
        self.server().call(&token)
    }
}

trait Single {
    fn session(&self) -> &Session;

    #[refresh_token(from = self.session(), token)]
    async fn get(&self) -> Result<u64> {
        Ok(token.generation())
    }
}

struct Api(Session, Server);

impl Products for Api {
    fn session(&self) -> &Session {
        &self.0
    }

    fn server(&self) -> &Server {
        &self.1
    }

    async fn abstract_one(&self) -> Result<u64> {
        std::future::ready(Ok(1)).await
    }
}

impl Single for Api {
    fn session(&self) -> &Session {
        &self.0
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let mut api = Api(session().await, Server::default());
    assert_eq!(Single::get(&api).await.unwrap(), 1);
    assert_eq!(api.put(String::new()).await.unwrap(), 2);
    assert_eq!(Products::get(&api).await.unwrap(), 2);
}
