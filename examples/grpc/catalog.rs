//! Messages, client and server for `catalog.proto` in the shape that tonic-prost-build gives them,
//! written by hand and cut to what the example needs, so that it builds without protoc.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio_stream::Stream;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{BoxFuture, StdError, http, tokio_stream};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct ProductRequest {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Product {
    #[prost(string, tag = "1")]
    pub(crate) json: String,
}

const GET_PRODUCT: &str = "/catalog.Catalog/GetProduct";
const FIND_PRODUCTS: &str = "/catalog.Catalog/FindProducts";

#[derive(Clone)]
pub(crate) struct CatalogClient<S>(tonic::client::Grpc<S>);

impl<S> CatalogClient<S>
where
    S: GrpcService<Body, Error: Into<StdError>>,
    S::ResponseBody: http_body::Body<Data = bytes::Bytes, Error: Into<StdError> + Send> + Send + 'static,
{
    pub(crate) fn with_origin(service: S, origin: http::Uri) -> Self {
        Self(tonic::client::Grpc::with_origin(service, origin))
    }

    pub(crate) async fn get_product(&mut self, request: ProductRequest) -> Result<Response<Product>, Status> {
        self.ready().await?;
        let path = http::uri::PathAndQuery::from_static(GET_PRODUCT);
        self.0.unary(Request::new(request), path, ProstCodec::<_, Product>::default()).await
    }

    pub(crate) async fn find_products(
        &mut self,
        requests: impl Stream<Item = ProductRequest> + Send + 'static,
    ) -> Result<Response<Streaming<Product>>, Status> {
        self.ready().await?;
        let path = http::uri::PathAndQuery::from_static(FIND_PRODUCTS);
        self.0.streaming(Request::new(requests), path, ProstCodec::default()).await
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.0.ready().await.map_err(|error| Status::unknown(format!("the service was not ready: {}", error.into())))
    }
}

pub(crate) type Products = Pin<Box<dyn Stream<Item = Result<Product, Status>> + Send>>;

#[tonic::async_trait]
pub(crate) trait Catalog: Send + Sync + 'static {
    async fn get_product(&self, request: Request<ProductRequest>) -> Result<Response<Product>, Status>;
    async fn find_products(&self, requests: Request<Streaming<ProductRequest>>) -> Result<Response<Products>, Status>;
}

pub(crate) struct CatalogServer<T>(pub(crate) Arc<T>);

impl<T> Clone for CatalogServer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> tonic::server::NamedService for CatalogServer<T> {
    const NAME: &'static str = "catalog.Catalog";
}

impl<T: Catalog> tower::Service<http::Request<Body>> for CatalogServer<T> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let catalog = Arc::clone(&self.0);
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
            Ok(match request.uri().path() {
                GET_PRODUCT => {
                    let get = |request| {
                        let catalog = Arc::clone(&catalog);
                        async move { catalog.get_product(request).await }
                    };
                    grpc.unary(service_fn(get), request).await
                }
                FIND_PRODUCTS => {
                    let find = |requests| {
                        let catalog = Arc::clone(&catalog);
                        async move { catalog.find_products(requests).await }
                    };
                    grpc.streaming(service_fn(find), request).await
                }
                _ => Status::unimplemented("there is no such method").into_http(),
            })
        })
    }
}
