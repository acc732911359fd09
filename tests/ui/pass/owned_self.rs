use std::cell::Cell;

use jwt_refresh::prelude::*;

use crate::api::{Result, Server, assert_send, session};

struct Api {
    session: Session,
    server: Server,
    runs: Cell<u32>,
}

#[refresh_token(token)]
impl Api {
    async fn consumed(self) -> Result<Server> {
        drop(token);
        Ok(self.server)
    }

    async fn boxed(self: Box<Self>) -> Result<Server> {
        tokio::task::yield_now().await;
        Ok(self.server)
    }

    #[refresh_token(retry)]
    async fn owned(self) -> Result<u64> {
        self.runs.set(self.runs.get() + 1);
        tokio::task::yield_now().await;
        self.server.call(&token)
    }

    #[refresh_token(retry)]
    async fn mutable(mut self: Box<Self>) -> Result<u32> {
        *self.runs.get_mut() += 1;
        tokio::task::yield_now().await;
        self.server.call(&token)?;
        Ok(self.runs.get())
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let server = Server::default();
    let api = |session| Api { session, server: server.clone(), runs: Cell::new(0) };
    assert_send(api(session().await).consumed()).await.unwrap();
    assert_send(Box::new(api(session().await)).boxed()).await.unwrap();
    assert_eq!(assert_send(api(session().await).owned()).await.unwrap(), 2);
    assert_eq!(assert_send(Box::new(api(session().await)).mutable()).await.unwrap(), 2);
}
