//! A client that progenitor generates from `openapi.json`, and that gets its tokens from a session.
//!
//! ```sh
//! cargo run --manifest-path examples/progenitor_client/Cargo.toml
//! ```

mod catalog;

use jwt_refresh::RequestRule;
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::TestServer;

use self::catalog::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestServer::start();
    let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .refresh_url(server.url("/api/auth/refresh"))
        .field("email", server.email())
        .secret_field("password", server.password())
        .build()?;
    let rule = RequestRule::for_origin(server.base_url())?;
    let session = Session::builder(login).requests(rule).connect().await?;
    let client = Client::new(server.base_url(), session);
    println!("{}", client.get_product(1).await?.name);

    server.revoke_access_tokens_of(server.email());
    println!("{}", client.get_product(2).await?.name);

    Ok(())
}
