use std::cell::Cell;
use std::rc::Rc;
use std::sync::Mutex;

use async_trait::async_trait;
use jwt_refresh::prelude::*;
use jwt_refresh::{Error, Unauthorized};

use crate::api::{ApiError, Result, Server, assert_send, session};

struct Api {
    locked: Mutex<Session>,
    server: Server,
}

impl Api {
    const fn parts(&self) -> &Mutex<Session> {
        &self.locked
    }

    #[refresh_token(from = *self.locked.lock().unwrap(), token, retry)]
    async fn in_a_mutex(&self) -> Result<u64> {
        tokio::task::yield_now().await;
        self.server.call(&token)
    }

    #[refresh_token(from = *self.parts().lock().unwrap(), token, retry)]
    async fn in_a_mutex_exclusively(&mut self) -> Result<u64> {
        tokio::task::yield_now().await;
        self.server.call(&token)
    }
}

struct State<S>(S);

impl<S: Clone> Clone for State<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Clone)]
struct AppState {
    session: Session,
    server: Server,
}

#[refresh_token(from = state.session, token, retry)]
async fn handler(State(state): State<AppState>, (id, _): (u64, u64)) -> Result<u64> {
    Ok(state.server.call(&token)? + id)
}

#[refresh_token(from = session, token, retry)]
async fn extensions(State(session): State<Session>, State(mut server): State<Server>) -> Result<u64> {
    server = server.clone();
    server.call(&token)
}

#[allow(clippy::future_not_send, reason = "`Rc` is for one thread")]
#[refresh_token(from = session, token, retry)]
async fn counted(session: Rc<impl TokenProvider<Token = AccessToken>>, server: &Server) -> Result<u64> {
    server.call(&token)
}

/// Asked by any function that fits, generic ones too.
struct Asked {
    session: Session,
    server: Server,
}

fn is_401<E: Unauthorized>(error: &E) -> bool {
    error.is_unauthorized()
}

fn is_401_in<T, E: Unauthorized>(result: &Result<T, E>) -> bool {
    result.as_ref().is_err_and(E::is_unauthorized)
}

#[refresh_token(token)]
impl Asked {
    #[refresh_token(retry_if = Unauthorized::is_unauthorized)]
    async fn by_the_trait(&self) -> Result<u64> {
        self.server.call(&token)
    }

    #[refresh_token(retry_if = is_401)]
    async fn by_a_generic_function(&self) -> Result<u64> {
        self.server.call(&token)
    }

    #[refresh_token(retry_if = is_401_in)]
    async fn by_a_generic_function_of_the_result(&self) -> Result<u64> {
        self.server.call(&token)
    }

    #[refresh_token(retry_if = is_401::<E>)]
    async fn of_a_generic_error<E: From<Error> + From<ApiError> + Unauthorized>(&self) -> Result<u64, E> {
        Ok(self.server.call(&token)?)
    }
}

impl Asked {
    /// The future does not have `name`, though a string in it has the word.
    #[refresh_token(token, retry)]
    fn moved_before(&self, name: String) -> impl Future<Output = Result<String>> + Send {
        let path = name + "/";
        async move {
            self.server.call(&token)?;
            Ok(format!("{path}the name of it"))
        }
    }
}

/// `Send`, but not `Sync`: what a future borrows of it makes the future lose `Send`.
#[derive(Clone)]
struct Count(Cell<u64>);

impl Asked {
    #[refresh_token(token, retry)]
    fn opaque(&self, count: Count) -> impl Future<Output = Result<u64>> + Send {
        async move {
            tokio::task::yield_now().await;
            Ok(self.server.call(&token)? + count.0.take())
        }
    }
}

#[derive(Clone)]
struct Owned {
    session: Session,
    server: Server,
    count: Count,
}

impl Owned {
    #[refresh_token(token, retry)]
    fn opaque(self) -> impl Future<Output = Result<u64>> + Send {
        async move {
            tokio::task::yield_now().await;
            Ok(self.server.call(&token)? + self.count.0.get())
        }
    }

    #[refresh_token(from = this.session, token, retry)]
    fn moved_before(self) -> impl Future<Output = Result<u64>> + Send {
        let this = Box::new(self);
        let server = this.server.clone();
        async move { server.call(&token) }
    }
}

#[async_trait]
trait Counting {
    async fn count(&self, count: Count) -> Result<u64>;
}

#[async_trait]
impl Counting for Asked {
    #[refresh_token(token, retry)]
    async fn count(&self, count: Count) -> Result<u64> {
        tokio::task::yield_now().await;
        Ok(self.server.call(&token)? + count.0.take())
    }
}

#[async_trait]
trait OwnedCounting {
    async fn owned(self, count: Count) -> Result<u64>;
}

#[async_trait]
impl OwnedCounting for Owned {
    #[refresh_token(token, retry)]
    async fn owned(self, count: Count) -> Result<u64> {
        tokio::task::yield_now().await;
        Ok(self.server.call(&token)? + count.0.take() + self.count.0.get())
    }
}

#[tokio::test]
async fn providers_anywhere() {
    let mut api = Api { locked: Mutex::new(session().await), server: Server::default() };
    assert_eq!(assert_send(api.in_a_mutex()).await.unwrap(), 2);
    assert_eq!(assert_send(api.in_a_mutex_exclusively()).await.unwrap(), 3);
    let state = AppState { session: session().await, server: Server::default() };
    assert_eq!(assert_send(handler(State(state), (1, 2))).await.unwrap(), 3);
    assert_eq!(assert_send(extensions(State(session().await), State(Server::default()))).await.unwrap(), 2);
    assert_eq!(counted(Rc::new(session().await), &Server::default()).await.unwrap(), 2);
}

#[tokio::test]
async fn any_function_that_knows_a_401() {
    let asked = || async { Asked { session: session().await, server: Server::default() } };
    assert_eq!(asked().await.by_the_trait().await.unwrap(), 2);
    assert_eq!(asked().await.by_a_generic_function().await.unwrap(), 2);
    assert_eq!(asked().await.by_a_generic_function_of_the_result().await.unwrap(), 2);
    assert_eq!(asked().await.moved_before("a".to_owned()).await.unwrap(), "a/the name of it");
    assert_eq!(asked().await.of_a_generic_error::<ApiError>().await.unwrap(), 2);
}

#[tokio::test]
async fn arguments_that_are_not_sync() {
    let count = || Count(Cell::new(10));
    let asked = Asked { session: session().await, server: Server::default() };
    assert_eq!(assert_send(asked.opaque(count())).await.unwrap(), 12);
    assert_eq!(assert_send(asked.count(count())).await.unwrap(), 13);
    let owned = || async { Owned { session: session().await, server: Server::default(), count: count() } };
    assert_eq!(assert_send(owned().await.opaque()).await.unwrap(), 12);
    assert_eq!(assert_send(owned().await.moved_before()).await.unwrap(), 2);
    assert_eq!(assert_send(owned().await.owned(count())).await.unwrap(), 22);
}
