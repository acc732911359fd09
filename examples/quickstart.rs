//! An API wrapper that stays logged in. Several tasks call it over several token lifetimes, and no
//! call is made with an expired token.
//!
//! ```sh
//! cargo run --example quickstart
//! ```

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jwt_refresh::prelude::*;
use jwt_refresh_testkit::{Stats, TestServer};
use serde::Deserialize;
use url::Url;

// This is the part that you write: a struct for an API, and an attribute on its methods.

struct Catalog {
    http: reqwest::Client,
    base: Url,
    /// Holds the tokens of one login and renews them.
    session: Session,
}

#[derive(Deserialize)]
struct Product {
    name: String,
}

#[derive(Deserialize)]
struct Prices {
    items: Vec<Price>,
}

#[derive(Deserialize)]
struct Price {
    price_cents: u64,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

// Before the body of a method runs, the attribute makes sure that the session has a valid access
// token. `token` in the body is that token, and `bearer` sends it in the `Authorization` header.
#[refresh_token(token)]
impl Catalog {
    async fn product(&self, id: u64) -> Result<Product, Error> {
        let url = self.base.join(&format!("products/{id}"))?;
        Ok(self.http.get(url).bearer(&token).send().await?.error_for_status()?.json().await?)
    }

    async fn prices(&self, page: u32) -> Result<Prices, Error> {
        let url = self.base.join(&format!("inventory/pricing?page={page}"))?;
        Ok(self.http.get(url).bearer(&token).send().await?.error_for_status()?.json().await?)
    }
}

// The rest shows the wrapper at work, with a real auth server and API on this machine whose access
// tokens live for 2.5 seconds.

const RUN: Duration = Duration::from_secs(10);
const TASKS: u64 = 4;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = TestServer::builder().access_lifetime(Duration::from_millis(2500)).start();
    let authenticator = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .refresh_url(server.url("/api/auth/refresh"))
        .field("email", server.email())
        .secret_field("password", server.password())
        .build()?;
    let session = Session::builder(authenticator).connect().await?;
    describe(&session.token().await?)?;

    let base = Url::parse(&server.url("/api/v1/"))?;
    let catalog = Arc::new(Catalog { http: reqwest::Client::new(), base, session });
    let end = Instant::now() + RUN;
    let workers: Vec<_> = (1..=TASKS).map(|id| tokio::spawn(work(Arc::clone(&catalog), id, end))).collect();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(500)).await;
        progress(&server.stats(), end)?;
    }
    for worker in workers {
        worker.await??;
    }
    summary(&server.stats());
    Ok(())
}

async fn work(catalog: Arc<Catalog>, id: u64, end: Instant) -> Result<(), Error> {
    let mut page = 1;
    while Instant::now() < end {
        let product = catalog.product(id).await?;
        let prices = catalog.prices(page).await?;
        assert!(!product.name.is_empty() && prices.items.iter().all(|price| price.price_cents > 0));
        page = page % 5 + 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Prints the claims of the access token. They are read without a key, so the signature is not
/// verified.
fn describe(token: &AccessToken) -> Result<(), Error> {
    let jwt = token.jwt().ok_or("the access token is not a JWT")?;
    let claims = jwt.claims();
    println!("logged in; the access token says:");
    println!("  signed with   {}", jwt.header().algorithm().unwrap_or("nothing"));
    println!("  issued by     {}", claims.issuer().unwrap_or("?"));
    println!("  for           {} ({})", claims.subject().unwrap_or("?"), claims.audience().join(", "));
    println!("  scope         {}", claims.get("scope").and_then(|scope| scope.as_str()).unwrap_or("?"));
    let left = claims.expires_at().and_then(|time| time.duration_since(SystemTime::now()).ok());
    println!("  expires in    {:.1} s", left.unwrap_or_default().as_secs_f64());
    Ok(())
}

fn progress(stats: &Stats, end: Instant) -> std::io::Result<()> {
    let left = end.saturating_duration_since(Instant::now()).as_secs_f64();
    let Stats { api_calls, refreshes, rejected, .. } = stats;
    let line = format!("{left:>4.1} s left   {api_calls:>6} calls   {refreshes} refreshes   {rejected} rejected");
    let mut out = std::io::stdout();
    if out.is_terminal() {
        write!(out, "\r{line}\x1b[K")?;
    } else {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

fn summary(stats: &Stats) {
    if std::io::stdout().is_terminal() {
        println!();
    }
    let Stats { api_calls, logins, refreshes, rejected, .. } = *stats;
    let overhead = ratio(refreshes, api_calls);
    println!("calls={api_calls} logins={logins} refreshes={refreshes} rejected={rejected} overhead={overhead:.4}");
}

fn ratio(part: u64, whole: u64) -> f64 {
    let exact = |count| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    exact(part) / exact(whole.max(1))
}
