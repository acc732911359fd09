//! A client that is generated from `openapi.json`, and gets its tokens from a session.
//!
//! ```sh
//! cargo run --example generated_client --features reqwest-middleware
//! ```

mod openapi_generator;

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
    let rule = RequestRule::for_origin(server.base_url())?;
    let session = Session::builder(login).requests(rule.clone()).connect().await?;
    let client = ClientBuilder::new(reqwest::Client::new()).with(RequestAuth::new(session, rule)).build();
    let configuration = openapi_generator::Configuration { base_path: server.base_url().to_owned(), client };
    let product = openapi_generator::get_product(&configuration, 1).await?;
    println!("{}: {}", product.id, product.name);

    server.revoke_access_tokens_of(server.email());
    let product = openapi_generator::get_product(&configuration, 2).await?;
    println!("{}: {}", product.id, product.name);
    Ok(())
}
