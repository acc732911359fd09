//! A middleware of `reqwest-middleware` that gives requests their token.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use super::request_auth::RequestAuth;
use super::reqwest_client::{Progress, ReqwestSending};
use super::response_head::note_shortcoming;
use crate::provider::TokenProvider;

/// Gives each request of a client a token, and sends it once more if the token is rejected, as
/// [`execute`](RequestAuth::execute) does. The error of a token that cannot be had is in
/// [`Error::Middleware`]. An answer is handed on; if the token does not suffice or cannot be
/// renewed, an [`Error`](crate::Error) in its extensions says why.
///
/// A middleware that is added later is called for each sending. One that retries by itself belongs
/// before this one, so that each of its tries has a fresh token.
///
/// ```
/// # use jwt_refresh::{RequestAuth, RequestRule, Session};
/// # fn doc(session: Session) -> Result<(), jwt_refresh::Error> {
/// let rule = RequestRule::for_origin("https://api.example")?;
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
///     .with(RequestAuth::new(session, rule))
///     .build();
/// # Ok(()) }
/// ```
#[async_trait::async_trait]
impl<P: TokenProvider + Send + Sync + 'static> Middleware for RequestAuth<P> {
    async fn handle(&self, request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let begun = ReqwestSending::begin(self.provider(), self.rule(), request).await;
        let (mut sending, mut request) = begun.map_err(Error::middleware)?;
        loop {
            let response = next.clone().run(request, extensions).await.inspect_err(|_| sending.unanswered())?;
            match sending.answered(response).await.map_err(Error::middleware)? {
                Progress::Again(again) => (sending, request) = *again,
                Progress::Done { mut response, shortcoming } => {
                    note_shortcoming(response.extensions_mut(), shortcoming);
                    return Ok(response);
                }
            }
        }
    }
}
