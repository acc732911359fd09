//! Sends requests of ureq with a token.

use http::{Request, Response};
use ureq::config::RedirectAuthHeaders;
use ureq::{Agent, AsSendBody, Body, Error, ResponseExt};

use super::answer_head::AnswerHead;
use super::attempt::{AfterAnswer, Attempt, Delivery};
use super::held_token::hold;
use super::origin::Target;
use super::request_auth::RequestAuth;
use crate::provider::TokenProvider;

impl<P: TokenProvider> RequestAuth<P> {
    /// Sends a request as [`Agent::run`] does, with a fresh token, and once more if the token is
    /// [rejected](crate::RequestRule::rejected_if). Blocks the current thread until there is an
    /// answer.
    ///
    /// A middleware of ureq could send a request only once, and does not see where an answer comes
    /// from; so this is a function. A body that cannot be cloned, such as a file, goes through an
    /// agent as it is, with `.bearer(&token)`.
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
    /// | the answer is another 4xx or 5xx | [`Error::StatusCode`], if the agent wants it so |
    /// | the request could not be sent or was not answered | that of ureq |
    ///
    /// [`InsufficientScope`]: crate::ErrorKind::InsufficientScope
    /// [`InsufficientUserAuthentication`]: crate::ErrorKind::InsufficientUserAuthentication
    pub fn run<B: AsSendBody + Clone>(&self, agent: &Agent, request: Request<B>) -> Result<Response<Body>, Error> {
        let (target, headers) = (Target::of_uri(request.uri()), request.headers());
        let begun = Attempt::begin_blocking(self.provider(), self.rule(), target, headers).map_err(ours)?;
        let Some(mut attempt) = begun else { return agent.run(request) };
        let mut request = guarded(agent, request, &attempt);
        let uri = request.uri().clone();
        loop {
            let again = attempt.copy(|| Some(request.clone()));
            attempt.attach(request.headers_mut()).map_err(ours)?;
            let answer = agent.run(request).inspect_err(|_| attempt.unanswered())?;
            let step = if *answer.get_uri() == uri {
                attempt.answered(AnswerHead::of(&answer), again)
            } else {
                AfterAnswer::Deliver(attempt.answered_elsewhere())
            };
            (attempt, request) = match step {
                AfterAnswer::Deliver(Delivery { insufficient: Some(insufficient), .. }) => {
                    return Err(ours(insufficient.into_error().at(uri.to_string())));
                }
                AfterAnswer::Deliver(Delivery { token, .. }) => return delivered(agent, answer, token),
                AfterAnswer::SendAgain(other, again) => (other, again),
                AfterAnswer::Renew(rejected, again) => (rejected.renewed_blocking().map_err(ours)?, again),
            };
        }
    }
}

fn ours(error: crate::error::Error) -> Error {
    Error::Other(Box::new(error))
}

/// Makes a request show its answer whatever its status is, and keep its token from redirects.
fn guarded<P: TokenProvider, B: AsSendBody>(
    agent: &Agent,
    request: Request<B>,
    attempt: &Attempt<'_, P>,
) -> Request<B> {
    let configured =
        agent.configure_request(request).http_status_as_error(false).redirect_auth_headers(RedirectAuthHeaders::Never);
    if attempt.is_in_authorization() {
        configured.build()
    } else {
        configured.max_redirects(0).max_redirects_will_error(false).build()
    }
}

/// Returns the answer, which holds `token` if that is for this request alone.
fn delivered<T: Send + 'static>(agent: &Agent, mut answer: Response<Body>, token: T) -> Result<Response<Body>, Error> {
    let status = answer.status();
    if agent.config().http_status_as_error() && (status.is_client_error() || status.is_server_error()) {
        return Err(Error::StatusCode(status.as_u16()));
    }
    hold(token, answer.extensions_mut());
    Ok(answer)
}
