//! A server of gRPC that gets its products from the API of the test server, with the token that it
//! is called with. It says `UNAUTHENTICATED` where that says 401.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::catalog::{Catalog, CatalogServer, Product, ProductRequest, Products};

#[derive(Clone)]
struct Gateway {
    api: String,
    http: reqwest::Client,
}

/// Starts the server for the API at `api`, and returns its address.
pub(crate) fn start(api: &str) -> Result<SocketAddr, Box<dyn std::error::Error + Send + Sync>> {
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = incoming.local_addr()?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let server = CatalogServer(Arc::new(Gateway { api: api.to_owned(), http }));
    tokio::spawn(Server::builder().add_service(server).serve_with_incoming(incoming));
    Ok(address)
}

impl Gateway {
    async fn product(&self, metadata: &MetadataMap, request: ProductRequest) -> Result<Product, Status> {
        let url = format!("{}/api/v1/products/{}", self.api, request.id);
        let token = metadata.get("authorization").map_or("", |token| token.to_str().unwrap_or_default());
        let sent = self.http.get(url).header("authorization", token).send().await;
        let answer = sent.map_err(|error| Status::unavailable(error.to_string()))?;
        match answer.status().as_u16() {
            200 => Ok(Product { json: answer.text().await.map_err(|error| Status::unavailable(error.to_string()))? }),
            401 => Err(Status::unauthenticated("the token is not valid")),
            status => Err(Status::unknown(status.to_string())),
        }
    }
}

#[tonic::async_trait]
impl Catalog for Gateway {
    async fn get_product(&self, request: Request<ProductRequest>) -> Result<Response<Product>, Status> {
        Ok(Response::new(self.product(request.metadata(), *request.get_ref()).await?))
    }

    /// An error of the first product is in the head of the answer, those of others are in the
    /// trailers.
    async fn find_products(&self, requests: Request<Streaming<ProductRequest>>) -> Result<Response<Products>, Status> {
        let (metadata, _, mut requests) = requests.into_parts();
        let first = requests.message().await?.ok_or_else(|| Status::invalid_argument("no product"))?;
        let first = self.product(&metadata, first).await?;
        let gateway = self.clone();
        let others = requests.then(move |request| {
            let (gateway, metadata) = (gateway.clone(), metadata.clone());
            async move { gateway.product(&metadata, request?).await }
        });
        Ok(Response::new(Box::pin(futures_util::stream::iter([Ok(first)]).chain(others))))
    }
}
