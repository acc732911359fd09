use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, RwLock};

use jwt_refresh::prelude::*;

use crate::api::{Issuer, Result, Server, assert_send, session};

struct Api {
    auth: Auth,
    sessions: HashMap<u64, Session>,
    locked: Mutex<Session>,
    shared: Arc<RwLock<Session>>,
    boxed: Box<dyn TokenProvider<Token = AccessToken> + Send + Sync>,
    server: Server,
}

struct Auth {
    session: Session,
    all: Vec<Session>,
}

impl Auth {
    const fn session(&self) -> &Session {
        &self.session
    }
}

impl Api {
    #[refresh_token(from = self.auth.session, token, retry)]
    async fn in_a_field_of_a_field(&mut self) -> Result<u64> {
        self.server.call(&token)
    }

    #[refresh_token(from = self.auth.session(), token, retry)]
    async fn behind_a_method(&self) -> Result<u64> {
        self.server.call(&token)
    }

    #[refresh_token(from = self.auth.all[0], token, retry)]
    async fn in_a_list(&mut self) -> Result<u64> {
        self.server.call(&token)
    }

    #[refresh_token(from = self.sessions[&account], token)]
    async fn by_an_argument(&self, account: u64) -> Result<u64> {
        Ok(token.generation())
    }

    #[refresh_token(from = if account == 0 { &self.auth.session } else { &self.sessions[&account] }, token, retry)]
    async fn by_a_choice(&self, account: u64) -> Result<u64> {
        self.server.call(&token)
    }

    #[refresh_token(from = *self.locked.lock().unwrap(), token)]
    async fn in_a_mutex(&self) -> Result<u64> {
        tokio::task::yield_now().await;
        Ok(token.generation())
    }

    #[refresh_token(from = self.shared.read().unwrap().clone(), token, retry)]
    async fn in_a_lock(&self) -> Result<u64> {
        tokio::task::yield_now().await;
        self.server.call(&token)
    }

    #[refresh_token(from = self.boxed, token, retry)]
    async fn behind_a_trait(&self) -> Result<u64> {
        self.server.call(&token)
    }
}

#[refresh_token(from = session, token, retry)]
async fn free(session: &Session, server: &Server) -> Result<u64> {
    server.call(&token)
}

#[refresh_token(from = session, retry)]
async fn owned(session: Session, server: Server, name: String) -> Result<String> {
    server.call(&session.token().await?)?;
    Ok(name)
}

thread_local! {
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

#[refresh_token(from = SESSION.with_borrow(Clone::clone).expect("a session"), token, retry)]
async fn thread_local(server: &Server) -> Result<u64> {
    server.call(&token)
}

static GLOBAL: LazyLock<Session> = LazyLock::new(|| Session::new(Issuer));

#[refresh_token(from = *GLOBAL, token, retry)]
async fn global(server: &Server) -> Result<u64> {
    server.call(&token)
}

#[tokio::test]
async fn compiles_and_runs() {
    let server = Server::default();
    let mut api = Api {
        auth: Auth { session: session().await, all: vec![session().await] },
        sessions: HashMap::from([(1, session().await)]),
        locked: Mutex::new(session().await),
        shared: Arc::new(RwLock::new(session().await)),
        boxed: Box::new(session().await),
        server: server.clone(),
    };
    assert_eq!(assert_send(api.in_a_field_of_a_field()).await.unwrap(), 2);
    assert_eq!(assert_send(api.behind_a_method()).await.unwrap(), 3);
    assert_eq!(assert_send(api.in_a_list()).await.unwrap(), 5);
    assert_eq!(assert_send(api.by_an_argument(1)).await.unwrap(), 1);
    assert_eq!(assert_send(api.by_a_choice(1)).await.unwrap(), 7);
    assert_eq!(assert_send(api.in_a_mutex()).await.unwrap(), 1);
    assert_eq!(assert_send(api.in_a_lock()).await.unwrap(), 9);
    assert_eq!(assert_send(api.behind_a_trait()).await.unwrap(), 11);
    assert_eq!(assert_send(free(&session().await, &server)).await.unwrap(), 13);
    assert_eq!(assert_send(owned(session().await, server.clone(), "a".to_owned())).await.unwrap(), "a");
    SESSION.set(Some(session().await));
    assert_eq!(assert_send(thread_local(&server)).await.unwrap(), 17);
    assert_eq!(assert_send(global(&server)).await.unwrap(), 19);
}
