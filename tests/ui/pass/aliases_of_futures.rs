use std::pin::Pin;

use futures_util::future::FutureExt;
use jwt_refresh::prelude::*;

use crate::api::{Result, Server, assert_send, session};

struct Api {
    session: Session,
    server: Server,
}

type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;
type ApiFuture<'a, T> = Reply<'a, T>;

fn wrap<'a, T>(future: impl Future<Output = Result<T>> + Send + 'a) -> Reply<'a, T> {
    Box::pin(future)
}

// The body ends in a future, so these are guarded as an `async fn` is.
#[refresh_token(token, retry)]
impl Api {
    fn pinned(&self) -> Reply<'_, u64> {
        Box::pin(async move { self.server.call(&token) })
    }

    fn boxed(&self, name: String) -> Reply<'_, String> {
        if name.is_empty() {
            drop(name.clone());
        }
        async move {
            let calls = self.server.call(&token)?;
            Ok(format!("{name}{calls}"))
        }
        .boxed()
    }

    fn a_block_with_statements(&self) -> ApiFuture<'_, u64> {
        Box::pin({
            let server = self.server.clone();
            async move { server.call(&token) }
        })
    }

    /// Without its own attribute it would be unclear what it returns.
    #[refresh_token]
    fn wrapped(&self) -> Reply<'_, u64> {
        wrap(async move { self.server.call(&token) })
    }

    fn then_more(&self) -> Reply<'_, u64> {
        Box::pin(async move { self.server.call(&token) }.then(|calls| async move { Ok(calls? * 10) }))
    }

    fn a_task_is_no_future_of_the_method(&self) -> tokio::task::JoinHandle<bool> {
        let ready = self.session.is_ready();
        tokio::spawn(async move { ready })
    }
}

trait Call {
    type Future: Future<Output = Result<u64>>;

    fn call(&self) -> Self::Future;
}

impl Call for Api {
    type Future = Reply<'static, u64>;

    #[refresh_token(from = session, token, retry)]
    fn call(&self) -> Self::Future {
        let Self { session, server } = self;
        let (session, server) = (session.clone(), server.clone());
        Box::pin(async move { server.call(&token) })
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let api = || async { Api { session: session().await, server: Server::default() } };
    assert_eq!(assert_send(api().await.pinned()).await.unwrap(), 2);
    assert_eq!(assert_send(api().await.boxed("a".to_owned())).await.unwrap(), "a2");
    assert_eq!(assert_send(api().await.a_block_with_statements()).await.unwrap(), 2);
    assert_eq!(assert_send(api().await.wrapped()).await.unwrap(), 2);
    assert_eq!(assert_send(api().await.then_more()).await.unwrap(), 20);
    assert_eq!(assert_send(api().await.call()).await.unwrap(), 2);
    assert!(api().await.a_task_is_no_future_of_the_method().await.unwrap());
}
