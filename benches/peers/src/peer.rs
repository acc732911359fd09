//! What each contender is asked to do.

use std::pin::Pin;
use std::sync::Arc;

use crate::Error;
use crate::server::TokenServer;

/// Some calls in a row, on the thread that polls them.
pub type Calls<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// What a contender gives to its caller, in a task of its own.
pub type Answer = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A way to keep one access token fresh. It has a token when it is given out.
pub trait Peer: Send + Sync {
    /// Makes sure that there is a fresh token, and takes it as the crate gives it.
    fn token(&self, calls: u32) -> Calls<'_>;

    /// Makes sure that there is a fresh token, and ends with the value of the `Authorization`
    /// header.
    fn header(&self, calls: u32) -> Calls<'_>;

    /// Asks once for a token, which has to be fetched if there is none that lives.
    fn once(self: Arc<Self>) -> Answer;
}

/// The loop around a call. Each call is written where it is measured, and nowhere else: the
/// compiler may not inline a function that is called from several places.
#[macro_export]
macro_rules! calls {
    ($calls:expr, $call:expr) => {
        Box::pin(async move {
            for _ in 0..$calls {
                let _ = ::std::hint::black_box($call);
            }
        })
    };
}

/// What a token of a contender is when 10,000 tasks ask for it at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stampede {
    /// It has expired.
    Expired,
    /// There was none yet: a task in the background fetches tokens, before they expire.
    NoneYet,
    /// Nothing is measured, for this reason.
    Left(&'static str),
}

type Made = Pin<Box<dyn Future<Output = Result<Arc<dyn Peer>, Error>>>>;

/// One row of the tables.
pub struct Contender {
    /// The name in the results.
    pub name: &'static str,
    pub stampede: Stampede,
    /// Whether it has a credential of its own whose bytes can be counted.
    pub has_credential: bool,
    make: fn(TokenServer) -> Made,
}

impl Contender {
    pub const fn new(name: &'static str, make: fn(TokenServer) -> Made) -> Self {
        Self { name, stampede: Stampede::Expired, has_credential: true, make }
    }

    pub const fn stampede(mut self, stampede: Stampede) -> Self {
        self.stampede = stampede;
        self
    }

    /// Says that it is nothing that one would use, but a limit.
    pub const fn limit(mut self) -> Self {
        self.has_credential = false;
        self.stampede(Stampede::Left("it does not refresh"))
    }

    /// Makes a credential of its own, which may or may not have asked for a token.
    pub async fn make(&self, server: &TokenServer) -> Result<Arc<dyn Peer>, Error> {
        (self.make)(server.clone()).await.map_err(|error| format!("{}: {error}", self.name).into())
    }

    /// Makes a credential that has a token.
    pub async fn ready(&self, server: &TokenServer) -> Result<Arc<dyn Peer>, Error> {
        let peer = self.make(server).await?;
        Arc::clone(&peer).once().await.map_err(|error| format!("{}: {error}", self.name))?;
        Ok(peer)
    }
}
