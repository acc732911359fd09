//! A middleware of ureq that gives requests their token.

use std::convert::Infallible;

use http::{Request, Response};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Body, Error, RequestExt, SendBody};

use super::attempt::{AfterAnswer, Attempt};
use super::origin::Target;
use super::request_auth::RequestAuth;
use super::ureq_client::{answered, checked, delivered, guarded, ours};
use crate::error::ErrorKind;
use crate::provider::TokenProvider;

/// A middleware of ureq that gives each request of an agent a token. See
/// [`RequestAuth::ureq_middleware`].
#[derive(Clone, Debug)]
pub struct UreqMiddleware<P> {
    auth: RequestAuth<P>,
    on_error_status: OnErrorStatus,
}

/// What becomes of an answer with a status of 4xx or 5xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnErrorStatus {
    MakeError,
    HandOn,
}

impl<P> RequestAuth<P> {
    /// Returns a middleware for an agent of ureq, each of whose requests then gets a fresh token.
    /// A call blocks the thread until there is one.
    ///
    /// A middleware of ureq can send a request only once. If the token is
    /// [rejected](crate::RequestRule::rejected_if), the caller gets that answer, and the next
    /// request gets a newer token. [`run`](Self::run) sends a request twice.
    ///
    /// No redirect takes the token along, and a lease of a pool is held, as with `run`.
    ///
    /// ```no_run
    /// # use jwt_refresh::{RequestAuth, RequestRule, Session};
    /// # fn doc(session: Session) -> Result<(), Box<dyn std::error::Error>> {
    /// let auth = RequestAuth::new(session, RequestRule::for_origin("https://api.example")?);
    /// let config = ureq::Agent::config_builder().middleware(auth.ureq_middleware()).build();
    /// let agent = config.new_agent();
    /// let order = agent.get("https://api.example/orders/1").call()?.body_mut().read_to_string()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// A request fails as with [`run`](Self::run). A 401 whose token was rejected is
    /// [`Error::StatusCode`], as every other 4xx and 5xx is, unless
    /// [`http_status_as_error`](UreqMiddleware::http_status_as_error) says otherwise.
    pub fn ureq_middleware(self) -> UreqMiddleware<P> {
        UreqMiddleware { auth: self, on_error_status: OnErrorStatus::MakeError }
    }
}

impl<P> UreqMiddleware<P> {
    /// Says whether an answer with a status of 4xx or 5xx is an error. Default: `true`, as in ureq.
    ///
    /// The setting of the agent and that of a request do not count for requests that get a token:
    /// ureq shows neither to a middleware, which needs the head of each answer. Middlewares that
    /// the agent has after this one get such answers, and no errors.
    ///
    /// ```no_run
    /// # use jwt_refresh::{RequestAuth, Session};
    /// # fn doc(auth: RequestAuth<Session>) -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = ureq::Agent::config_builder()
    ///     .http_status_as_error(false)
    ///     .middleware(auth.ureq_middleware().http_status_as_error(false))
    ///     .build()
    ///     .new_agent();
    /// # Ok(()) }
    /// ```
    pub fn http_status_as_error(self, is_error: bool) -> Self {
        let on_error_status = if is_error { OnErrorStatus::MakeError } else { OnErrorStatus::HandOn };
        Self { on_error_status, ..self }
    }
}

impl<P: TokenProvider + Send + Sync + 'static> Middleware for UreqMiddleware<P> {
    fn handle(&self, request: Request<SendBody<'_>>, next: MiddlewareNext<'_>) -> Result<Response<Body>, Error> {
        let (target, headers) = (Target::of_uri(request.uri()), request.headers());
        let begun = Attempt::begin_blocking(self.auth.provider(), self.auth.rule(), target, headers).map_err(ours)?;
        let Some(mut attempt) = begun.map(Attempt::only_once) else { return next.handle(request) };
        let mut request = guarded(request.middleware_config().ok_or_else(no_extensions)?, &attempt);
        let uri = request.uri().clone();
        let method = request.method().clone();
        attempt.attach(&method, &uri, request.headers_mut()).map_err(ours)?;
        let answer = next.handle(request).inspect_err(|_| attempt.unanswered())?;
        let delivery = match answered(attempt, &uri, &answer, None::<Infallible>) {
            AfterAnswer::Deliver(delivery) => delivery,
            AfterAnswer::Renew(_, never) | AfterAnswer::SendAgain(_, never) => match never {},
        };
        let answer = delivered(&uri, answer, delivery)?;
        if self.on_error_status == OnErrorStatus::MakeError { checked(answer) } else { Ok(answer) }
    }
}

/// A request that another middleware made from nothing.
fn no_extensions() -> Error {
    let error = crate::error::Error::new(
        ErrorKind::Configuration,
        "a middleware of ureq made a request without the extensions of the one that it was given",
    );
    ours(error.advising("change the request that it was given"))
}
