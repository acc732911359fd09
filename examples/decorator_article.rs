//! A well-known Python pattern in Rust: a class with `host`, `key` and `secret`, and a decorator
//! that fetches a new token before a method runs if the old one has expired.
//!
//! ```python
//! class Api:
//!     def __init__(self, host, key, secret):
//!         ...
//!         self.token, self.expires = self.get_access_token(), time() + 3500
//!
//!     @refresh_token
//!     def some_request(self): ...
//! ```
//!
//! The server returns an opaque token and does not say how long it lives. The author of the class
//! knows that it lives for an hour, and treats it as expired after 3500 s.
//!
//! ```sh
//! cargo run --example decorator_article
//! ```

use std::time::Duration;

use jwt_refresh::prelude::*;
use jwt_refresh::{Error, ErrorKind, ManualClock, Policy, TokenFields};
use jwt_refresh_testkit::TestServer;

struct Api {
    http: reqwest::Client,
    host: String,
    session: Session,
}

/// What is needed to fetch a token.
struct Credentials {
    http: reqwest::Client,
    host: String,
    key: String,
    secret: Secret,
}

impl Credentials {
    fn new(host: &str, key: &str, secret: &str) -> Result<Self, Error> {
        // A client that nothing else uses and that keeps no connections: if the server closed one
        // while a request is sent on it, nobody would know whether the request arrived.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build()?;
        Ok(Self { http, host: host.to_owned(), key: key.to_owned(), secret: secret.into() })
    }

    /// Fetches a token, like the method of the same name in the Python class.
    async fn get_access_token(&self) -> Result<Tokens, Error> {
        let request = self.http.post(format!("{}/api/token", self.host));
        let answer = request.basic_auth(&self.key, Some(self.secret.expose())).send().await?;
        Tokens::from_response(answer, &TokenFields::default()).await
    }
}

/// Tells a session how to log in to this server.
impl Authenticator for Credentials {
    async fn login(&self) -> Result<Tokens, Error> {
        self.get_access_token().await
    }
}

impl Api {
    /// Logs in at once, so that a wrong secret fails here and not at the first request.
    async fn new(host: &str, key: &str, secret: &str, clock: &ManualClock) -> Result<Self, Error> {
        let credentials = Credentials::new(host, key, secret)?;
        // The lifetime of a token if the server does not state one.
        let policy = Policy::default().default_lifetime(Duration::from_secs(3500));
        let session = Session::builder(credentials).policy(policy).clock(clock).connect().await?;
        Ok(Self { http: reqwest::Client::new(), host: host.to_owned(), session })
    }

    // Before the body runs, the attribute checks that the token of `self.session` has not expired,
    // and fetches a new one if it has. `token` in the body is a valid access token.
    #[refresh_token(token)]
    async fn some_request(&self) -> Result<String, Box<dyn std::error::Error>> {
        let request = self.http.get(format!("{}/api/v1/reports/daily", self.host));
        Ok(request.bearer(&token).send().await?.error_for_status()?.text().await?)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestServer::start();
    // Tests and examples can replace the clock, so that an hour passes without waiting. You would
    // leave `.clock(…)` out.
    let clock = ManualClock::new();
    let advance_clocks = |seconds| {
        clock.advance(Duration::from_secs(seconds));
        server.advance(Duration::from_secs(seconds));
    };

    let wrong = Api::new(server.base_url(), server.key(), "not the secret", &clock).await;
    let error = wrong.err().ok_or("a wrong secret was accepted")?;
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    println!("with a wrong secret: {error}");

    let api = Api::new(server.base_url(), server.key(), server.secret(), &clock).await?;
    println!("some_request: {}", api.some_request().await?);
    advance_clocks(3000);
    println!("some_request after 3000 s: {}", api.some_request().await?);
    println!("tokens fetched so far: {}", server.stats().client_tokens);
    advance_clocks(500);
    println!("some_request after 3500 s: {}", api.some_request().await?);
    println!("tokens fetched so far: {}", server.stats().client_tokens);
    assert_eq!((server.stats().client_tokens, server.stats().rejected), (2, 0));
    Ok(())
}
