//! Sends requests of reqwest with a token.

use std::any::TypeId;

use http::response;
use reqwest::{Body, Client, Request, Response, ResponseBuilderExt, Url};

use super::answer_head::Insufficient;
use super::attempt::{AfterAnswer, Attempt, Delivery};
use super::execute_error::ExecuteError;
use super::held_body::HeldBody;
use super::origin::Target;
use super::request_auth::RequestAuth;
use super::request_rule::RequestRule;
use super::response_head::ResponseHead as _;
use crate::error::Error;
use crate::provider::TokenProvider;
use crate::token::AccessToken;

/// The host in the URL that reqwest gives an answer that has none, as a cache or a mock makes it.
const HOST_OF_NO_URL: &str = "no.url.provided.local";

impl<P: TokenProvider> RequestAuth<P> {
    /// Sends a request with a fresh token, and once more if the token is
    /// [rejected](RequestRule::rejected_if), or does not suffice and the provider can
    /// [step up](TokenProvider::step_up).
    ///
    /// A request to an origin that the rule does not name is sent without a token, and one whose
    /// body is a stream is sent only once. If the last token was rejected too, that answer is
    /// returned.
    ///
    /// reqwest takes `Authorization` out of a request that is redirected to another origin. What is
    /// answered there says nothing about the token.
    ///
    /// # Errors
    ///
    /// | situation | error |
    /// |---|---|
    /// | there is no token | [`Auth`](ExecuteError::Auth), with the error of the provider |
    /// | the token was rejected and cannot be renewed | the same |
    /// | the token lacks a scope (RFC 6750 §3.1) | `Auth`, [`InsufficientScope`] |
    /// | its login is too weak or old (RFC 9470) | `Auth`, [`InsufficientUserAuthentication`] |
    /// | the API takes no proof of a bound token (RFC 9449) | `Auth`, [`BadAnswer`] |
    /// | a redirect may take [the header](RequestRule::header) away | `Auth`, [`Configuration`] |
    /// | the request could not be sent or was not answered | [`Http`](ExecuteError::Http) |
    ///
    /// [`BadAnswer`]: crate::ErrorKind::BadAnswer
    /// [`InsufficientScope`]: crate::ErrorKind::InsufficientScope
    /// [`InsufficientUserAuthentication`]: crate::ErrorKind::InsufficientUserAuthentication
    /// [`Configuration`]: crate::ErrorKind::Configuration
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the request is cut off as reqwest does. A renewal that began goes
    /// on.
    pub async fn execute(&self, client: &Client, request: Request) -> Result<Response, ExecuteError> {
        execute(self.provider(), self.rule(), client, request).await
    }
}

/// Does what [`RequestAuth::execute`] says.
pub(crate) async fn execute<P: TokenProvider>(
    provider: &P,
    rule: &RequestRule,
    client: &Client,
    request: Request,
) -> Result<Response, ExecuteError> {
    let (mut sending, mut request) = ReqwestSending::begin(provider, rule, request).await?;
    loop {
        let response = client.execute(request).await.inspect_err(|_| sending.unanswered())?;
        match sending.answered(response).await? {
            Progress::Again(again) => (sending, request) = *again,
            Progress::Done { response, shortcoming: None } => return Ok(response),
            Progress::Done { response, shortcoming: Some(error) } => return Err(error.at(response.url()).into()),
        }
    }
}

/// A request that is being sent, with a token or as it is.
pub(super) struct ReqwestSending<'a, P: TokenProvider>(Option<WithToken<'a, P>>);

struct WithToken<'a, P: TokenProvider> {
    attempt: Attempt<'a, P>,
    url: Url,
    /// A copy, if there can be one and it may be needed.
    again: Option<Request>,
}

/// What has come of one sending.
pub(super) enum Progress<'a, P: TokenProvider> {
    /// Send this request.
    Again(Box<(ReqwestSending<'a, P>, Request)>),
    Done {
        response: Response,
        /// Why the token did not do, and there is no other one.
        shortcoming: Option<Error>,
    },
}

impl<'a, P: TokenProvider> ReqwestSending<'a, P> {
    /// Waits for a fresh token. Returns the request with the token in it, if it gets one.
    pub(super) async fn begin(
        provider: &'a P,
        rule: &'a RequestRule,
        request: Request,
    ) -> Result<(Self, Request), Error> {
        let target = Target::of_url(request.url());
        match Attempt::begin(provider, rule, target, request.headers()).await? {
            Some(attempt) => Self::with_token(attempt, request),
            None => Ok((Self(None), request)),
        }
    }

    fn with_token(mut attempt: Attempt<'a, P>, mut request: Request) -> Result<(Self, Request), Error> {
        attempt.check_redirects()?;
        let (url, again) = (request.url().clone(), attempt.copy(|| request.try_clone()));
        let method = request.method().clone();
        attempt.attach(&method, &url, request.headers_mut())?;
        Ok((Self(Some(WithToken { attempt, url, again })), request))
    }

    /// Reports that there was no answer.
    pub(super) fn unanswered(&self) {
        if let Some(sending) = &self.0 {
            sending.attempt.unanswered();
        }
    }

    /// Reports the answer. If it rejects the token, waits for a newer one.
    pub(super) async fn answered(self, response: Response) -> Result<Progress<'a, P>, Error> {
        let Some(WithToken { attempt, url, again }) = self.0 else {
            return Ok(Progress::Done { response, shortcoming: None });
        };
        let step = if is_from_elsewhere(response.url(), &url) {
            AfterAnswer::Deliver(attempt.answered_elsewhere())
        } else {
            attempt.answered(response.head(), again)
        };
        match step {
            AfterAnswer::Deliver(Delivery { token, insufficient }) => {
                let shortcoming = insufficient.map(Insufficient::into_error);
                Ok(Progress::Done { response: holding(token, response), shortcoming })
            }
            AfterAnswer::SendAgain(other, again) => Ok(Progress::Again(Box::new(Self::with_token(other, again)?))),
            AfterAnswer::Renew(rejected, again) => match rejected.renewed().await {
                Ok(renewed) => Ok(Progress::Again(Box::new(Self::with_token(renewed, again)?))),
                Err(error) => Ok(Progress::Done { response, shortcoming: Some(error) }),
            },
        }
    }
}

/// Returns whether an answer may be from another origin than that of `url`, after a redirect.
pub(super) fn is_from_elsewhere(answered: &Url, url: &Url) -> bool {
    Target::of_url(answered) != Target::of_url(url) && answered.host_str() != Some(HOST_OF_NO_URL)
}

/// Returns the response, whose body holds `token` if that is for this request alone.
fn holding<T: Send + 'static>(token: T, response: Response) -> Response {
    if TypeId::of::<T>() == TypeId::of::<AccessToken>() {
        return response;
    }
    let url = response.url().clone();
    let (mut head, body) = http::Response::<Body>::from(response).into_parts();
    // The conversion back looks for the URL where a builder puts it, which cannot fail.
    let with_url = response::Builder::new().url(url).body(()).unwrap_or_default();
    head.extensions.extend(with_url.into_parts().0.extensions);
    http::Response::from_parts(head, Body::wrap(HeldBody::new(body, token))).into()
}
