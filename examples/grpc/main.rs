//! A client of tonic whose calls get their token by a layer, and a server in the same process.
//!
//! ```sh
//! cargo run --example grpc --features tower
//! ```

pub(crate) mod catalog;
pub(crate) mod gateway;

use catalog::{CatalogClient, ProductRequest};
use http::{Request, Uri};
use jwt_refresh::prelude::*;
use jwt_refresh::{PeekedBody, RequestAuth, RequestRule};
use jwt_refresh_testkit::TestServer;
use tonic::{body::Body, transport::Endpoint};
use tower::ServiceBuilder;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let server = TestServer::start();
    let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .field("email", server.email())
        .secret_field("password", server.password())
        .build()?;
    let session = Session::builder(login).connect().await?;

    let origin = format!("http://{}", gateway::start(server.base_url())?);
    // The server says `UNAUTHENTICATED` (16) in the head of an answer without a body.
    let rule = RequestRule::for_origin(&origin)?
        .rejected_if(|_, headers| headers.get("grpc-status").is_some_and(|status| status == "16"));
    let service = ServiceBuilder::new()
        .layer(RequestAuth::new(session, rule))
        .map_request(|request: Request<PeekedBody<Body>>| request.map(Body::new))
        .service(Endpoint::from_shared(origin.clone())?.connect_lazy());
    let mut client = CatalogClient::with_origin(service, origin.parse::<Uri>()?);
    server.rotate_signing_key(); // The server rejects the token that the client has.
    println!("{}", client.get_product(ProductRequest { id: 1 }).await?.into_inner().json);

    let requests = [2, 3].map(|id| ProductRequest { id });
    let mut products = client.find_products(futures_util::stream::iter(requests)).await?.into_inner();
    while let Some(product) = products.message().await? {
        println!("{}", product.json);
    }
    Ok(())
}
