//! A client of `reqwest-middleware` whose requests get their token by themselves.
//!
//! ```sh
//! cargo run --example reqwest_middleware --features reqwest-middleware
//! ```

use jwt_refresh::prelude::*;
use jwt_refresh::{RequestAuth, RequestRule};
use jwt_refresh_testkit::TestServer;
use reqwest_middleware::ClientBuilder;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestServer::start();
    let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .refresh_url(server.url("/api/auth/refresh"))
        .field("email", server.email())
        .secret_field("password", server.password())
        .build()?;
    let session = Session::builder(login).connect().await?;

    // Requests to this origin get a token, and are sent once more if the server rejects it.
    let rule = RequestRule::for_origin(server.base_url())?;
    let client = ClientBuilder::new(reqwest::Client::new()).with(RequestAuth::new(session, rule)).build();

    for id in 1..=3 {
        server.rotate_signing_key(); // The server rejects the token that the client has.
        let answer = client.get(server.url(&format!("/api/v1/products/{id}"))).send().await?;
        println!("product {id}: {}", answer.error_for_status()?.text().await?);
    }
    let stats = server.stats();
    println!(
        "calls={} logins={} refreshes={} rejected={}",
        stats.api_calls, stats.logins, stats.refreshes, stats.rejected
    );
    Ok(())
}
