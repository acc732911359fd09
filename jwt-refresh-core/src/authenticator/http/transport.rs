//! Sends requests to token endpoints: each on a connection of its own, without redirects, and with
//! a limit on the size of the answer.

use std::error::Error as _;
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use super::endpoint::Endpoint;
use crate::authenticator::http_client::{HttpClient, LocalEndpoints};
use crate::authenticator::response::TokenResponse;
use crate::authenticator::time_limit;
use crate::error::{Error, ErrorKind};
use crate::token::{TokenFields, Tokens};

/// The longest body that is read, in bytes. No token endpoint sends a longer one.
const LONGEST_BODY: usize = 256 * 1024;

/// What servers say of the certificate of a client, or of its signature (RFC 8446 §6.2).
const CERTIFICATE_ALERTS: [&str; 9] = [
    "accessdenied",
    "badcertificate",
    "certificateexpired",
    "certificaterequired",
    "certificaterevoked",
    "certificateunknown",
    "decrypterror",
    "unknownca",
    "unsupportedcertificate",
];

/// A request with all values in it.
pub(in crate::authenticator) struct Outgoing {
    pub(in crate::authenticator) method: Method,
    pub(in crate::authenticator) url: Url,
    pub(in crate::authenticator) headers: HeaderMap,
    pub(in crate::authenticator) body: Option<String>,
}

/// The HTTP client that sends the credentials.
#[derive(Clone)]
pub(in crate::authenticator) struct Transport(Arc<reqwest::Client>);

impl Transport {
    /// Returns the client of the user's settings for these endpoints.
    pub(in crate::authenticator) fn new(client: &HttpClient, local: &LocalEndpoints) -> Result<Self, Error> {
        client.shared_exchanges(local).map(Self)
    }

    /// Sends a request and returns the whole answer. `action` names the request in errors, and
    /// `endpoint` is where it goes.
    pub(in crate::authenticator) async fn send(
        &self,
        action: &str,
        endpoint: &Endpoint,
        outgoing: Outgoing,
    ) -> Result<TokenResponse, Error> {
        let request = self.request(outgoing);
        let exchange = async { read(action, request.send().await.map_err(|error| failure(action, error))?).await };
        let answer = time_limit::wait_for(action, endpoint.as_ref(), exchange).await;
        answer.map_err(|error| error.at(endpoint))
    }

    /// Sends a request and returns the status and the headers of the answer. Its body is not read:
    /// it may have no end.
    #[cfg(feature = "oauth")]
    pub(in crate::authenticator) async fn send_for_head(
        &self,
        action: &str,
        endpoint: &Endpoint,
        outgoing: Outgoing,
    ) -> Result<(StatusCode, HeaderMap), Error> {
        let answer = self.request(outgoing).send().await;
        let answer = answer.map_err(|error| failure(action, error).at(endpoint))?;
        Ok((answer.status(), answer.headers().clone()))
    }

    fn request(&self, Outgoing { method, url, headers, body }: Outgoing) -> reqwest::RequestBuilder {
        let request = self.0.request(method, url).headers(headers);
        match body {
            Some(body) => request.body(body),
            None => request,
        }
    }

    /// Asks for the headers of `endpoint`. Returns an error if the server does not answer, is out
    /// of order, or asks to be left alone.
    pub(in crate::authenticator) async fn probe(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let answer = self.0.head(endpoint.public_url()).send().await;
        let answer = answer.map_err(|error| failure("probe", error).at(endpoint))?;
        let status = answer.status();
        // A server that does not know `HEAD` is there all the same.
        let is_there = status == StatusCode::NOT_IMPLEMENTED
            || !(status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS);
        if is_there {
            return Ok(());
        }
        let answer = TokenResponse { status, headers: answer.headers().clone(), body: Zeroizing::default() };
        Err(answer.refusal("probe", None).at(endpoint))
    }
}

async fn read(action: &str, mut response: reqwest::Response) -> Result<TokenResponse, Error> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(action, error))? {
        if body.len() + chunk.len() > LONGEST_BODY {
            let what = format!("the answer to the {action} is longer than {} KiB", LONGEST_BODY / 1024);
            return Err(Error::new(ErrorKind::BadAnswer, what).answered(status));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(TokenResponse { status, headers, body })
}

impl Tokens {
    /// Reads the tokens in the answer to a request that an
    /// [`Authenticator`](crate::Authenticator) of your own made with reqwest.
    ///
    /// Hand it the answer as it is, without `error_for_status`: what an answer without tokens means
    /// depends on its status, on the error code in its body, and on whether the body is a web page.
    /// An error keeps that code, and how long the server asked to wait (`Retry-After`), and the
    /// tokens keep the server's `Date`. An answer of more than 256 KiB is not read.
    ///
    /// ```
    /// # use jwt_refresh::{Error, Secret, TokenFields, Tokens};
    /// # async fn doc(http: reqwest::Client, url: &str) -> Result<Tokens, Error> {
    /// # let (key, secret) = ("key", Secret::from("secret"));
    /// let answer = http.post(url).basic_auth(key, Some(secret.expose())).send().await?;
    /// let tokens = Tokens::from_response(answer, &TokenFields::default()).await?;
    /// # Ok(tokens) }
    /// ```
    ///
    /// # Errors
    ///
    /// The reason why there are no tokens, with the endpoint. The renewal that asked for them
    /// decides by it whether to log in, to try again, or to give up.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the tokens in the answer are lost. A session does that only when
    /// its time-out has passed.
    pub async fn from_response(response: reqwest::Response, fields: &TokenFields) -> Result<Self, Error> {
        let endpoint = response.url().to_string();
        let tokens = async { read("request", response).await?.tokens("request", None, fields) };
        tokens.await.map_err(|error| error.at(endpoint))
    }
}

fn failure(action: &str, error: reqwest::Error) -> Error {
    if is_of_certificate(&error) {
        let what = format!("the server does not take the TLS certificate of the {action}, or misses one");
        let error = Error::new(ErrorKind::Unreachable, what).caused_by(error.without_url());
        return error
            .advising("give the HTTP client the certificate that the server knows (`ClientBuilder::identity`)");
    }
    let (kind, what) = if error.is_connect() || was_not_begun(&error) {
        (ErrorKind::Unreachable, format!("the {action} did not reach the server"))
    } else {
        (ErrorKind::Unanswered, format!("the {action} was sent, and its answer did not come"))
    };
    Error::new(kind, what).caused_by(error.without_url())
}

/// Returns whether the server has ended the connection with an alert about the certificate of the
/// client (RFC 8446 §6.2). With TLS 1.3 that comes when the request is on its way, which the server
/// has not read. The types of such errors are those of several crates, so this reads their words.
fn is_of_certificate(error: &reqwest::Error) -> bool {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.map(|cause| letters(&cause.to_string())).any(|words| {
        words.split_once("alert").is_some_and(|(_, alert)| CERTIFICATE_ALERTS.iter().any(|name| alert.contains(name)))
    })
}

/// Returns whether the connection was closed before the request was begun, as one is whose server
/// has refused the client's certificate by then. hyper says "canceled" of no other request.
fn was_not_begun(error: &reqwest::Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.any(|cause| cause.to_string().starts_with("operation was canceled"))
}

/// Returns the letters of a text, in lower case: rustls writes `UnknownCA`, OpenSSL `unknown ca`.
fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Converts the errors of authenticators that call reqwest themselves and pass its errors on with
/// `?`. A status has the meaning that it has at a token endpoint, as far as that can be told
/// without the body, the error code in it and `Retry-After`, which `error_for_status` throws away:
/// [`Tokens::from_response`](crate::Tokens::from_response) keeps them.
impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        let endpoint = error.url().map(ToString::to_string);
        let converted = match error.status() {
            Some(status) => {
                let response = TokenResponse { status, headers: HeaderMap::new(), body: Zeroizing::default() };
                response.refusal("request", None)
            }
            // The message of serde may quote the body, so it is left out.
            None if error.is_decode() => Self::new(ErrorKind::BadAnswer, "the answer is not what was expected"),
            None if error.is_builder() => {
                Self::new(ErrorKind::Configuration, "the request cannot be built").caused_by(error.without_url())
            }
            None => failure("request", error),
        };
        endpoint.into_iter().fold(converted, Self::at)
    }
}
