//! A lock around a header value and the time at which it expires, as one would write it. A lock of
//! std cannot be held while a refresh is awaited, so each caller that finds the token expired
//! refreshes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use serde::Deserialize;

use crate::peer::{Answer, Calls, Peer};
use crate::server::TokenServer;
use crate::{Error, calls};

struct Token {
    header: HeaderValue,
    expires_at: Instant,
}

impl Token {
    fn is_fresh(&self) -> bool {
        self.expires_at > Instant::now()
    }
}

fn fresh(token: Option<&Token>) -> Option<&Token> {
    token.filter(|token| token.is_fresh())
}

/// Where tokens come from.
struct Login {
    http: reqwest::Client,
    url: String,
}

impl Login {
    fn new(server: &TokenServer) -> Self {
        Self { http: reqwest::Client::new(), url: server.token_url() }
    }

    async fn fetch(&self) -> Result<Token, Error> {
        #[derive(Deserialize)]
        struct TokenAnswer {
            access_token: String,
            expires_in: u64,
        }
        let sent = Instant::now();
        let answer = self.http.post(&self.url).send().await?.error_for_status()?;
        let answer: TokenAnswer = answer.json().await?;
        let header = HeaderValue::from_str(&format!("Bearer {}", answer.access_token))?;
        Ok(Token { header, expires_at: sent + Duration::from_secs(answer.expires_in) })
    }
}

struct StdMutex {
    login: Login,
    token: std::sync::Mutex<Option<Token>>,
}

impl StdMutex {
    fn is_fresh(&self) -> bool {
        self.token.lock().is_ok_and(|token| fresh(token.as_ref()).is_some())
    }

    fn get(&self) -> Option<HeaderValue> {
        fresh(self.token.lock().ok()?.as_ref()).map(|token| token.header.clone())
    }
}

impl Peer for StdMutex {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).is_fresh())
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).get())
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move {
            if self.get().is_none() {
                let token = self.login.fetch().await?;
                *self.token.lock().map_err(|_| "poisoned")? = Some(token);
            }
            Ok(())
        })
    }
}

struct StdRwLock {
    login: Login,
    token: std::sync::RwLock<Option<Token>>,
}

impl StdRwLock {
    fn is_fresh(&self) -> bool {
        self.token.read().is_ok_and(|token| fresh(token.as_ref()).is_some())
    }

    fn get(&self) -> Option<HeaderValue> {
        fresh(self.token.read().ok()?.as_ref()).map(|token| token.header.clone())
    }
}

impl Peer for StdRwLock {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).is_fresh())
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).get())
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move {
            if self.get().is_none() {
                let token = self.login.fetch().await?;
                *self.token.write().map_err(|_| "poisoned")? = Some(token);
            }
            Ok(())
        })
    }
}

struct TokioMutex {
    login: Login,
    token: tokio::sync::Mutex<Option<Token>>,
}

impl TokioMutex {
    async fn with<T>(&self, take: impl FnOnce(&Token) -> T) -> Result<T, Error> {
        let mut token = self.token.lock().await;
        if let Some(token) = fresh(token.as_ref()) {
            return Ok(take(token));
        }
        Ok(take(token.insert(self.login.fetch().await?)))
    }
}

impl Peer for TokioMutex {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).with(|_| ()).await.is_ok())
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).with(|token| token.header.clone()).await.is_ok())
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move { self.with(|token| token.header.clone()).await.map(drop) })
    }
}

struct TokioRwLock {
    login: Login,
    token: tokio::sync::RwLock<Option<Token>>,
}

impl TokioRwLock {
    async fn with<T>(&self, take: impl FnOnce(&Token) -> T) -> Result<T, Error> {
        if let Some(token) = fresh(self.token.read().await.as_ref()) {
            return Ok(take(token));
        }
        let mut token = self.token.write().await;
        // Another caller may have refreshed it in the meantime.
        if let Some(token) = fresh(token.as_ref()) {
            return Ok(take(token));
        }
        Ok(take(token.insert(self.login.fetch().await?)))
    }
}

impl Peer for TokioRwLock {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).with(|_| ()).await.is_ok())
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).with(|token| token.header.clone()).await.is_ok())
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move { self.with(|token| token.header.clone()).await.map(drop) })
    }
}

pub async fn std_mutex(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    Ok(Arc::new(StdMutex { login: Login::new(&server), token: None.into() }))
}

pub async fn std_rw_lock(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    Ok(Arc::new(StdRwLock { login: Login::new(&server), token: None.into() }))
}

pub async fn tokio_mutex(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    Ok(Arc::new(TokioMutex { login: Login::new(&server), token: None.into() }))
}

pub async fn tokio_rw_lock(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    Ok(Arc::new(TokioRwLock { login: Login::new(&server), token: None.into() }))
}
