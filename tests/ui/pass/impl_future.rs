use std::pin::Pin;

use futures_util::future::{BoxFuture, FutureExt};
use jwt_refresh::prelude::*;

use crate::api::{Result, Server, assert_send, session};

struct Api {
    session: Session,
    server: Server,
}

#[refresh_token(token)]
impl Api {
    fn opaque(&self) -> impl Future<Output = Result<u64>> + Send {
        async { Ok(token.generation()) }
    }

    #[refresh_token(retry)]
    fn opaque_again<'a>(&'a self, name: String, path: &str) -> impl Future<Output = Result<String>> + Send + use<'a> {
        let path = path.to_owned();
        async move {
            self.server.call(&token)?;
            Ok(name + &path)
        }
    }

    #[refresh_token(retry)]
    fn exclusive(&mut self, names: Vec<String>) -> impl Future<Output = Result<usize>> + Send {
        async move {
            self.server.call(&token)?;
            Ok(names.into_iter().map(drop).count())
        }
    }

    fn pinned(&self) -> Pin<Box<dyn Future<Output = Result<u64>> + Send + '_>> {
        Box::pin(async move { Ok(token.generation()) })
    }

    #[refresh_token(retry)]
    fn pinned_again(&self) -> BoxFuture<'_, Result<u64>> {
        async move { self.server.call(&token) }.boxed()
    }

    fn no_future(&self) -> u64 {
        self.session.ready().map_or(0, |token| token.generation())
    }
}

#[refresh_token(from = session, token)]
fn free(session: Session) -> impl Future<Output = Result<u64>> {
    async move { Ok(token.generation()) }
}

#[tokio::test]
async fn compiles_and_runs() {
    let mut api = Api { session: session().await, server: Server::default() };
    assert_eq!(assert_send(api.opaque()).await.unwrap(), 1);
    assert_eq!(assert_send(api.opaque_again("a".to_owned(), "b")).await.unwrap(), "ab");
    assert_eq!(assert_send(api.exclusive(vec![String::new()])).await.unwrap(), 1);
    assert_eq!(assert_send(api.pinned()).await.unwrap(), 2);
    assert_eq!(assert_send(api.pinned_again()).await.unwrap(), 4);
    assert_eq!(assert_send(free(api.session.clone())).await.unwrap(), 2);
    assert_eq!(api.no_future(), 2);
}
