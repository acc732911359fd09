//! `#[refresh_token]`, with a body that returns at once.
//!
//! A check that is called from one place is compiled into it, and one that several methods call may
//! not be. The check is generic over the provider, so a struct whose field has another type (`Box`,
//! `Arc`) has a check of its own. In all but [`ManyMethods`] it is called from one place.

use std::hint::black_box;
use std::sync::Arc;

use http::HeaderValue;
use jwt_refresh::prelude::*;

use crate::peer::{Answer, Calls, Peer};
use crate::server::TokenServer;
use crate::{Error, calls};

type Answered = Result<u32, jwt_refresh::Error>;

struct Api {
    session: Session,
}

#[refresh_token]
impl Api {
    async fn checked(&self) -> Answered {
        Ok(black_box(1))
    }

    #[refresh_token(token)]
    async fn with_header(&self) -> Answered {
        black_box(&HeaderValue::from(&token));
        Ok(black_box(1))
    }
}

impl Peer for Api {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).checked().await)
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).with_header().await)
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move { Ok(self.session.token().await.map(drop)?) })
    }
}

struct Retrying {
    session: Arc<Session>,
    other: Arc<Box<Session>>,
}

#[refresh_token(retry)]
impl Retrying {
    #[refresh_token(retry, from = self.other)]
    async fn checked(&self) -> Answered {
        Ok(black_box(1))
    }

    #[refresh_token(token, retry)]
    async fn with_header(&self) -> Answered {
        black_box(&HeaderValue::from(&token));
        Ok(black_box(1))
    }
}

impl Peer for Retrying {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).checked().await)
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).with_header().await)
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move { Ok(self.session.token().await.map(drop)?) })
    }
}

struct ManyMethods {
    session: Box<Session>,
}

#[refresh_token]
impl ManyMethods {
    async fn checked(&self) -> Answered {
        Ok(black_box(1))
    }

    async fn another(&self) -> Answered {
        Ok(black_box(2))
    }

    #[refresh_token(token)]
    async fn with_header(&self) -> Answered {
        black_box(&HeaderValue::from(&token));
        Ok(black_box(1))
    }

    #[refresh_token(token)]
    async fn another_with_header(&self) -> Answered {
        black_box(&HeaderValue::from(&token));
        Ok(black_box(2))
    }
}

impl Peer for ManyMethods {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).checked().await)
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(self).with_header().await)
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move {
            self.another().await?;
            Ok(self.another_with_header().await.map(drop)?)
        })
    }
}

fn session(server: &TokenServer) -> Result<Session, Error> {
    let login = HttpAuthenticator::builder(server.token_url())
        .field("email", "ada@example.com")
        .secret_field("password", "correct horse")
        .build()?;
    Ok(Session::new(login))
}

pub async fn make(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    Ok(Arc::new(Api { session: session(&server)? }))
}

pub async fn make_with_retry(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    let session = session(&server)?;
    Ok(Arc::new(Retrying { session: Arc::new(session.clone()), other: Arc::new(Box::new(session)) }))
}

pub async fn make_with_many_methods(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    Ok(Arc::new(ManyMethods { session: Box::new(session(&server)?) }))
}
