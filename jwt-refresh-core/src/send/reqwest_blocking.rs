//! Sends requests of reqwest's blocking client with a token.

use reqwest::blocking::{Client, Request, Response};

use super::answer_head::Insufficient;
use super::attempt::{AfterAnswer, Attempt, Delivery};
use super::execute_error::ExecuteError;
use super::held_token::hold;
use super::origin::Target;
use super::request_auth::RequestAuth;
use super::reqwest_client::is_from_elsewhere;
use super::response_head::ResponseHead as _;
use crate::provider::TokenProvider;

impl<P: TokenProvider> RequestAuth<P> {
    /// Does what [`execute`](Self::execute) does, and blocks the current thread until there is an
    /// answer.
    ///
    /// A lease of a pool is held until the body of the answer is read as a whole, or else until the
    /// answer is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`execute`](Self::execute).
    ///
    /// # Panics
    ///
    /// As reqwest's blocking client does, on a thread of an async runtime.
    pub fn blocking_execute(&self, client: &Client, mut request: Request) -> Result<Response, ExecuteError> {
        let (target, headers) = (Target::of_url(request.url()), request.headers());
        let Some(mut attempt) = Attempt::begin_blocking(self.provider(), self.rule(), target, headers)? else {
            return Ok(client.execute(request)?);
        };
        attempt.check_redirects()?;
        let url = request.url().clone();
        loop {
            let again = attempt.copy(|| request.try_clone());
            let method = request.method().clone();
            attempt.attach(&method, &url, request.headers_mut())?;
            let mut response = client.execute(request).inspect_err(|_| attempt.unanswered())?;
            let step = if is_from_elsewhere(response.url(), &url) {
                AfterAnswer::Deliver(attempt.answered_elsewhere())
            } else {
                attempt.answered(response.head(), again)
            };
            match step {
                AfterAnswer::Deliver(Delivery { insufficient: Some(insufficient), .. }) => {
                    return Err(Insufficient::into_error(insufficient).at(response.url()).into());
                }
                AfterAnswer::Deliver(Delivery { token, .. }) => {
                    hold(token, response.extensions_mut());
                    return Ok(response);
                }
                AfterAnswer::SendAgain(other, again) => (attempt, request) = (other, again),
                AfterAnswer::Renew(rejected, again) => (attempt, request) = (rejected.renewed_blocking()?, again),
            }
        }
    }
}
