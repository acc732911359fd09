//! The error type of this crate. An [`Error`] says what was attempted, at which endpoint, how it
//! failed, whether a retry helps, and what to do.
//!
//! Of what a server sent, an error repeats only the status and an RFC 6749 error code of harmless
//! shape, because the bodies and headers of token endpoints contain secrets.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// The kind of failure that an [`Error`] reports. It decides what a session does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request did not reach the server. Transient. The refresh token is as valid as before.
    Unreachable,
    /// The request was sent, but no usable answer arrived: the connection was cut, or the time-out
    /// passed. Transient. It is unknown whether the server acted on the request; one that rotates
    /// refresh tokens may have spent the token that was sent.
    Unanswered,
    /// The server answered that it is overloaded (429) or out of order (5xx). Transient.
    Unavailable,
    /// The server answered, but the answer cannot be used: it is not JSON, has no access token, is
    /// too large, is a web page, or has a status that no token endpoint sends, such as a redirect.
    /// Transient.
    BadAnswer,
    /// The server refused these credentials, by an error code such as `invalid_grant` or by a
    /// status. Final for these credentials. Which answers do is in DESIGN.md, under "What if the
    /// server says no?".
    ///
    /// This is what an [`Authenticator`](crate::Authenticator) reports. A call for a token never
    /// ends in it: after a refresh that was denied the session logs in, if it can, and a login that
    /// was denied ends in [`ReauthenticationRequired`](Self::ReauthenticationRequired).
    /// [`Session::logout`](crate::Session::logout) returns it if the server refuses to revoke the
    /// refresh token.
    Denied,
    /// The authenticator cannot log in by itself. A person, or other code, has to log in. Of this,
    /// too, a session makes [`ReauthenticationRequired`](Self::ReauthenticationRequired).
    LoginUnavailable,
    /// Neither a refresh nor a login can produce a token any more. Final until new tokens are
    /// adopted or a login succeeds.
    ReauthenticationRequired,
    /// The session was logged out.
    LoggedOut,
    /// The API rejected new tokens as soon as they were issued: with `retry`, the token of a call
    /// and the one that replaced it; in a session, several in a short time
    /// ([`Policy::rejections`](crate::Policy::rejections)).
    ///
    /// Transient, because it may pass without any change: the API may not know a new signing key
    /// yet, or its clock may be behind. If the tokens are not meant for this API (audience, scope,
    /// signing key), it does not pass, so tries in a loop need a limit.
    RejectedAsIssued,
    /// The API answered that the access token lacks a scope (RFC 6750 §3.1, `insufficient_scope`).
    /// A renewed token would lack it, too. If the authenticator can
    /// [step up](crate::Authenticator::step_up), the login for it was refused or did not bring it.
    InsufficientScope,
    /// The API answered that the login of the access token is too weak or too old for the request
    /// (RFC 9470 §3, `insufficient_user_authentication`), or that it lacks claims
    /// (`insufficient_claims`). A renewed token would be of the same login.
    InsufficientUserAuthentication,
    /// A login or refresh asked its own session or pool for a token, so it would wait for itself.
    Reentrant,
    /// The authenticator panicked, or its runtime was shut down, during an exchange. Transient.
    Aborted,
    /// The token store failed. Transient.
    Store,
    /// A secret that a login or refresh has to send cannot be read: a file that is gone, an
    /// environment variable that is not set, a keyring that is locked. Nothing was sent. Transient.
    SecretUnavailable,
    /// The program is set up in a way that cannot work: for example, credentials would be sent to a
    /// plain `http://` host, there is no runtime, or the server knows no login at the URL (404).
    Configuration,
    /// No account of a pool can serve: the pool is empty, or all accounts that could serve are in
    /// quarantine. Transient. [`retry_after`](Error::retry_after) says when the first account
    /// returns.
    NoAccount,
    /// No account of a pool became free in time, or too many callers are waiting already.
    /// Transient.
    Busy,
    /// The pool was [closed](crate::pool::Pool::close), and gives no lease any more.
    Closed,
    /// An error of the authenticator itself. Transient.
    Other,
}

/// The reason why there is no fresh token.
///
/// `Display` says what was attempted, at which endpoint, how it failed and what to do;
/// [`kind`](Self::kind) classifies the failure for a program. An error contains no secret, so it
/// can be logged. Clones are cheap and refer to the same error: all callers that waited for one
/// refresh share its failure.
#[derive(Clone)]
pub struct Error(Arc<Details>);

#[derive(Clone)]
struct Details {
    kind: ErrorKind,
    /// What happened, as a clause that goes on with " at https://…": "the login was denied".
    /// Reasons are in `detail`, and what to do in `advice`.
    what: String,
    /// What more is known of it, such as the shape of the answer. Shown after the endpoint.
    detail: Option<String>,
    endpoint: Option<String>,
    status: Option<StatusCode>,
    code: Option<String>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    /// The body of the answer that this error is about, unless a user's authenticator made it.
    body: Option<AnswerBody>,
    /// Whether the kind is that for the request that was made, a login or a refresh.
    is_judged: bool,
    /// Whether the refresh token that was sent is in doubt, if a description says so of the answer.
    in_doubt: Option<bool>,
    /// What to do, if that is known better than from the kind.
    advice: Option<&'static str>,
    /// Whether there is no way to log in, so that nothing is left to try.
    no_login: bool,
    /// Whether the failed refresh was in fact a login: no refresh token was sent, and a login after
    /// it would only repeat it.
    by_login: bool,
    person: PersonsPart,
}

/// Whether a person has done their part of the failed login. Then it is not repeated unless they
/// are ready for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PersonsPart {
    None,
    #[cfg(feature = "oauth")]
    Done,
}

/// What the body of an answer without tokens is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerBody {
    /// A web page.
    Page,
    /// JSON with an `error` in it.
    Error,
    /// Anything else, or nothing, or unknown.
    Other,
}

/// What is said of an authenticator that has no login. One that has a login says why it cannot now.
const NO_LOGIN_OF_ITS_OWN: &str = "this authenticator cannot log in by itself";

impl Error {
    /// Creates an error of `kind`. `what` says what happened, as a clause that starts in lower
    /// case. It must not contain a secret.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self(Arc::new(Details {
            kind,
            what: what.into(),
            detail: None,
            endpoint: None,
            status: None,
            code: None,
            retry_after: None,
            source: None,
            body: None,
            is_judged: false,
            in_doubt: None,
            advice: None,
            no_login: false,
            by_login: false,
            person: PersonsPart::None,
        }))
    }

    /// Returns the error with which an [`Authenticator`](crate::Authenticator) reports that the
    /// credentials are invalid, so that the session stops using them.
    pub fn denied(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, what)
    }

    /// Returns the error of an authenticator that cannot log in by itself.
    pub fn login_unavailable() -> Self {
        Self::new(ErrorKind::LoginUnavailable, NO_LOGIN_OF_ITS_OWN)
    }

    /// Returns the error of an authenticator that cannot log in for what an API wants beyond the
    /// token: see [`Authenticator::step_up`](crate::Authenticator::step_up).
    pub fn cannot_step_up() -> Self {
        Self::new(ErrorKind::LoginUnavailable, "this authenticator cannot log in for what the challenge asks")
    }

    /// Wraps an error of the authenticator itself, which must not contain a secret.
    pub fn other(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Other, "the authenticator failed").caused_by(source)
    }

    /// Returns the error for an answer in which a value is not where it was expected.
    pub(crate) fn unlike_expected(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadAnswer, what)
            .detailed(detail)
            .advising("check that the URL is the token endpoint, and that the field names are the server's")
    }

    /// Adds the endpoint of the request. Its user, password, query and fragment are left out of the
    /// message.
    pub fn at(self, endpoint: impl AsRef<str>) -> Self {
        let endpoint = public_part(endpoint.as_ref());
        self.with(|inner| inner.endpoint = Some(endpoint))
    }

    /// Adds the status of the server's answer.
    pub fn answered(self, status: StatusCode) -> Self {
        self.with(|inner| inner.status = Some(status))
    }

    /// Adds the error code of the server's answer (RFC 6749 §5.2). A code is kept only if it has
    /// the usual shape: 1 to 64 lower-case ASCII letters and underscores.
    pub fn coded(self, code: &str) -> Self {
        let plausible = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if plausible { self.with(|inner| inner.code = Some(code.to_owned())) } else { self }
    }

    /// Adds how long the server asked its clients to wait (`Retry-After`).
    pub fn retry_in(self, wait: Duration) -> Self {
        self.with(|inner| inner.retry_after = Some(wait))
    }

    /// Adds the cause. It is shown wherever the `source` chain is printed, so it must not contain a
    /// secret.
    pub fn caused_by(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = Arc::from(source.into());
        self.with(|inner| inner.source = Some(source))
    }

    /// Turns this failure into a final one: nothing is left that could produce a token.
    pub(crate) fn into_final(self, what: &str) -> Self {
        self.restated(ErrorKind::ReauthenticationRequired, what.to_owned()).with(|inner| inner.retry_after = None)
    }

    /// Says that there is no way to log in.
    pub(crate) fn lacking_login(self) -> Self {
        self.with(|inner| inner.no_login = true)
    }

    /// Returns whether there is no way to log in, so that nothing is left to try.
    pub(crate) fn lacks_login(&self) -> bool {
        self.0.no_login
    }

    /// Returns why there is no login, if the authenticator has said more than that it has none.
    pub(crate) fn why_no_login(&self) -> Option<&str> {
        let says_why = self.0.kind == ErrorKind::LoginUnavailable && self.0.what != NO_LOGIN_OF_ITS_OWN;
        says_why.then_some(&*self.0.what)
    }

    /// Returns the error with another kind and other words.
    pub(crate) fn restated(self, kind: ErrorKind, what: String) -> Self {
        self.with(|inner| (inner.kind, inner.what) = (kind, what))
    }

    /// Says what more is known of the failure.
    pub(crate) fn detailed(self, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        self.with(|inner| inner.detail = Some(detail))
    }

    /// Says what to do, where that is known better than from the kind.
    pub(crate) fn advising(self, advice: &'static str) -> Self {
        self.with(|inner| inner.advice = Some(advice))
    }

    /// Marks this error as one about an answer with such a body.
    pub(crate) fn with_body(self, body: AnswerBody) -> Self {
        self.with(|inner| inner.body = Some(body))
    }

    /// Marks the kind as that for the request that was made.
    pub(crate) fn judged(self) -> Self {
        self.with(|inner| inner.is_judged = true)
    }

    /// Says whether the refresh token that was sent is in doubt, whatever the table says.
    pub(crate) fn leaving_in_doubt(self, in_doubt: bool) -> Self {
        self.with(|inner| inner.in_doubt = Some(in_doubt))
    }

    pub(crate) fn in_doubt(&self) -> Option<bool> {
        self.0.in_doubt
    }

    pub(crate) fn what(&self) -> &str {
        &self.0.what
    }

    pub(crate) fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    pub(crate) fn body(&self) -> Option<AnswerBody> {
        self.0.body
    }

    pub(crate) fn is_judged(&self) -> bool {
        self.0.is_judged
    }

    /// Marks this failure as that of a refresh that only logged in.
    pub(crate) fn by_login(self) -> Self {
        self.with(|inner| inner.by_login = true)
    }

    pub(crate) fn is_by_login(&self) -> bool {
        self.0.by_login
    }

    /// Marks this failure as that of a login whose person has done their part.
    #[cfg(feature = "oauth")]
    pub(crate) fn of_person(self) -> Self {
        self.with(|inner| inner.person = PersonsPart::Done)
    }

    pub(crate) fn is_of_person(&self) -> bool {
        self.0.person != PersonsPart::None
    }

    fn with(mut self, change: impl FnOnce(&mut Details)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the endpoint of the request, without user, password, query and fragment.
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// Returns the status of the server's answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns the error code of the server's answer, such as `invalid_grant` (RFC 6749 §5.2), if
    /// there was one.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns how long the server asked its clients to wait, if it did. For
    /// [`ErrorKind::NoAccount`], returns how long it is until the first account returns, if that is
    /// known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns whether the same call may succeed later without any change. After such an error the
    /// session tries again by itself.
    pub fn is_transient(&self) -> bool {
        use ErrorKind as K;
        if self.is_of_person() {
            return false;
        }
        match self.0.kind {
            K::Unreachable
            | K::Unanswered
            | K::Unavailable
            | K::BadAnswer
            | K::RejectedAsIssued
            | K::Aborted
            | K::Store
            | K::SecretUnavailable
            | K::NoAccount
            | K::Busy
            | K::Other => true,
            K::Denied
            | K::LoginUnavailable
            | K::ReauthenticationRequired
            | K::LoggedOut
            | K::InsufficientScope
            | K::InsufficientUserAuthentication
            | K::Reentrant
            | K::Closed
            | K::Configuration => false,
        }
    }

    /// Returns the message without what to do.
    pub(crate) fn report(&self) -> ErrorReport<'_> {
        ErrorReport(&self.0)
    }

    fn advice(&self) -> &'static str {
        use ErrorKind as K;
        if let Some(advice) = self.0.advice {
            return advice;
        }
        match self.0.kind {
            K::Unreachable => "check host, port, proxy and TLS; the session tries again after a pause",
            K::Unanswered => {
                "whether the server acted on it is unknown; the session tries what is still sound after a pause"
            }
            K::Unavailable => "the session tries again after a pause",
            K::BadAnswer => "check that the URL is the token endpoint; the session tries again after a pause",
            K::Denied => "check the credentials",
            K::LoginUnavailable => "log in and hand the session the new tokens",
            K::ReauthenticationRequired => "log in again with valid credentials, or hand the session new tokens",
            K::LoggedOut => "log in again to go on",
            K::RejectedAsIssued => {
                "check that the tokens are meant for this API (audience, scope, signing key, clocks)"
            }
            K::InsufficientScope => "log in with the scope, or ask for it where it is granted",
            K::InsufficientUserAuthentication => "let the user log in as the server asks",
            K::Reentrant => "do not call an annotated method of the same session from `login` or `refresh`",
            K::Aborted => {
                "keep the runtime alive until the exchange has ended, enable its timers, and look for a panic in the authenticator"
            }
            K::Store => "see the cause; the session tries again after a pause",
            K::SecretUnavailable => "provide the secret; the session tries again after a pause",
            K::Configuration => "change the set-up",
            K::NoAccount => "add accounts, or wait until one returns",
            K::Busy => "wait longer, call less, or add accounts",
            K::Closed => "build another pool",
            K::Other => "see the cause",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.report(), self.advice())
    }
}

/// Shows what happened, at which endpoint, and what more is known of it.
pub(crate) struct ErrorReport<'a>(&'a Details);

impl fmt::Display for ErrorReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { kind, what, detail, endpoint, status, code, retry_after, .. } = self.0;
        f.write_str(what)?;
        if let Some(endpoint) = endpoint {
            write!(f, " at {endpoint}")?;
        }
        match (status, code) {
            (Some(status), Some(code)) => write!(f, " (status {}, {code})", status.as_u16())?,
            (Some(status), None) => write!(f, " (status {})", status.as_u16())?,
            (None, Some(code)) => write!(f, " ({code})")?,
            (None, None) => {}
        }
        // The message of a pool already says when its first account returns; no server asked for
        // that wait.
        if let Some(wait) = retry_after.filter(|_| *kind != ErrorKind::NoAccount) {
            write!(f, ", asked to wait {} s", wait.as_secs())?;
        }
        detail.iter().try_for_each(|detail| write!(f, ": {detail}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { kind, what, detail, endpoint, status, code, retry_after, source, .. } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("what", what)
            .field("detail", detail)
            .field("endpoint", endpoint)
            .field("status", status)
            .field("code", code)
            .field("retry_after", retry_after)
            .field("source", source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Returns `url` without the parts that may be secret: user, password, query and fragment. In a
/// malformed URL a password may be anywhere; of such a URL only the scheme is kept, if it has one.
pub(crate) fn public_part(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let Some((scheme, rest)) = url[..end].split_once("://") else {
        return if url.contains('@') { "…".to_owned() } else { url[..end].to_owned() };
    };
    let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    if is_host(host) || !url.contains('@') { format!("{scheme}://{host}{path}") } else { format!("{scheme}://…") }
}

/// Returns whether `host` is a host with an optional port, and not the beginning of `user:password`
/// that a special character in the password has cut off.
fn is_host(host: &str) -> bool {
    let after_address = host.rsplit_once(']').map_or(host, |(_address, port)| port);
    let port = after_address.rsplit_once(':').map_or("", |(_name, port)| port);
    !host.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_shown_without_user_query_and_fragment() {
        for (url, shown) in [
            ("https://ada:pw@api.example/a/b?token=x#y", "https://api.example/a/b"),
            ("https://api.example?token=x", "https://api.example"),
            ("/login?pw=1", "/login"),
            ("localhost:8080/login", "localhost:8080/login"),
            ("https://api.example:port/login", "https://api.example:port/login"),
            ("https://[::1]:8080/login", "https://[::1]:8080/login"),
            ("http://localhost:8080/@ada", "http://localhost:8080/@ada"),
        ] {
            assert_eq!(Error::denied("no").at(url).endpoint(), Some(shown));
        }
    }

    #[test]
    fn no_part_of_a_malformed_endpoint_that_may_be_a_password_is_shown() {
        for url in [
            "ada:S3cret@api.example/login",
            "https:/ada:S3cret@api.example",
            "https:ada:S3cret@api.example",
            r"https:\\ada:S3cret@api.example",
            "https:///ada:S3cret@api.example",
            "https://ada:S3cret/x@api.example",
            "https://ada:S3cret?x@api.example",
            "https://ada:S3cret#x@api.example",
            r"https://ada:S3cret\x@api.example",
        ] {
            let error = Error::denied("no").at(url);
            assert!(!format!("{error} {error:?}").contains("S3cret"), "{error}");
        }
    }

    #[test]
    fn the_message_says_what_happened_where_and_what_to_do() {
        let error = Error::denied("the refresh was denied")
            .at("https://api.example/refresh?x=1")
            .answered(StatusCode::BAD_REQUEST)
            .coded("invalid_grant");
        assert_eq!(
            error.to_string(),
            "the refresh was denied at https://api.example/refresh (status 400, invalid_grant); check the credentials"
        );
    }

    #[test]
    fn details_stand_between_the_endpoint_and_what_to_do() {
        let error = Error::new(ErrorKind::BadAnswer, "the login was redirected")
            .detailed("credentials follow no redirect")
            .advising("configure the final URL")
            .at("https://api.example/login")
            .answered(StatusCode::TEMPORARY_REDIRECT)
            .retry_in(Duration::from_secs(3));
        assert_eq!(
            error.to_string(),
            "the login was redirected at https://api.example/login (status 307), asked to wait 3 s: credentials follow no \
             redirect; configure the final URL"
        );
    }

    #[test]
    fn a_code_that_could_be_a_secret_is_not_kept() {
        assert_eq!(Error::denied("no").coded("eyJhbGciOi").code(), None);
        assert_eq!(Error::denied("no").coded(&"a".repeat(65)).code(), None);
    }
}
