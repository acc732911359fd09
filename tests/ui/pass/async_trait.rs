use std::sync::Arc;

use async_trait::async_trait;
use jwt_refresh::prelude::*;

use crate::api::{Result, Server, assert_send, session};

#[async_trait]
trait Products: Send + Sync {
    fn session(&self) -> &Session;

    async fn get(&self, name: String, path: &str) -> Result<String>;
    async fn put(&mut self, n: u64, pair: (u64, u64), out: &mut u64) -> Result<u64>;
    async fn shared(self: Arc<Self>) -> Result<u64>;

    #[refresh_token(token, from = self.session())]
    async fn default_body(&self, n: u64) -> Result<u64> {
        Ok(token.generation() + n)
    }
}

struct Over(Session, Server);
struct Under(Session, Server);

// `refresh_token` is expanded first, and sees async methods.
#[refresh_token(token, retry, from = self.0)]
#[async_trait]
impl Products for Over {
    fn session(&self) -> &Session {
        &self.0
    }

    async fn get(&self, name: String, path: &str) -> Result<String> {
        self.1.call(&token)?;
        Ok(name + path)
    }

    async fn put(&mut self, mut n: u64, (a, mut b): (u64, u64), out: &mut u64) -> Result<u64> {
        n += 1;
        b += 1;
        *out += self.1.call(&token)?;
        Ok(n + a + b)
    }

    async fn shared(self: Arc<Self>) -> Result<u64> {
        self.1.call(&token)
    }
}

// `async_trait` is expanded first, and `refresh_token` sees functions that return boxed futures.
#[async_trait]
#[refresh_token(token, retry, from = self.0)]
impl Products for Under {
    #[inline]
    fn session(&self) -> &Session {
        &self.0
    }

    async fn get(&self, name: String, path: &str) -> Result<String> {
        self.1.call(&token)?;
        Ok(name + path)
    }

    async fn put(&mut self, mut n: u64, (a, mut b): (u64, u64), out: &mut u64) -> Result<u64> {
        n += 1;
        b += 1;
        *out += self.1.call(&token)?;
        Ok(n + a + b)
    }

    async fn shared(self: Arc<Self>) -> Result<u64> {
        self.1.call(&token)
    }
}

struct Single {
    session: Session,
}

#[async_trait]
impl Products for Single {
    fn session(&self) -> &Session {
        &self.session
    }

    #[refresh_token]
    async fn get(&self, name: String, path: &str) -> Result<String> {
        Ok(name + path)
    }

    #[refresh_token(token = bearer)]
    async fn put(&mut self, mut n: u64, (a, b): (u64, u64), out: &mut u64) -> Result<u64> {
        n += 1;
        *out += bearer.generation();
        Ok(n + a + b)
    }

    #[refresh_token(token)]
    async fn shared(self: Arc<Self>) -> Result<u64> {
        Ok(token.generation())
    }
}

async fn check(mut api: impl Products + 'static, generation: u64) {
    let mut out = 0;
    assert_eq!(assert_send(api.put(1, (2, 3), &mut out)).await.unwrap(), 7 + u64::from(generation == 2));
    assert_eq!(out, generation);
    assert_eq!(assert_send(api.get("a".to_owned(), "b")).await.unwrap(), "ab");
    assert_eq!(assert_send(api.default_body(1)).await.unwrap(), generation + 1);
    assert!(assert_send(Arc::new(api).shared()).await.is_ok());
}

#[tokio::test]
async fn compiles_and_runs() {
    check(Over(session().await, Server::default()), 2).await;
    check(Under(session().await, Server::default()), 2).await;
    check(Single { session: session().await }, 1).await;
}
