//! The table of routes: which route a request is for.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::Method;
use matchit::InsertError;
use percent_encoding::percent_decode_str;

use crate::{Endpoint, StartError, route::Route};

/// The paths of the endpoints that issue and revoke tokens, and of the document about the server.
/// No route is for them.
const RESERVED: [&str; 5] =
    ["/api/auth/login", "/api/auth/refresh", "/api/auth/revoke", "/api/token", "/challenges/api/auth/jwt-with-refresh"];

/// The route of a request, and what stands in the path for its `{name}`s.
#[derive(Clone)]
pub(crate) struct Match {
    pub(crate) route: Arc<Route>,
    pub(crate) params: Vec<(String, String)>,
}

#[derive(Default)]
pub(crate) struct Routes {
    all: Vec<Arc<Route>>,
    /// By method. So two methods of one path may call its parts by different names.
    tables: BTreeMap<String, matchit::Router<Arc<Route>>>,
}

impl Routes {
    /// # Errors
    ///
    /// If a route cannot be, or two are for the same requests. The error names them.
    pub(crate) fn new(routes: Vec<Route>) -> Result<Self, StartError> {
        let mut table = Self::default();
        for route in routes {
            check(&route).map_err(|reason| StartError::InvalidRoute { route: route.to_string(), reason })?;
            table.insert(route)?;
        }
        Ok(table)
    }

    fn insert(&mut self, route: Route) -> Result<(), StartError> {
        let route = Arc::new(route);
        let paths = self.tables.entry(route.method().to_owned()).or_default();
        match paths.insert(route.path(), Arc::clone(&route)) {
            Ok(()) => {
                self.all.push(route);
                Ok(())
            }
            Err(InsertError::Conflict { with }) => {
                Err(StartError::RouteConflict { route: route.to_string(), with: format!("{} {with}", route.method()) })
            }
            Err(error) => {
                Err(StartError::InvalidRoute { route: route.to_string(), reason: wrong_part(&error).to_owned() })
            }
        }
    }

    /// Returns the route for a request. The path is percent-encoded, as it was sent.
    pub(crate) fn find(&self, method: &str, path: &str) -> Option<Match> {
        if RESERVED.contains(&path) {
            return None;
        }
        self.find_exactly(method, path).or_else(|| match method {
            "HEAD" => self.find_exactly("GET", path),
            _ => None,
        })
    }

    fn find_exactly(&self, method: &str, path: &str) -> Option<Match> {
        let found = self.tables.get(method)?.at(path).ok()?;
        let decode = |value| percent_decode_str(value).decode_utf8_lossy().into_owned();
        let params = found.params.iter().map(|(name, value)| (name.to_owned(), decode(value)));
        Some(Match { route: Arc::clone(found.value), params: params.collect() })
    }

    /// Returns the methods that the path has routes for.
    pub(crate) fn methods_of(&self, path: &str) -> Vec<&str> {
        let serve = self.tables.iter().filter(|(_, paths)| paths.at(path).is_ok());
        serve.map(|(method, _)| method.as_str()).collect()
    }

    /// Checks that the route of an endpoint is there, if the endpoint is a route.
    pub(crate) fn check_endpoint(&self, endpoint: Endpoint) -> Result<(), StartError> {
        let Endpoint::Route(method, path) = endpoint else { return Ok(()) };
        if self.all.iter().any(|route| route.is(method, path)) {
            return Ok(());
        }
        Err(StartError::UnknownRoute { route: format!("{method} {path}"), known: self.names() })
    }

    /// Returns all routes, as `GET /orders/{id}`.
    pub(crate) fn names(&self) -> Vec<String> {
        self.all.iter().map(ToString::to_string).collect()
    }

    /// Returns every scope that a route needs, once, in the order of the routes.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        let mut scopes = Vec::new();
        for scope in self.all.iter().filter_map(|route| route.access()).flatten() {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope);
            }
        }
        scopes
    }
}

/// Returns what is wrong with a route by itself.
fn check(route: &Route) -> Result<(), String> {
    let method = route.method();
    if Method::from_bytes(method.as_bytes()).is_err() || method.contains(|c: char| c.is_ascii_lowercase()) {
        return Err(format!("{method:?} is not a method; methods are in capitals"));
    }
    if !route.path().starts_with('/') {
        return Err("a path starts with a slash".to_owned());
    }
    if route.path().contains(['?', '#']) {
        return Err("a path has no query; the closure reads it with `request.query`".to_owned());
    }
    if route.path().split('/').any(|segment| segment.starts_with(':')) {
        return Err("a part that varies is written `{name}`".to_owned());
    }
    if RESERVED.contains(&route.path()) {
        return Err("the path is one of the kit's own endpoints".to_owned());
    }
    match route.access().unwrap_or_default().iter().find(|scope| !is_scope(scope)) {
        Some(scope) => Err(format!("{scope:?} is not a scope")),
        None => Ok(()),
    }
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
