//! The table of routes and endpoints: what a request is for.

use std::{collections::BTreeMap, fmt, sync::Arc};

use axum::http::Method;
use matchit::InsertError;
use percent_encoding::percent_decode_str;

use crate::{Endpoint, StartError, route::Route, token_endpoints::TokenEndpoints};

/// What a request is for.
#[derive(Clone)]
pub(crate) enum CallTarget {
    Login,
    Refresh,
    Revoke,
    Token,
    Document,
    Route(Arc<Route>),
    /// The API, which has no route for it.
    Unknown,
}

impl CallTarget {
    /// Returns the endpoint whose faults and counters are for the request, if there are any.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Login => Some(Endpoint::Login),
            Self::Refresh => Some(Endpoint::Refresh),
            Self::Token => Some(Endpoint::Token),
            Self::Route(_) | Self::Unknown => Some(Endpoint::Api),
            Self::Revoke | Self::Document => None,
        }
    }

    pub(crate) fn route(&self) -> Option<&Route> {
        match self {
            Self::Route(route) => Some(route),
            _ => None,
        }
    }
}

/// What a request is for, and what stands in its path for the `{name}`s.
pub(crate) struct Match {
    pub(crate) target: CallTarget,
    pub(crate) params: Vec<(String, String)>,
}

struct Entry {
    method: String,
    path: String,
    target: CallTarget,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, target } = self;
        f.write_str(match target {
            CallTarget::Route(_) | CallTarget::Unknown => "",
            CallTarget::Login => "the login, ",
            CallTarget::Refresh => "the refresh, ",
            CallTarget::Revoke => "the revocation, ",
            CallTarget::Token => "the kit's token endpoint, ",
            CallTarget::Document => "the kit's document, ",
        })?;
        write!(f, "{method} {path}")
    }
}

#[derive(Default)]
pub(crate) struct Routes {
    all: Vec<Entry>,
    /// By method. So two methods of one path may call its parts by different names.
    tables: BTreeMap<String, matchit::Router<CallTarget>>,
}

impl Routes {
    /// # Errors
    ///
    /// If a route or an endpoint cannot be, or two are for the same requests. The error names them.
    pub(crate) fn new(endpoints: &TokenEndpoints, routes: Vec<Route>) -> Result<Self, StartError> {
        let mut table = Self::default();
        table.insert("POST", "/api/auth/revoke", CallTarget::Revoke)?;
        table.insert("POST", "/api/token", CallTarget::Token)?;
        table.insert("GET", "/challenges/api/auth/jwt-with-refresh", CallTarget::Document)?;
        table.insert(&endpoints.login.method, &endpoints.login.path, CallTarget::Login)?;
        if !endpoints.are_one() {
            table.insert(&endpoints.refresh.method, &endpoints.refresh.path, CallTarget::Refresh)?;
        }
        for route in routes {
            if let Some(scope) = route.access().unwrap_or_default().iter().find(|scope| !is_scope(scope)) {
                let reason = format!("{scope:?} is not a scope");
                return Err(StartError::InvalidRoute { route: route.to_string(), reason });
            }
            let route = Arc::new(route);
            table.insert(route.method(), route.path(), CallTarget::Route(Arc::clone(&route)))?;
        }
        Ok(table)
    }

    fn insert(&mut self, method: &str, path: &str, target: CallTarget) -> Result<(), StartError> {
        let entry = Entry { method: method.to_owned(), path: path.to_owned(), target };
        let route = format!("{method} {path}");
        check(method, path).map_err(|reason| StartError::InvalidRoute { route: route.clone(), reason })?;
        let paths = self.tables.entry(method.to_owned()).or_default();
        match paths.insert(path, entry.target.clone()) {
            Ok(()) => {
                self.all.push(entry);
                Ok(())
            }
            Err(InsertError::Conflict { with }) => {
                let there = self.all.iter().find(|there| there.method == method && there.path == with);
                let with = there.map_or(with, ToString::to_string);
                Err(StartError::RouteConflict { route, with })
            }
            Err(error) => Err(StartError::InvalidRoute { route, reason: wrong_part(&error).to_owned() }),
        }
    }

    /// Returns what a request is for. The path is percent-encoded, as it was sent.
    pub(crate) fn find(&self, method: &str, path: &str) -> Option<Match> {
        self.find_exactly(method, path).or_else(|| match method {
            "HEAD" => self.find_exactly("GET", path),
            _ => None,
        })
    }

    fn find_exactly(&self, method: &str, path: &str) -> Option<Match> {
        let found = self.tables.get(method)?.at(path).ok()?;
        let decode = |value| percent_decode_str(value).decode_utf8_lossy().into_owned();
        let params = found.params.iter().map(|(name, value)| (name.to_owned(), decode(value)));
        Some(Match { target: found.value.clone(), params: params.collect() })
    }

    /// Returns the methods that the path has routes for.
    pub(crate) fn methods_of(&self, path: &str) -> Vec<&str> {
        let serve = self.tables.iter().filter(|(_, paths)| paths.at(path).is_ok());
        serve.map(|(method, _)| method.as_str()).collect()
    }

    /// Checks that the route of an endpoint is there, if the endpoint is a route.
    pub(crate) fn check_endpoint(&self, endpoint: Endpoint) -> Result<(), StartError> {
        let Endpoint::Route(method, path) = endpoint else { return Ok(()) };
        if self.of_the_api().any(|route| route.is(method, path)) {
            return Ok(());
        }
        Err(StartError::UnknownRoute { route: format!("{method} {path}"), known: self.names() })
    }

    fn of_the_api(&self) -> impl Iterator<Item = &Route> {
        self.all.iter().filter_map(|entry| entry.target.route())
    }

    /// Returns the routes of the API, as `GET /orders/{id}`.
    pub(crate) fn names(&self) -> Vec<String> {
        self.of_the_api().map(ToString::to_string).collect()
    }

    /// Returns every scope that a route needs, once, in the order of the routes.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        let mut scopes = Vec::new();
        for scope in self.of_the_api().filter_map(Route::access).flatten() {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope);
            }
        }
        scopes
    }
}

/// Returns what is wrong with a method or a path by itself.
fn check(method: &str, path: &str) -> Result<(), String> {
    if Method::from_bytes(method.as_bytes()).is_err() || method.contains(|c: char| c.is_ascii_lowercase()) {
        return Err(format!("{method:?} is not a method; methods are in capitals"));
    }
    if !path.starts_with('/') {
        return Err("a path starts with a slash".to_owned());
    }
    if path.contains(['?', '#']) {
        return Err("a path has no query; the closure reads it with `request.query`".to_owned());
    }
    if let Some(unsent) = path.chars().find(|&c| !c.is_ascii_graphic() || "\"<>\\`".contains(c)) {
        return Err(format!(
            "a client does not send {unsent:?} in a path as it is; write it percent-encoded, as `%20`"
        ));
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err("a client resolves `.` and `..` before it sends a path".to_owned());
    }
    if path.split('/').any(|segment| segment.starts_with(':')) {
        return Err("a part that varies is written `{name}`".to_owned());
    }
    Ok(())
}

/// Returns what is wrong with the parts of a path that vary, and how they are written.
fn wrong_part(error: &InsertError) -> &'static str {
    match error {
        InsertError::InvalidCatchAll => {
            "`{*name}` stands for all that follows, so it ends the path, as in `/files/{*name}`"
        }
        InsertError::InvalidParamSegment => {
            "a segment has one `{name}`, and nothing after it, as in `/orders/{id}` or `/order-{id}`"
        }
        _ => "a brace has no partner, or no name inside; a part that varies is written `{name}`, a brace `{{` or `}}`",
    }
}

/// Whether this is a `scope-token` (RFC 6749 §3.3).
pub(crate) fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
