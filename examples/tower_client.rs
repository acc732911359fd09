//! A client of hyper behind a layer that gives each request its token.
//!
//! ```sh
//! cargo run --example tower_client --features tower
//! ```

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use jwt_refresh::prelude::*;
use jwt_refresh::{PeekedBody, RequestAuth, RequestRule};
use jwt_refresh_testkit::TestServer;
use tower::{Service, ServiceBuilder, ServiceExt};

type Body = Full<&'static [u8]>;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let server = TestServer::start();
    let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .refresh_url(server.url("/api/auth/refresh"))
        .field("email", server.email())
        .secret_field("password", server.password())
        .build()?;
    let session = Session::builder(login).connect().await?;

    // Requests to this origin get a token, and are sent once more if the server rejects it.
    let auth = RequestAuth::new(session, RequestRule::for_origin(server.base_url())?);
    let client: Client<HttpConnector, PeekedBody<Body>> = Client::builder(TokioExecutor::new()).build_http();
    let mut client = ServiceBuilder::new().layer(auth).service(client);

    for id in 1..=3 {
        server.rotate_signing_key(); // The server rejects the token that the client has.
        let request = Request::get(server.url(&format!("/api/v1/products/{id}"))).body(Body::default())?;
        let answer = client.ready().await?.call(request).await?;
        let (status, body) = (answer.status(), answer.into_body().collect().await?.to_bytes());
        println!("product {id}: {status} {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}
