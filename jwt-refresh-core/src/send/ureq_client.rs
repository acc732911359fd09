//! Sends requests of ureq with a token.

use http::{Request, Response, Uri};
use ureq::config::{ConfigBuilder, RedirectAuthHeaders};
use ureq::typestate::HttpCrateScope;
use ureq::{Agent, AsSendBody, Body, Error, ResponseExt};

use super::attempt::{AfterAnswer, Attempt, Delivery};
use super::held_token::hold;
use super::origin::Target;
use super::request_auth::RequestAuth;
use super::response_head::ResponseHead as _;
use crate::provider::TokenProvider;

impl<P: TokenProvider> RequestAuth<P> {
    /// Sends a request as [`Agent::run`] does, with a fresh token, and once more if the token is
    /// [rejected](crate::RequestRule::rejected_if). Blocks the current thread until there is an
    /// answer.
    ///
    /// A request whose body cannot be cloned, such as a file, goes through an agent with the
    /// [middleware](Self::ureq_middleware), which sends it once, or has its token from
    /// `.bearer(&token)`.
    ///
    /// No redirect takes the token along, also within an origin, whatever the agent says, and what
    /// is answered there says nothing about the token. If it is in
    /// [another header](crate::RequestRule::header) than `Authorization`, redirects are handed on.
    ///
    /// A lease of a pool is held until the answer is dropped, of which its body can be taken out
    /// before.
    ///
    /// ```no_run
    /// # use jwt_refresh::{RequestAuth, RequestRule, Session};
    /// # fn doc(session: Session) -> Result<(), Box<dyn std::error::Error>> {
    /// let auth = RequestAuth::new(session, RequestRule::for_origin("https://api.example")?);
    /// let agent = ureq::agent();
    /// let request = http::Request::post("https://api.example/orders").body("one")?;
    /// let order = auth.run(&agent, request)?.body_mut().read_to_string()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// | situation | error |
    /// |---|---|
    /// | there is no token | [`Error::Other`] with an [`Error`](crate::Error) in it |
    /// | the token was rejected and cannot be renewed | the same |
    /// | the token lacks a scope (RFC 6750 §3.1) | the same, [`InsufficientScope`] |
    /// | its login is too weak or old (RFC 9470) | the same, [`InsufficientUserAuthentication`] |
    /// | the API takes no proof of a bound token (RFC 9449) | the same, [`BadAnswer`] |
    /// | the answer is another 4xx or 5xx | [`Error::StatusCode`], if the agent wants it so |
    /// | the request could not be sent or was not answered | that of ureq |
    ///
    /// [`BadAnswer`]: crate::ErrorKind::BadAnswer
    /// [`InsufficientScope`]: crate::ErrorKind::InsufficientScope
    /// [`InsufficientUserAuthentication`]: crate::ErrorKind::InsufficientUserAuthentication
    pub fn run<B: AsSendBody + Clone>(&self, agent: &Agent, request: Request<B>) -> Result<Response<Body>, Error> {
        let (target, headers) = (Target::of_uri(request.uri()), request.headers());
        let begun = Attempt::begin_blocking(self.provider(), self.rule(), target, headers).map_err(ours)?;
        let Some(mut attempt) = begun else { return agent.run(request) };
        let mut request = guarded(agent.configure_request(request), &attempt);
        let uri = request.uri().clone();
        loop {
            let again = attempt.copy(|| Some(request.clone()));
            let method = request.method().clone();
            attempt.attach(&method, &uri, request.headers_mut()).map_err(ours)?;
            let answer = agent.run(request).inspect_err(|_| attempt.unanswered())?;
            (attempt, request) = match answered(attempt, &uri, &answer, again) {
                AfterAnswer::Deliver(delivery) => {
                    let answer = delivered(&uri, answer, delivery)?;
                    return if agent.config().http_status_as_error() { checked(answer) } else { Ok(answer) };
                }
                AfterAnswer::SendAgain(other, again) => (other, again),
                AfterAnswer::Renew(rejected, again) => (rejected.renewed_blocking().map_err(ours)?, again),
            };
        }
    }
}

/// Makes an error of ours one of ureq.
pub(super) fn ours(error: crate::error::Error) -> Error {
    Error::Other(Box::new(error))
}

/// Makes a request show its answer whatever its status is, and keep its token from redirects.
pub(super) fn guarded<P: TokenProvider, B: AsSendBody>(
    config: ConfigBuilder<HttpCrateScope<B>>,
    attempt: &Attempt<'_, P>,
) -> Request<B> {
    let config = config.http_status_as_error(false).redirect_auth_headers(RedirectAuthHeaders::Never);
    if attempt.is_in_authorization() {
        config.build()
    } else {
        config.max_redirects(0).max_redirects_will_error(false).build()
    }
}

/// Reports the answer to a request to `uri`, unless it comes from where a redirect led, which took
/// no token along.
pub(super) fn answered<'a, P: TokenProvider, R>(
    attempt: Attempt<'a, P>,
    uri: &Uri,
    answer: &Response<Body>,
    again: Option<R>,
) -> AfterAnswer<'a, P, R> {
    if answer.get_uri() == uri {
        attempt.answered(answer.head(), again)
    } else {
        AfterAnswer::Deliver(attempt.answered_elsewhere())
    }
}

/// Returns the answer, which holds the token if that is for this request alone, or an error of ours
/// if the token did not suffice.
pub(super) fn delivered<T: Send + 'static>(
    uri: &Uri,
    mut answer: Response<Body>,
    Delivery { token, insufficient }: Delivery<T>,
) -> Result<Response<Body>, Error> {
    if let Some(insufficient) = insufficient {
        return Err(ours(insufficient.into_error().at(uri.to_string())));
    }
    hold(token, answer.extensions_mut());
    Ok(answer)
}

/// Makes an answer with a status of 4xx or 5xx an error, as ureq does by default.
pub(super) fn checked(answer: Response<Body>) -> Result<Response<Body>, Error> {
    let status = answer.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if is_error { Err(Error::StatusCode(status.as_u16())) } else { Ok(answer) }
}
