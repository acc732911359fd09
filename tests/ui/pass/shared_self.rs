use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use jwt_refresh::prelude::*;

use crate::api::{Result, Server, assert_send, session};

struct Api {
    session: Session,
    server: Server,
    runs: u32,
}

#[refresh_token(token, retry)]
impl Api {
    async fn arc(self: Arc<Self>) -> Result<u64> {
        tokio::task::yield_now().await;
        self.server.call(&token)
    }

    async fn arc_reference(self: &Arc<Self>) -> Result<u64> {
        self.server.call(&token)
    }

    #[expect(clippy::future_not_send, reason = "it is not without the attribute either")]
    async fn rc(self: Rc<Self>) -> Result<u64> {
        tokio::task::yield_now().await;
        self.server.call(&token)
    }

    async fn pinned(mut self: Pin<&mut Self>) -> Result<u64> {
        self.runs += 1;
        tokio::task::yield_now().await;
        self.server.call(&token)
    }

    #[refresh_token(token = _token)]
    async fn pinned_shared(self: Pin<&Self>) -> Result<u32> {
        Ok(self.runs)
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let mut api = Api { session: session().await, server: Server::default(), runs: 0 };
    assert_eq!(assert_send(Pin::new(&mut api).pinned()).await.unwrap(), 2);
    assert_eq!(assert_send(Pin::new(&api).pinned_shared()).await.unwrap(), 2);
    let api = Arc::new(api);
    assert_eq!(assert_send(api.arc_reference()).await.unwrap(), 3);
    assert_eq!(assert_send(api.arc()).await.unwrap(), 4);
    let api = Rc::new(Api { session: session().await, server: Server::default(), runs: 0 });
    assert_eq!(api.rc().await.unwrap(), 2);
}
