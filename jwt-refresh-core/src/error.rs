//! The one error type: what was tried, against which endpoint, what came of it, whether trying again helps, and what to do.
//!
//! Nothing that a server sent is repeated in an error except a status and an RFC 6749 error code of harmless shape: bodies
//! and headers of token endpoints are full of secrets.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// What kind of failure an [`Error`] is. The kind decides what a session does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request did not reach the server. Transient; the refresh token is as good as before.
    Unreachable,
    /// The request was sent, and no usable answer came: cut off, timed out. Transient, but whether the server acted on it is
    /// unknown (a rotating server may have spent the refresh token).
    Unanswered,
    /// The server answered that it is busy (429) or out of order (5xx). Transient.
    Unavailable,
    /// The server said yes, but its answer cannot be used: not JSON, a field missing or of the wrong type, too large.
    BadAnswer,
    /// The server said no to these credentials (400, 401 or 403, `invalid_grant` and its like). Final for them.
    Denied,
    /// The authenticator cannot log in by itself; a person, or other code, has to.
    LoginUnavailable,
    /// Neither refresh nor login can bring a token any more. Final until new tokens are adopted or a login succeeds.
    ReauthenticationRequired,
    /// The session was logged out.
    LoggedOut,
    /// New tokens were rejected as soon as they were issued, again and again.
    RejectedAsIssued,
    /// A login or refresh asked its own session for a token, and would have waited for itself.
    Reentrant,
    /// The authenticator panicked, or its runtime was shut down, in the middle of an exchange.
    Aborted,
    /// The token store failed. Transient.
    Store,
    /// The program is set up in a way that cannot work: a credential for a plain `http://` host, no runtime.
    Configuration,
    /// A pool has no account that can serve: it is empty, or all that could are in quarantine. Transient;
    /// [`retry_after`](Error::retry_after) says when the first returns.
    NoAccount,
    /// No account of a pool came free in time, or too many callers wait for one already. Transient.
    Busy,
    /// An error of the authenticator's own making.
    Other,
}

/// Why there is no fresh token.
///
/// `Display` says what was tried, against which endpoint, what came of it, and what to do; [`kind`](Self::kind) says it to a
/// program. It holds no secret, so it can be logged. Clones are cheap and are the same error: all callers that waited for
/// one refresh share its failure.
#[derive(Clone)]
pub struct Error(Arc<Details>);

#[derive(Clone)]
struct Details {
    kind: ErrorKind,
    /// What happened, as a clause: "the server denied the credentials".
    what: String,
    endpoint: Option<String>,
    status: Option<StatusCode>,
    code: Option<String>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    /// Whether a refresh that is a login by another name failed: no refresh token was sent, and to log in is no way out.
    by_login: bool,
}

impl Error {
    /// An error of `kind`; `what` happened, as a clause that starts in lower case. It must not contain a secret.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self(Arc::new(Details {
            kind,
            what: what.into(),
            endpoint: None,
            status: None,
            code: None,
            retry_after: None,
            source: None,
            by_login: false,
        }))
    }

    /// The credentials are no good: what an [`Authenticator`](crate::Authenticator) answers so that the session stops using them.
    pub fn denied(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, what)
    }

    /// This authenticator has no way to log in by itself.
    pub fn login_unavailable() -> Self {
        Self::new(ErrorKind::LoginUnavailable, "this authenticator cannot log in by itself")
    }

    /// Wraps an error of the authenticator's own, which must not contain a secret.
    pub fn other(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Other, "the authenticator failed").caused_by(source)
    }

    /// Names the endpoint that was asked. A query, a fragment and a user in it are left out of the message.
    pub fn at(self, endpoint: impl AsRef<str>) -> Self {
        let endpoint = public_part(endpoint.as_ref());
        self.with(|inner| inner.endpoint = Some(endpoint))
    }

    /// The status that the server answered.
    pub fn answered(self, status: StatusCode) -> Self {
        self.with(|inner| inner.status = Some(status))
    }

    /// The RFC 6749 §5.2 error code in the answer. Kept only if it looks like one.
    pub fn coded(self, code: &str) -> Self {
        let plausible = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if plausible { self.with(|inner| inner.code = Some(code.to_owned())) } else { self }
    }

    /// How long the server asked to be left alone (`Retry-After`).
    pub fn retry_in(self, wait: Duration) -> Self {
        self.with(|inner| inner.retry_after = Some(wait))
    }

    /// What caused it. The cause is shown by whoever prints the `source` chain, so it must not contain a secret.
    pub fn caused_by(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = Arc::from(source.into());
        self.with(|inner| inner.source = Some(source))
    }

    /// The same failure, as the end of the road: nothing is left that could bring a token.
    pub(crate) fn into_final(self, what: &str) -> Self {
        self.with(|inner| {
            inner.kind = ErrorKind::ReauthenticationRequired;
            what.clone_into(&mut inner.what);
            inner.retry_after = None;
        })
    }

    /// The same failure, of a refresh that did nothing but log in.
    pub(crate) fn by_login(self) -> Self {
        self.with(|inner| inner.by_login = true)
    }

    pub(crate) fn is_by_login(&self) -> bool {
        self.0.by_login
    }

    fn with(mut self, change: impl FnOnce(&mut Details)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The endpoint that was asked, without query and user.
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// The status that the server answered.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The RFC 6749 §5.2 error code that the server answered, such as `invalid_grant`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the same call may succeed later with nothing changed. The session tries again by itself.
    pub fn is_transient(&self) -> bool {
        use ErrorKind as K;
        match self.0.kind {
            K::Unreachable
            | K::Unanswered
            | K::Unavailable
            | K::BadAnswer
            | K::RejectedAsIssued
            | K::Aborted
            | K::Store
            | K::NoAccount
            | K::Busy
            | K::Other => true,
            K::Denied
            | K::LoginUnavailable
            | K::ReauthenticationRequired
            | K::LoggedOut
            | K::Reentrant
            | K::Configuration => false,
        }
    }

    /// Whether the server may have acted on the request although no usable answer came. After such a failure a refresh
    /// token must not simply be sent again: to a rotating server that looks like theft (RFC 9700 §4.14.2).
    pub(crate) fn outcome_unknown(&self) -> bool {
        use ErrorKind as K;
        let by_kind = match self.0.kind {
            K::Unanswered | K::Aborted | K::Other => true,
            // What answers 404 or a redirect is no token endpoint, and has spent nothing.
            K::BadAnswer => self.0.status.is_none_or(|status| status.is_success()),
            _ => false,
        };
        // A gateway that gave up waiting does not know what the server behind it did.
        let by_gateway = matches!(self.0.status, Some(StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT));
        by_kind || by_gateway
    }

    fn advice(&self) -> &'static str {
        use ErrorKind as K;
        match self.0.kind {
            K::Unreachable => "check host, port, proxy and TLS; the session tries again after a pause",
            K::Unanswered => {
                "whether the server acted on it is unknown; the session tries what is still sound after a pause"
            }
            K::Unavailable => "the session tries again after a pause",
            K::BadAnswer => "check that the URL is the token endpoint, and that the field names are the server's",
            K::Denied => "check the credentials",
            K::LoginUnavailable => "log in and hand the session the new tokens",
            K::ReauthenticationRequired => "log in again with valid credentials, or hand the session new tokens",
            K::LoggedOut => "log in again to go on",
            K::RejectedAsIssued => {
                "check that the tokens are meant for this API (audience, scope, signing key, clocks)"
            }
            K::Reentrant => "do not call an annotated method of the same session from `login` or `refresh`",
            K::Aborted => {
                "keep the runtime alive until the exchange has ended, enable its timers, and look for a panic in the authenticator"
            }
            K::Store => "see the cause; the session tries again after a pause",
            K::Configuration => "change the set-up",
            K::NoAccount => "add accounts, or wait until one returns",
            K::Busy => "wait longer, call less, or add accounts",
            K::Other => "see the cause",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        if let Some(endpoint) = &self.0.endpoint {
            write!(f, " at {endpoint}")?;
        }
        match (self.0.status, &self.0.code) {
            (Some(status), Some(code)) => write!(f, " (status {}, {code})", status.as_u16())?,
            (Some(status), None) => write!(f, " (status {})", status.as_u16())?,
            (None, Some(code)) => write!(f, " ({code})")?,
            (None, None) => {}
        }
        // A pool asks for nothing: it has said when its first account returns.
        if let Some(wait) = self.0.retry_after.filter(|_| self.0.kind != ErrorKind::NoAccount) {
            write!(f, ", asked to wait {} s", wait.as_secs())?;
        }
        write!(f, "; {}", self.advice())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { kind, what, endpoint, status, code, retry_after, source, by_login: _ } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("what", what)
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

/// `url` without what may be secret in it: user and password, query, fragment. Of one that is malformed, so that a password
/// may stand anywhere in it, nothing but the scheme.
pub(crate) fn public_part(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let Some((scheme, rest)) = url[..end].split_once("://") else {
        return if url.contains('@') { "…".to_owned() } else { url[..end].to_owned() };
    };
    let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    if is_host(host) || !url.contains('@') { format!("{scheme}://{host}{path}") } else { format!("{scheme}://…") }
}

/// Whether it is a host and perhaps a port, and not `user:password` of a URL that a character of the password has cut short.
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
    fn of_an_endpoint_that_is_no_url_nothing_is_shown_that_may_be_a_password() {
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
    fn the_message_says_what_where_and_what_to_do() {
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
    fn a_code_that_could_be_a_secret_is_not_kept() {
        assert_eq!(Error::denied("no").coded("eyJhbGciOi").code(), None);
        assert_eq!(Error::denied("no").coded(&"a".repeat(65)).code(), None);
    }
}
