//! The requests of one login, refresh or revocation, and what their answers mean.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use huskarl::core as protocol;
use huskarl::core::http::{HttpResponse, Idempotency};
use huskarl::core::platform::MaybeSendBoxFuture;
use serde_json::Value;

use super::answer_body::body_for_protocol;
use super::wire::{TlsClient, Wire};
use crate::authenticator::refusal::Asked;
use crate::authenticator::response::TokenResponse;
use crate::clock::SigningTime;
use crate::error::{Error, ErrorKind};
use crate::json::Object;
use crate::sync::Mutex;
use crate::token::{TokenFields, Tokens};

/// The HTTP client that huskarl is given for one login, refresh or revocation. It keeps the last
/// answer: what that means for the tokens is decided by the same table as for every other
/// authenticator, and not by huskarl, which knows of no refresh token in doubt.
#[derive(Clone)]
pub(super) struct Exchange(Arc<SharedExchange>);

struct SharedExchange {
    wire: Wire,
    action: &'static str,
    asked: Asked,
    last: Mutex<Option<Sent>>,
}

/// A request that was sent, or was to be sent, and what came of it.
struct Sent {
    method: Method,
    url: String,
    purpose: Purpose,
    answer: Result<TokenResponse, Error>,
}

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Tokens,
    /// What tokens are asked for with, such as a device code.
    Preparation,
}

impl Purpose {
    /// Each request for tokens says by which grant (RFC 6749 §4), and no other does.
    fn of(request: &Request<Bytes>) -> Self {
        if has_field(request, b"grant_type=") { Self::Tokens } else { Self::Preparation }
    }
}

/// Returns whether the form has a field whose name ends like this.
fn has_field(request: &Request<Bytes>, name: &[u8]) -> bool {
    request.body().windows(name.len()).any(|part| part == name)
}

impl Exchange {
    pub(super) fn login(wire: &Wire) -> Self {
        Self::new(wire, "login", Asked::Login)
    }

    pub(super) fn refresh(wire: &Wire) -> Self {
        Self::new(wire, "refresh", Asked::Refresh)
    }

    pub(super) fn revocation(wire: &Wire) -> Self {
        Self::new(wire, "revocation", Asked::Refresh)
    }

    pub(super) fn registration(wire: &Wire) -> Self {
        Self::new(wire, "registration", Asked::Login)
    }

    pub(super) fn discovery(wire: &Wire) -> Self {
        Self::new(wire, "discovery", Asked::Login)
    }

    fn new(wire: &Wire, action: &'static str, asked: Asked) -> Self {
        Self(Arc::new(SharedExchange { wire: wire.clone(), action, asked, last: Mutex::new(None) }))
    }

    /// Returns the tokens in the last answer, if huskarl took it, or the reason why there are none.
    pub(super) fn tokens<T>(&self, result: Result<T, protocol::Error>) -> Result<Tokens, Error> {
        if let Err(error) = result {
            return Err(self.failure(&error));
        }
        match self.0.last.lock().take() {
            Some(Sent { url, answer: Ok(answer), .. }) => {
                answer.tokens(self.0.action, Some(self.0.asked), &TokenFields::default()).map_err(|error| error.at(url))
            }
            _ => Err(Error::new(ErrorKind::BadAnswer, "no request was sent, and an answer came")),
        }
    }

    /// Returns the error of a request that huskarl calls failed.
    ///
    /// huskarl's own words are repeated only if no server had a say in them: they quote answers.
    pub(super) fn failure(&self, error: &protocol::Error) -> Error {
        let SharedExchange { action, asked, .. } = &*self.0;
        let Some(Sent { url, purpose, answer, .. }) = self.0.last.lock().take() else {
            let what = format!("the {action} cannot be sent");
            return Error::new(ErrorKind::Configuration, what).detailed(format!("{error:#}"));
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return error,
        };
        if !answer.status.is_success() {
            return answer.refusal(action, Some(*asked)).at(url);
        }
        let what = format!("the answer to the {action} is none that OAuth 2.0 allows");
        let unlike = Error::new(ErrorKind::BadAnswer, what)
            .detailed(match purpose {
                Purpose::Tokens => unlike_standard(&answer),
                Purpose::Preparation => "what it must have is missing, or is not text",
            })
            .advising("for a server that differs from the standard there is `HttpAuthenticator`");
        answer.without_value(unlike, action, Some(*asked)).at(url)
    }

    /// Returns whether a request was sent since the last answer was looked at.
    pub(super) fn has_sent(&self) -> bool {
        self.0.last.lock().is_some()
    }

    /// Forgets the last answer, so that what follows is not taken for it.
    pub(super) fn forget(&self) {
        self.0.last.lock().take();
    }

    /// Returns the error for the last answer, which is a refusal.
    pub(super) fn refusal(&self) -> Error {
        self.failure(&protocol::Error::new(protocol::RetryAdvice::No, "it was refused"))
    }

    /// Returns the error of a discovery. No credential was sent.
    pub(super) fn discovery_failure(&self, error: &protocol::Error, issuer: &str) -> Error {
        let document = |answer: &TokenResponse| match Object::parse(&answer.body).ok()?.at("issuer") {
            Ok(Some(Value::String(named))) => Some(named),
            _ => None,
        };
        let named = match &*self.0.last.lock() {
            Some(Sent { answer: Ok(answer), .. }) if answer.status.is_success() => Some(document(answer)),
            _ => None,
        };
        let failed = self.failure(error);
        let at = |error: Error| failed.endpoint().into_iter().fold(error, Error::at);
        let failed = match named {
            Some(Some(named)) if named != issuer => {
                let error = Error::new(ErrorKind::Configuration, "the discovery document is that of another issuer");
                at(error).advising("configure the issuer exactly as the document writes it (RFC 8414 §3.3)")
            }
            Some(_) => {
                let error = Error::new(ErrorKind::BadAnswer, "the discovery document cannot be used");
                at(error).advising("check that the issuer is that of an OAuth 2.0 server (RFC 8414 §2)")
            }
            None if failed.kind() == ErrorKind::Denied => {
                let refused = failed.restated(ErrorKind::Configuration, "the server refuses the discovery".to_owned());
                refused.advising("check the issuer, or name the endpoints: `Server::endpoints`")
            }
            None => failed,
        };
        failed.leaving_in_doubt(false)
    }

    /// Returns the error of a registration. No token was sent.
    pub(super) fn registration_failure(&self, error: &protocol::Error) -> Error {
        let failed = self.failure(error);
        let failed = match failed.kind() {
            ErrorKind::Denied => {
                let refused =
                    failed.restated(ErrorKind::Configuration, "the server refuses to register the client".to_owned());
                refused.advising("register a client there, and name it by `client_auth`")
            }
            ErrorKind::BadAnswer if failed.status().is_some_and(|status| status.is_success()) => {
                let error = Error::new(ErrorKind::BadAnswer, "the answer to the registration cannot be used");
                let at = failed.endpoint().into_iter().fold(error, Error::at);
                at.advising("register a client there, and name it by `client_auth`")
            }
            _ => failed,
        };
        failed.leaving_in_doubt(false)
    }

    /// Returns the clock by which huskarl signs.
    pub(super) fn time(&self) -> Arc<SigningTime> {
        self.0.wire.time()
    }

    async fn send(&self, request: Request<Bytes>) -> Result<HttpResponse, protocol::Error> {
        let (method, url) = (request.method().clone(), request.uri().to_string());
        let (purpose, has_assertion) = (Purpose::of(&request), has_field(&request, ASSERTION));
        let answer = self.0.wire.send(self.0.action, request).await;
        let is_other_time =
            |answer: &TokenResponse| may_refuse_time(answer, has_assertion) && self.time().follow(&answer.headers);
        let response = answer.as_ref().map(|answer| {
            if is_other_time(answer) {
                return once_more(answer);
            }
            let body = body_for_protocol(&method, answer);
            HttpResponse { status: answer.status, headers: answer.headers.clone(), body }
        });
        // The message is for no one: `failure` returns the error itself.
        let response = response.map_err(|_| protocol::Error::new(protocol::RetryAdvice::No, "no answer"));
        let mut last = self.0.last.lock();
        // The keys for an ID token are fetched after the tokens have come, and bring none.
        if method == Method::POST || last.as_ref().is_none_or(|last| last.method != Method::POST) {
            *last = Some(Sent { method, url, purpose, answer });
        }
        response
    }
}

impl protocol::http::HttpClient for Exchange {
    /// Sends the request once, whatever its idempotency.
    fn execute(
        &self,
        request: Request<Bytes>,
        _: Idempotency,
    ) -> MaybeSendBoxFuture<'_, Result<HttpResponse, protocol::Error>> {
        Box::pin(self.send(request))
    }

    /// With a certificate the server is asked at its endpoints for that (RFC 8705 §5).
    fn uses_mtls(&self) -> bool {
        self.0.wire.connection() == TlsClient::Certified
    }
}

/// By which a client authenticates that signs (RFC 7523 §2.2).
const ASSERTION: &[u8] = b"client_assertion=";

/// Returns whether the server may have refused the time in a proof (RFC 9449 §4.3) or an assertion
/// (RFC 7523 §3), and has not acted on the request.
fn may_refuse_time(answer: &TokenResponse, has_assertion: bool) -> bool {
    match answer.code().as_deref() {
        Some("invalid_dpop_proof") => true,
        Some("invalid_client") => has_assertion,
        _ => false,
    }
}

/// Returns what huskarl is given of an answer after which it is to send the request once more, with
/// a proof and an assertion that are made anew. It knows one reason for that (RFC 9449 §8).
fn once_more(answer: &TokenResponse) -> HttpResponse {
    let body = Bytes::from_static(br#"{"error":"use_dpop_nonce"}"#);
    HttpResponse { status: StatusCode::BAD_REQUEST, headers: answer.headers.clone(), body }
}

/// Says what is wrong with an answer that huskarl did not take.
fn unlike_standard(answer: &TokenResponse) -> &'static str {
    let Ok(object) = Object::parse(&answer.body) else { return "it is not JSON" };
    match (object.at("access_token"), object.at("token_type")) {
        (Ok(Some(Value::String(_))), Ok(Some(Value::String(token_type)))) => {
            if token_type.eq_ignore_ascii_case("bearer") {
                "its `id_token` is missing, or cannot be verified (OpenID Connect Core 1.0 §3.1.3.7)"
            } else if token_type.eq_ignore_ascii_case("dpop") {
                "its `token_type` is `DPoP`, which takes `dpop()`, or its `id_token` cannot be verified"
            } else {
                "its `token_type` is not `Bearer`"
            }
        }
        (Ok(Some(Value::String(_))), _) => "its `token_type` is missing (RFC 6749 §5.1)",
        _ => "its `access_token` is missing (RFC 6749 §5.1)",
    }
}
