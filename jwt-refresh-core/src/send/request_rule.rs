//! The rule for requests: which of them get a token, how, and what is a rejection of it.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::answer_head::{AnswerHead, TokenVerdict};
use super::bearer::DPOP;
use super::origin::{Origin, Target};
use crate::error::{Error, ErrorKind};
use crate::plaintext::Plaintext;
use crate::token::AccessToken;

/// Which requests get a token, how it is sent, and which answers reject it.
///
/// Only requests to the named origins get a token: scheme, host and port (RFC 6454). All others are
/// sent as they are. So one client can serve several APIs, and no URL in an answer, such as that of
/// a next page, can lead a token elsewhere.
///
/// ```
/// # use jwt_refresh::RequestRule;
/// # fn main() -> Result<(), jwt_refresh::Error> {
/// let rule = RequestRule::for_origin("https://api.example")?.and_origin("https://files.example")?;
/// # Ok(()) }
/// ```
///
/// By default the token is sent as `Authorization: Bearer …`, a request that has an `Authorization`
/// keeps that one, and a 401 rejects the token.
#[derive(Clone)]
pub struct RequestRule {
    origins: Vec<Origin>,
    /// `None` for that of the token, which is `Authorization` except for an API key.
    header: Option<HeaderName>,
    /// `None` for `Bearer`, with which the value is ready-made.
    scheme: Option<Box<str>>,
    existing: ExistingHeader,
    is_rejection: Option<Arc<IsRejection>>,
    #[cfg(feature = "reqwest")]
    redirects: Redirects,
}

type IsRejection = dyn Fn(StatusCode, &HeaderMap) -> bool + Send + Sync;

/// What becomes of a header that a request has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExistingHeader {
    Kept,
    Replaced,
}

/// What is known of a client that follows redirects by itself.
#[cfg(feature = "reqwest")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Redirects {
    Unknown,
    /// The client has the policy that this rule gave out.
    WithinOrigin,
}

impl RequestRule {
    /// Returns the default rule for requests to an origin, such as `https://api.example`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if this is not an origin, or plain `http` to another machine.
    pub fn for_origin(origin: impl AsRef<str>) -> Result<Self, Error> {
        Ok(Self {
            origins: vec![Origin::parse(origin.as_ref(), Plaintext::LoopbackOnly)?],
            header: None,
            scheme: None,
            existing: ExistingHeader::Kept,
            is_rejection: None,
            #[cfg(feature = "reqwest")]
            redirects: Redirects::Unknown,
        })
    }

    /// Adds an origin.
    ///
    /// # Errors
    ///
    /// Those of [`for_origin`](Self::for_origin).
    pub fn and_origin(self, origin: impl AsRef<str>) -> Result<Self, Error> {
        self.and(origin.as_ref(), Plaintext::LoopbackOnly)
    }

    /// Adds an origin to which tokens may also go over plain `http`, where everybody on the way can
    /// read them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if this is not an origin.
    pub fn and_plain_http_origin(self, origin: impl AsRef<str>) -> Result<Self, Error> {
        self.and(origin.as_ref(), Plaintext::Anywhere)
    }

    fn and(mut self, origin: &str, plaintext: Plaintext) -> Result<Self, Error> {
        self.origins.push(Origin::parse(origin, plaintext)?);
        Ok(self)
    }

    /// Sends the token in this header. Default: `Authorization`, or [that of an API
    /// key](crate::pool::Account::api_key).
    ///
    /// HTTP clients that follow redirects take `Authorization` out of a request that leaves its
    /// origin, but no other header. For reqwest see `redirect_policy`.
    pub fn header(self, header: HeaderName) -> Self {
        Self { header: Some(header), ..self }
    }

    /// Sends the token with another scheme than `Bearer`, or alone if `scheme` is empty.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if this is not the name of a scheme (RFC 9110 §11.1).
    pub fn scheme(self, scheme: &str) -> Result<Self, Error> {
        // The name of a header has the same characters, and is not empty either.
        if !scheme.is_empty() && HeaderName::try_from(scheme).is_err() {
            return Err(Error::new(ErrorKind::Configuration, "this is not the name of an authentication scheme"));
        }
        Ok(Self { scheme: Some(scheme.into()).filter(|_| scheme != "Bearer"), ..self })
    }

    /// Replaces the header of a request that has it already. By default such a request is sent as
    /// it is, and its answers say nothing about the token.
    pub fn replace_existing(self) -> Self {
        Self { existing: ExistingHeader::Replaced, ..self }
    }

    /// Takes those answers for a rejection of the token for which `is_rejection` returns true. By
    /// default they are those with status 401.
    ///
    /// It is not asked about an answer whose challenge is `insufficient_scope` (RFC 6750 §3.1) or
    /// `insufficient_user_authentication` (RFC 9470 §3): a new token would not change that.
    ///
    /// ```
    /// # use jwt_refresh::RequestRule;
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// let rule = RequestRule::for_origin("https://api.example")?
    ///     .rejected_if(|status, headers| status == 419 || headers.contains_key("x-expired"));
    /// # Ok(()) }
    /// ```
    pub fn rejected_if(self, is_rejection: impl Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        Self { is_rejection: Some(Arc::new(is_rejection)), ..self }
    }

    /// Returns the policy for a client whose requests have the token in
    /// [another header](Self::header) than `Authorization`. It follows ten redirects within an
    /// origin, and none to another one: the caller gets the answer with the redirect.
    ///
    /// Without it such requests fail, because reqwest would take the header along.
    ///
    /// ```
    /// # use jwt_refresh::RequestRule;
    /// # use http::HeaderName;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let header = HeaderName::from_static("x-auth-token");
    /// let mut rule = RequestRule::for_origin("https://api.example")?.header(header).scheme("")?;
    /// let client = reqwest::Client::builder().redirect(rule.redirect_policy()).build()?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "reqwest")]
    pub fn redirect_policy(&mut self) -> reqwest::redirect::Policy {
        use reqwest::redirect::Policy;

        self.redirects = Redirects::WithinOrigin;
        Policy::custom(|attempt| {
            let target = Target::of_url(attempt.url());
            let is_within = attempt.previous().iter().all(|previous| Target::of_url(previous) == target);
            if is_within { Policy::default().redirect(attempt) } else { attempt.stop() }
        })
    }

    /// Returns whether a request gets a token, as far as can be told without it. A debug event says
    /// why not.
    pub(super) fn admits(&self, target: Option<Target<'_>>, headers: &HeaderMap) -> bool {
        let is_named = |target: &Target<'_>| self.origins.iter().any(|origin| origin.is_that_of(target));
        if !target.as_ref().is_some_and(is_named) {
            let target = target.map(tracing::field::display);
            tracing::debug!(target: "jwt_refresh", target, "a request gets no token: its origin is not named");
            return false;
        }
        !self.keeps_existing(self.header.as_ref().unwrap_or(&AUTHORIZATION), headers)
    }

    /// Returns whether a request is left alone that may already have the header of `token`.
    pub(super) fn keeps_header_of(&self, token: &AccessToken, headers: &HeaderMap) -> bool {
        self.keeps_existing(self.header_of(token), headers)
    }

    fn keeps_existing(&self, header: &HeaderName, headers: &HeaderMap) -> bool {
        let keeps = self.existing == ExistingHeader::Kept && headers.contains_key(header);
        if keeps {
            let header = header.as_str();
            tracing::debug!(target: "jwt_refresh", header, "a request gets no token: it has this header already");
        }
        keeps
    }

    fn header_of<'a>(&'a self, token: &'a AccessToken) -> &'a HeaderName {
        self.header.as_ref().unwrap_or_else(|| token.header_name())
    }

    /// Returns whether a token goes into `Authorization`, which no client takes to another origin.
    #[cfg(any(feature = "reqwest", feature = "ureq"))]
    pub(super) fn is_in_authorization(&self, token: &AccessToken) -> bool {
        self.header_of(token) == AUTHORIZATION
    }

    /// Puts the token into a request to `url`, and the proof for this one request if the token is
    /// bound to a key (RFC 9449). This is done anew for each sending.
    pub(super) fn attach(
        &self,
        token: &AccessToken,
        method: &Method,
        url: &impl fmt::Display,
        headers: &mut HeaderMap,
    ) -> Result<(), Error> {
        let value = match self.scheme.as_deref() {
            None => token.header().clone(),
            Some("") => sensitive(token.expose())?,
            Some(scheme) => sensitive(&[scheme, " ", token.expose()].concat())?,
        };
        headers.insert(self.header_of(token).clone(), value);
        if let Some(key) = token.key() {
            headers.insert(DPOP, key.proof(method, &url.to_string(), token.expose())?);
        }
        Ok(())
    }

    /// Returns an error if a client that takes every header but `Authorization` along when it is
    /// redirected to another origin would send the token there.
    #[cfg(feature = "reqwest")]
    pub(super) fn check_redirects(&self, token: &AccessToken) -> Result<(), Error> {
        if self.is_in_authorization(token) || self.redirects == Redirects::WithinOrigin {
            return Ok(());
        }
        let what = "a redirect to another host would take the token along, which is not in `Authorization`";
        let advice = "give the client the rule's `redirect_policy()`";
        Err(Error::new(ErrorKind::Configuration, what).advising(advice))
    }

    pub(super) fn verdict(&self, head: AnswerHead<'_>) -> TokenVerdict {
        self.is_rejection.as_ref().map_or_else(|| head.verdict(), |is_rejection| head.verdict_by(&**is_rejection))
    }
}

fn sensitive(value: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_str(value);
    let mut value =
        value.map_err(|_| Error::new(ErrorKind::BadAnswer, "the access token does not fit into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for RequestRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestRule")
            .field("origins", &self.origins)
            .field("header", &self.header)
            .field("scheme", &self.scheme)
            .field("existing", &self.existing)
            .finish_non_exhaustive()
    }
}
