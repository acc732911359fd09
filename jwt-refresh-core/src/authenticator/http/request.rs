//! A request of a description, as it was described.

use std::fmt;

use serde_json::Value;

use super::answer_match::{AnswerMatch, AnswerMeaning};
use super::body::{Body, OtherFormat};
use crate::error::public_part;

/// A request that a [`HttpAuthenticator`](crate::HttpAuthenticator) sends: a step of the login, the
/// refresh or the revocation. A URL is one, too: a `POST` there.
///
/// In the URL, in headers, in cookies and in all strings of the body `{name}` stands for a value:
/// a secret or another value that the builder was given, what an earlier answer brought
/// ([`capture`](Self::capture)), and in a refresh or revocation `{refresh_token}` and
/// `{access_token}`. `{{` is a brace.
///
/// No value leaves its place. One that would (a part of the path that becomes `.` or `..`, a
/// semicolon in a cookie, a line break in a header) fails the exchange with
/// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) before anything is sent.
///
/// ```
/// use jwt_refresh::HttpRequest;
///
/// let refresh = HttpRequest::post("https://api.example/oauth/token")
///     .form_field("grant_type", "refresh_token")
///     .form_field("refresh_token", "{refresh_token}");
///
/// let refresh = HttpRequest::get("https://api.example/renew")
///     .header("authorization", "Bearer {refresh_token}");
/// ```
#[derive(Clone)]
#[must_use = "a request does nothing until it is given to a builder"]
pub struct HttpRequest {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) cookies: Vec<(String, String)>,
    pub(super) basic_auth: Option<(String, String)>,
    pub(super) body: Body,
    pub(super) captures: Vec<(String, String)>,
    pub(super) rules: Vec<(AnswerMatch, AnswerMeaning)>,
    /// A field that does not fit the format of the body.
    pub(super) misfit: Option<(String, OtherFormat)>,
}

impl HttpRequest {
    /// Returns a request with a method such as `PUT`, and no body.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            cookies: Vec::new(),
            basic_auth: None,
            body: Body::Empty,
            captures: Vec::new(),
            rules: Vec::new(),
            misfit: None,
        }
    }

    /// Returns a `POST` without a body.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Returns a `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Sends this JSON, of any shape: `serde_json::json!({…})`.
    pub fn json(mut self, body: impl Into<Value>) -> Self {
        match self.body {
            Body::Empty | Body::Json(_) => self.body = Body::Json(body.into()),
            Body::Form(_) => self.misfit = self.misfit.or(Some(("json".into(), OtherFormat::form_instead_of_json()))),
        }
        self
    }

    /// Sends a field of JSON, which may be a string, a number, a bool or any other JSON. `path` is
    /// its name, or names joined by dots: `user.name` is `{"user": {"name": …}}`.
    pub fn json_field(mut self, path: impl AsRef<str>, value: impl Into<Value>) -> Self {
        let set = self.body.set_json(path.as_ref(), value.into());
        self.note(|| format!("json.{}", path.as_ref()), set);
        self
    }

    /// Sends a field of a form (`application/x-www-form-urlencoded`).
    pub fn form_field(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let set = self.body.set_form(name.as_ref(), value.as_ref());
        self.note(|| format!("form.{}", name.as_ref()), set);
        self
    }

    /// Sends a header. Without an `Accept` of yours, `application/json` is asked for.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends a cookie.
    pub fn cookie(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.cookies.push((name.into(), value.into()));
        self
    }

    /// Sends HTTP Basic authentication with user and password as they are (RFC 7617), as `curl -u`
    /// does. For a client of OAuth 2.0 see [`ClientAuth::basic`](crate::ClientAuth::basic).
    pub fn basic_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.basic_auth = Some((user.into(), password.into()));
        self
    }

    /// Keeps a value of the answer as `name`, for later steps of the login, for the refresh and for
    /// the revocation, and for [`Tokens::extra`](crate::Tokens::extra). `place` is written as for
    /// [`TokenFields`](crate::TokenFields): `data.id`, `header:X-Id`, `cookie:csrf`.
    ///
    /// A step of the login fails if its answer lacks what the next one may need. Beside tokens,
    /// nothing that is missing costs them; but if it is needed for the refresh, there is none, and
    /// the session logs in again instead.
    ///
    /// What the refresh needs, the refresh token takes along, so that it is in a store with it. The
    /// answer to a refresh is searched for what the login captured, too; what it does not bring
    /// stays as it was.
    pub fn capture(mut self, name: impl Into<String>, place: impl Into<String>) -> Self {
        self.captures.push((name.into(), place.into()));
        self
    }

    /// Takes these answers for a success, whatever their status: for example a 302 that sets a
    /// cookie. The first rule of the request that an answer is in counts.
    pub fn success_if(self, answers: AnswerMatch) -> Self {
        self.rule(answers, AnswerMeaning::Success)
    }

    /// Takes these answers for a final no: the refresh token is dead, or the login refused.
    pub fn dead_if(self, answers: AnswerMatch) -> Self {
        self.rule(answers, AnswerMeaning::Dead)
    }

    /// Takes these answers for a failure that passes, after which what was sent is as good as
    /// before.
    pub fn later_if(self, answers: AnswerMatch) -> Self {
        self.rule(answers, AnswerMeaning::Later)
    }

    /// Takes these answers for a failure that passes, after which it is unknown whether the refresh
    /// token was spent.
    pub fn in_doubt_if(self, answers: AnswerMatch) -> Self {
        self.rule(answers, AnswerMeaning::InDoubt)
    }

    fn rule(mut self, answers: AnswerMatch, meaning: AnswerMeaning) -> Self {
        self.rules.push((answers, meaning));
        self
    }

    /// Keeps the first field that does not fit the body, for `build` to report.
    pub(super) fn note(&mut self, key: impl FnOnce() -> String, set: Result<(), OtherFormat>) {
        if let (Err(other), None) = (set, &self.misfit) {
            self.misfit = Some((key(), other));
        }
    }
}

impl From<&str> for HttpRequest {
    /// A `POST` of a JSON object, to which the builder adds fields.
    fn from(url: &str) -> Self {
        Self::post(url).json(serde_json::Map::new())
    }
}

impl From<String> for HttpRequest {
    /// As from a `&str`.
    fn from(url: String) -> Self {
        url.as_str().into()
    }
}

impl From<&String> for HttpRequest {
    /// As from a `&str`.
    fn from(url: &String) -> Self {
        url.as_str().into()
    }
}

impl fmt::Debug for HttpRequest {
    /// Shows names and no values, because a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &public_part(&self.url))
            .field("headers", &names(&self.headers))
            .field("cookies", &names(&self.cookies))
            .field("body", &self.body.format())
            .field("fields", &self.body.keys())
            .field("captures", &self.captures)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
