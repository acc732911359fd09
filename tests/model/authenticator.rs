//! The authenticator of a session: the library's own over HTTP, watched, and cut off when its
//! process dies.

use jwt_refresh::{Authenticator, Error, HttpAuthenticator, RefreshToken, Tokens};

use crate::exchange::{Action, End};
use crate::life::Life;
use crate::world::World;

pub(crate) struct Watched {
    pub(crate) world: World,
    pub(crate) session: usize,
    pub(crate) life: Life,
}

/// An exchange that goes on: if its future is dropped, it ends so.
struct Open {
    world: World,
    id: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.world.with(|state| state.end_exchange(self.id, End::Dropped));
    }
}

impl Watched {
    /// Begins an exchange, unless the process is dead: then nothing comes of it.
    async fn open(&self, action: Action, sent: Option<&str>) -> (Open, HttpAuthenticator) {
        let begun = self.world.with(|state| {
            let id = state.begin_exchange(self.session, action, sent.map(str::to_owned))?;
            let reaches = state.unreachable == 0;
            if !reaches {
                state.unreachable -= 1;
                state.note("    it does not reach the server");
            }
            Some((id, reaches))
        });
        match begun {
            Some((id, reaches)) => (Open { world: self.world.clone(), id }, self.http(id, reaches)),
            None => std::future::pending().await,
        }
    }

    /// The exchange's number is in the URL, so that the server knows it. The client trusts no
    /// certificates: to load them would take longer than the walk.
    fn http(&self, exchange: usize, reaches: bool) -> HttpAuthenticator {
        let url = |what| if reaches { self.world.url(what, exchange) } else { format!("http://127.0.0.1:1/{what}") };
        HttpAuthenticator::builder(url("login"))
            .refresh_url(url("refresh"))
            .revocation_url(url("revoke"))
            .field("email", "ada@example.com")
            .secret_field("password", "secret")
            .client(|| reqwest::Client::builder().tls_certs_only([]))
            .build()
            .expect("an authenticator")
    }

    async fn ends(&self, open: Open, exchange: impl Future<Output = Result<Tokens, Error>>) -> Result<Tokens, Error> {
        let result = self.life.within(exchange).await;
        self.world.with(|state| state.end_exchange(open.id, End::Returned));
        result
    }
}

impl Authenticator for Watched {
    async fn login(&self) -> Result<Tokens, Error> {
        if !self.world.with(|state| state.setup.can_login) {
            self.world.with(|state| state.dead_end(self.session));
            return Err(Error::login_unavailable());
        }
        let (open, http) = self.open(Action::Login, None).await;
        self.ends(open, http.login()).await
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        let (open, http) = self.open(Action::Refresh, Some(token.expose())).await;
        self.ends(open, http.refresh(token)).await
    }

    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        self.life.within(self.http(0, true).revoke(token)).await
    }
}
