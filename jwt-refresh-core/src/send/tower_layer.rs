//! A layer of tower that gives requests their token.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::answer_head::Insufficient;
use super::attempt::{AfterAnswer, Attempt, Delivery};
use super::held_body::HeldBody;
use super::origin::Target;
use super::peeked_body::PeekedBody;
use super::request_auth::RequestAuth;
use super::response_head::{ResponseHead as _, note_shortcoming};
use crate::provider::{BoxFuture, TokenProvider};

type BoxError = Box<dyn StdError + Send + Sync>;

/// The service of the layer that a [`RequestAuth`] is. It gives each request a token, and sends it
/// once more if the token is [rejected](crate::RequestRule::rejected_if).
///
/// It is as ready as the service below, and calls the clone of it that said so. Before a second
/// sending it waits until that is ready again. Layers below are called for each sending. One that
/// retries by itself or follows redirects belongs above, so that each of its requests has a token
/// of its own, or none.
///
/// A request needs a URI with scheme and host, from which the rule sees where it goes.
///
/// # Bodies
///
/// The service below gets the body of a request as a [`PeekedBody`], which is sent twice if it is
/// in one piece. The body of an answer is a [`HeldBody`], which keeps the lease of a
/// [`Pool`](crate::pool::Pool) until it is dropped. Both have to be `Unpin`, which `Box::pin` makes
/// of any body.
///
/// # Errors
///
/// An error of the service below is handed on in a box. If there is no token, the box holds an
/// [`Error`](crate::Error), and nothing is sent. An answer is handed on; if the token does not
/// suffice (RFC 6750 §3.1, RFC 9470) or cannot be renewed, an `Error` in its extensions says why.
///
/// # Cancel safety
///
/// If the future of a call is dropped, so is that of the service below. A renewal that began goes
/// on.
#[derive(Clone, Debug)]
pub struct RequestAuthService<S, P> {
    inner: S,
    auth: Arc<RequestAuth<P>>,
}

/// Puts [`RequestAuthService`] before a service for requests of the crate `http`: a client of
/// hyper, a channel of tonic.
///
/// ```
/// # use jwt_refresh::{RequestAuth, RequestRule, Session};
/// # fn doc<S>(session: Session, client: S) -> Result<(), jwt_refresh::Error> {
/// use tower_layer::Layer;
///
/// let rule = RequestRule::for_origin("https://api.example")?;
/// let client = RequestAuth::new(session, rule).layer(client);
/// # Ok(()) }
/// ```
///
/// # gRPC
///
/// A server tells by `grpc-status` 16 (`UNAUTHENTICATED`) that a token is not valid. Where that is
/// in the head of the answer, which then has no body, it can be taken for a rejection. In the
/// trailers after a body it comes too late. A call with a stream of messages is not sent again.
///
/// ```
/// # use jwt_refresh::RequestRule;
/// # fn main() -> Result<(), jwt_refresh::Error> {
/// let rule = RequestRule::for_origin("https://api.example")?.rejected_if(|status, headers| {
///     status == 401 || headers.get("grpc-status").is_some_and(|status| status == "16")
/// });
/// # Ok(()) }
/// ```
///
/// A client that tonic generates has to be made by `with_origin`, so that its requests say where
/// they go, and a channel takes only bodies of tonic:
///
/// ```text
/// let service = ServiceBuilder::new()
///     .layer(RequestAuth::new(session, rule))
///     .map_request(|request: Request<PeekedBody<_>>| request.map(tonic::body::Body::new))
///     .service(channel);
/// let client = CatalogClient::with_origin(service, Uri::from_static("https://api.example"));
/// ```
impl<S, P: Clone> Layer<S> for RequestAuth<P> {
    type Service = RequestAuthService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestAuthService { inner, auth: Arc::new(self.clone()) }
    }
}

impl<S, P, B, R> Service<Request<B>> for RequestAuthService<S, P>
where
    S: Service<Request<PeekedBody<B>>, Response = Response<R>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + 'static,
    P: TokenProvider + Send + Sync + 'static,
    B: Body<Data: Clone + Send, Error: Send> + Unpin + Send + 'static,
    R: Send,
{
    type Response = Response<HeldBody<R, P::Token>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let unready = self.inner.clone();
        let ready = mem::replace(&mut self.inner, unready);
        let auth = Arc::clone(&self.auth);
        Box::pin(async move { send(ready, &auth, request).await })
    }
}

/// Sends a request by a service that is ready.
async fn send<S, P, B, R>(
    mut service: S,
    auth: &RequestAuth<P>,
    request: Request<B>,
) -> Result<Response<HeldBody<R, P::Token>>, BoxError>
where
    S: Service<Request<PeekedBody<B>>, Response = Response<R>, Error: Into<BoxError>>,
    P: TokenProvider,
    B: Body<Data: Clone> + Unpin,
{
    let target = Target::of_uri(request.uri());
    let Some(mut attempt) = Attempt::begin(auth.provider(), auth.rule(), target, request.headers()).await? else {
        let answer = service.call(request.map(PeekedBody::unread)).await.map_err(Into::into)?;
        return Ok(answer.map(HeldBody::without_token));
    };
    let (head, body) = request.into_parts();
    let mut request = Request::from_parts(head, PeekedBody::peek(body).await);
    loop {
        let again = attempt.copy(|| try_clone(&request));
        let (method, uri) = (request.method().clone(), request.uri().clone());
        attempt.attach(&method, &uri, request.headers_mut())?;
        let sent = service.call(request).await.inspect_err(|_| attempt.unanswered());
        let mut answer = sent.map_err(Into::into)?;
        (attempt, request) = match attempt.answered(answer.head(), again) {
            AfterAnswer::Deliver(Delivery { token, insufficient }) => {
                note_shortcoming(answer.extensions_mut(), insufficient.map(Insufficient::into_error));
                return Ok(answer.map(|body| HeldBody::new(body, token)));
            }
            AfterAnswer::SendAgain(other, again) => (other, again),
            AfterAnswer::Renew(rejected, again) => match rejected.renewed().await {
                Ok(renewed) => (renewed, again),
                Err(error) => {
                    note_shortcoming(answer.extensions_mut(), Some(error));
                    return Ok(answer.map(HeldBody::without_token));
                }
            },
        };
        drop(answer);
        poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
    }
}

/// Returns a copy of a request whose body is in one piece.
fn try_clone<B: Body<Data: Clone> + Unpin>(request: &Request<PeekedBody<B>>) -> Option<Request<PeekedBody<B>>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
