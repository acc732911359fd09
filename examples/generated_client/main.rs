//! Clients that are generated from `openapi.json`, and get their tokens from one session.
//!
//! ```sh
//! cargo run --example generated_client --features reqwest-middleware
//! ```

mod openapi_generator;
mod progenitor;

use jwt_refresh::prelude::*;
use jwt_refresh::{RequestAuth, RequestRule};
use jwt_refresh_testkit::TestServer;
use reqwest_middleware::ClientBuilder;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestServer::start();
    let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .field("email", server.email())
        .secret_field("password", server.password())
        .build()?;
    let rule = RequestRule::for_origin(server.base_url())?;
    let session = Session::builder(login).requests(rule.clone()).connect().await?;
    let (base, http) = (server.base_url().to_owned(), reqwest::Client::new());

    let client = ClientBuilder::new(http.clone()).with(RequestAuth::new(session.clone(), rule)).build();
    let configuration = openapi_generator::Configuration { base_path: base.clone(), client };
    let product = openapi_generator::get_product(&configuration, 1).await?;
    println!("{}: {}", product.id, product.name);

    server.rotate_signing_key(); // The server rejects the token that the clients have.
    let client = progenitor::Client { baseurl: base, client: http, inner: session };
    let product = client.get_product(2).await?;
    println!("{}: {}", product.id, product.name);
    Ok(())
}
