//! A script without an async runtime, whose requests get their token by themselves.
//!
//! ```sh
//! cargo run --example ureq_script --features ureq
//! ```

use http::Request;
use jwt_refresh::prelude::*;
use jwt_refresh::{RequestAuth, RequestRule};
use jwt_refresh_testkit::TestServer;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestServer::start();
    let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .refresh_url(server.url("/api/auth/refresh"))
        .field("email", server.email())
        .secret_field("password", server.password())
        .build()?;
    let session = Session::builder(login).blocking_connect()?;

    // Requests to this origin get a token, and are sent once more if the server rejects it.
    let auth = RequestAuth::new(session.clone(), RequestRule::for_origin(server.base_url())?);
    let agent = ureq::agent();
    for id in 1..=3 {
        server.rotate_signing_key(); // The server rejects the token that the session has.
        let request = Request::get(server.url(&format!("/api/v1/products/{id}"))).body(())?;
        println!("product {id}: {}", auth.run(&agent, request)?.body_mut().read_to_string()?);
    }

    // With a token, ureq's own builder sends a request once.
    let request = agent.get(server.url("/api/v1/products/4")).bearer(&session.blocking_token()?);
    println!("product 4: {}", request.call()?.body_mut().read_to_string()?);
    Ok(())
}
