//! What a client does with JWTs, step by step:
//!
//! 1. It logs in, and reads what is in the access token.
//! 2. It calls an API with the token.
//! 3. It notices that the token has expired, refreshes it, and keeps the new refresh token.
//! 4. It logs in again when the refresh token is no longer valid.
//! 5. It renews a token that the server rejects, and repeats the call once.
//! 6. It logs out.
//!
//! ```sh
//! cargo run --example jwt_client
//! ```

use std::time::Duration;

use jwt_refresh::jwt::Jwt;
use jwt_refresh::prelude::*;
use jwt_refresh::{Event, Events, ManualClock};
use jwt_refresh_testkit::TestServer;

type Error = Box<dyn std::error::Error + Send + Sync>;

struct Client {
    http: reqwest::Client,
    base: String,
    session: Session,
}

impl Client {
    // Before the body runs, the attribute gets a valid access token from `self.session`, which is
    // `token` in the body. With `retry`, a 401 renews the token and runs the body once more.
    #[refresh_token(token, retry)]
    async fn pricing(&self, page: u32) -> Result<String, Error> {
        let request = self.http.get(format!("{}/api/v1/inventory/pricing", self.base)).query(&[("page", page)]);
        Ok(request.bearer(&token).send().await?.error_for_status()?.text().await?)
    }
}

/// Prints the three parts of a JWT.
fn show(token: &AccessToken) -> Result<(), Error> {
    // Decoding does not verify the signature. That is the server's task.
    let jwt = Jwt::decode(token.expose())?;
    println!("  header     alg={} typ={}", jwt.header().algorithm().unwrap_or("-"), jwt.header().kind().unwrap_or("-"));
    let claims = jwt.claims();
    let life = claims.expires_at().zip(claims.issued_at()).and_then(|(exp, iat)| exp.duration_since(iat).ok());
    println!(
        "  payload    sub={} jti={}… lives {:.0} s",
        claims.subject().unwrap_or("-"),
        claims.id().unwrap_or("-").chars().take(6).collect::<String>(),
        life.unwrap_or_default().as_secs_f64()
    );
    println!("  signature  {} characters of base64url", jwt.signature().len());
    Ok(())
}

async fn log_in(server: &TestServer, clock: &ManualClock) -> Result<Session, Error> {
    let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .refresh_url(server.url("/api/auth/refresh"))
        .field("email", server.email())
        .secret_field("password", server.password())
        .build()?;
    Ok(Session::builder(login).clock(clock).connect().await?)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // A real auth server and API on this machine. Its clock and the session's can be moved forward,
    // so that 15 minutes pass without waiting.
    let server = TestServer::builder().access_lifetime(Duration::from_secs(900)).start();
    let clock = ManualClock::new();
    let advance_clocks = |seconds| {
        clock.advance(Duration::from_secs(seconds));
        server.advance(Duration::from_secs(seconds));
    };

    println!("1. log in");
    let session = log_in(&server, &clock).await?;
    // The session reports each renewal here.
    let events = session.events();
    show(&session.token().await?)?;
    let client = Client { http: reqwest::Client::new(), base: server.base_url().to_owned(), session };

    println!("2. call with a fresh token");
    println!("  {} bytes of prices", client.pricing(1).await?.len());

    println!("3. 15 minutes later: expired, seen without asking the server; refreshed, and the refresh token rotated");
    advance_clocks(900);
    println!("  {} bytes of prices", client.pricing(2).await?.len());
    assert_eq!((server.stats().refreshes, server.stats().rejected), (1, 0));

    println!("4. the refresh token is dead: log in again");
    server.revoke_refresh_tokens();
    advance_clocks(900);
    println!("  {} bytes of prices", client.pricing(3).await?.len());
    assert_eq!(server.stats().logins, 2);

    println!("5. a fresh token is rejected: renew, and retry once");
    server.rotate_signing_key();
    println!("  {} bytes of prices", client.pricing(4).await?.len());
    assert_eq!((server.stats().rejected, server.stats().refreshes), (1, 2));

    println!("6. log out: no token is left");
    client.session.logout().await?;
    println!("  {}", client.pricing(5).await.err().ok_or("it still works")?);

    // The events end when the last handle on the session is dropped.
    drop(client);
    summary(&server, events).await;
    Ok(())
}

/// Prints what the server counted, and how many renewals the session reported.
async fn summary(server: &TestServer, mut events: Events<Event>) {
    let mut renewals = 0;
    while let Some(event) = events.next().await {
        renewals += u32::from(matches!(event, Event::Renewed));
    }
    let stats = server.stats();
    println!(
        "calls={} logins={} refreshes={} renewals seen={renewals}",
        stats.api_calls, stats.logins, stats.refreshes
    );
}
