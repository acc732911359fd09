//! A route of the API: which requests it is for, what they need, and the closure that answers them.

use std::{fmt, sync::Mutex};

use axum::response::{IntoResponse, Response};

use crate::{Answer, ReceivedRequest, refusal::catch_panic, sync::lock};

type Handler = dyn FnMut(&ReceivedRequest) -> Answer + Send;

/// A route of an API of your own: a method, a path, and the closure that answers.
///
/// [`Builder::route`](crate::Builder::route) gives it to a server, which checks the access token
/// first, applies faults and limits, and counts. So the closure has only the API's own work to do.
///
/// ```
/// use jwt_refresh_testkit::{Answer, Route, TestServer};
/// use serde_json::json;
///
/// let mut orders = Vec::new();
/// let server = TestServer::builder()
///     .route(Route::get("/orders/{id}", |request| json!({ "id": request.param("id") })))
///     .route(Route::post("/orders", move |request| match request.json::<String>() {
///         Ok(name) => {
///             orders.push(name);
///             Answer::new(201).json(&json!({ "id": orders.len() }))
///         }
///         Err(_) => Answer::new(422),
///     }).scope("orders:write"))
///     .route(Route::put("/files/{*path}", |request| json!({ "bytes": request.body().len() })))
///     .route(Route::delete("/orders/{id}", |_| Answer::new(204)))
///     .route(Route::get("/version", |_| json!("2.1")).public())
///     .start();
/// ```
///
/// The closure returns an [`Answer`], or a `serde_json::Value`, which is answered with status 200.
///
/// A path is written as it is sent, percent-encoded. In it, `{name}` stands for one segment and
/// `{*name}`, at the end, for all that follow. Where two routes fit, the one with fewer of these
/// answers. A `GET` answers `HEAD`, too, unless there is a route for that.
///
/// What else a request has is read by the methods of [`ReceivedRequest`]: JSON as a type of yours,
/// fields of a form, cookies, headers, and the body as it came, such as that of a `multipart`
/// upload.
///
/// The closure runs on the server's thread, one call at a time, so it must not wait for this server
/// or for the test; for an answer that comes late there is
/// [`Fault::HangAfterProcessing`](crate::Fault::HangAfterProcessing). It may keep state of its own,
/// and share an `Arc<Mutex<_>>` with other routes and with the test. If it panics, the request is
/// answered 500 with what it said in `error_description`, and the server goes on.
#[must_use = "a route does nothing until it is given to a builder"]
pub struct Route {
    method: String,
    path: String,
    /// What a token must be allowed to do. `None` for a route that needs no token.
    access: Option<Vec<String>>,
    handler: Mutex<Box<Handler>>,
}

impl Route {
    /// Returns a route for a method, in capitals, and a path, which starts with a slash.
    pub fn new<A: Into<Answer>>(
        method: &str,
        path: &str,
        mut answer: impl FnMut(&ReceivedRequest) -> A + Send + 'static,
    ) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            access: Some(Vec::new()),
            handler: Mutex::new(Box::new(move |request| answer(request).into())),
        }
    }

    /// Returns a route for `GET`.
    pub fn get<A: Into<Answer>>(path: &str, answer: impl FnMut(&ReceivedRequest) -> A + Send + 'static) -> Self {
        Self::new("GET", path, answer)
    }

    /// Returns a route for `POST`.
    pub fn post<A: Into<Answer>>(path: &str, answer: impl FnMut(&ReceivedRequest) -> A + Send + 'static) -> Self {
        Self::new("POST", path, answer)
    }

    /// Returns a route for `PUT`.
    pub fn put<A: Into<Answer>>(path: &str, answer: impl FnMut(&ReceivedRequest) -> A + Send + 'static) -> Self {
        Self::new("PUT", path, answer)
    }

    /// Returns a route for `PATCH`.
    pub fn patch<A: Into<Answer>>(path: &str, answer: impl FnMut(&ReceivedRequest) -> A + Send + 'static) -> Self {
        Self::new("PATCH", path, answer)
    }

    /// Returns a route for `DELETE`.
    pub fn delete<A: Into<Answer>>(path: &str, answer: impl FnMut(&ReceivedRequest) -> A + Send + 'static) -> Self {
        Self::new("DELETE", path, answer)
    }

    /// Adds a scope that the access token must have, or several with spaces between them. A call
    /// whose token lacks one is answered 403 `insufficient_scope`, with all that the route needs in
    /// `WWW-Authenticate` (RFC 6750 §3.1).
    ///
    /// Tokens have all scopes that the routes of the server need, unless
    /// [`TestServer::set_scope`](crate::TestServer::set_scope) says otherwise. Of `scope` and
    /// [`Route::public`] the last one counts.
    pub fn scope(mut self, scope: &str) -> Self {
        self.access.get_or_insert_default().extend(scope.split(' ').map(str::to_owned));
        self
    }

    /// Makes the route answer requests without an access token, too. Of the others it does not look
    /// at the token, so no account's limits apply, and no account counts the call. Faults apply.
    pub fn public(mut self) -> Self {
        self.access = None;
        self
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    /// Returns the scopes that a token needs, or `None` if the route is public.
    pub(crate) fn access(&self) -> Option<&[String]> {
        self.access.as_deref()
    }

    pub(crate) fn answer(&self, request: &ReceivedRequest) -> Response {
        let mut handler = lock(&self.handler);
        catch_panic(|| handler(request)).into_response()
    }
}

/// `GET /orders/{id}`
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
