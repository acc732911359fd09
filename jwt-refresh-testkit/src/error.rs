//! Why a server does not start.

use std::{error::Error, fmt, io, net::SocketAddr};

/// Why [`Builder::try_start`](crate::Builder::try_start) has started no server. `Display` names
/// what is wrong, and says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Two routes are for the same requests.
    RouteConflict {
        /// The route that was given later, as `GET /orders/{id}`.
        route: String,
        /// The one that was there.
        with: String,
    },
    /// A route has a method, path or scope that cannot be.
    InvalidRoute {
        /// The route, as `GET /orders/{id}`.
        route: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A fault is for a route that the server does not have.
    UnknownRoute {
        /// The route, as `GET /orders/{id}`.
        route: String,
        /// The routes that the server has.
        known: Vec<String>,
    },
    /// The server cannot listen on the port that was asked for, or, with port 0, on any.
    Listen {
        /// The address that it was to listen on.
        addr: SocketAddr,
        /// Why it cannot.
        source: io::Error,
    },
    /// The machine has no thread or file descriptor left.
    Resources(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RouteConflict { route, with } if route == with => write!(f, "the route {route} is given twice"),
            Self::RouteConflict { route, with } => {
                write!(f, "the route {route} is for the same requests as {with}, which the server has already")
            }
            Self::InvalidRoute { route, reason } => write!(f, "the route {route} cannot be: {reason}"),
            Self::UnknownRoute { route, known } => {
                write!(f, "there is a fault for {route}, and no such route: the server has {}", known.join(", "))
            }
            Self::Listen { addr, source } if source.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "port {} of {} is in use", addr.port(), addr.ip())
            }
            Self::Listen { addr, source } => write!(f, "cannot listen on {addr}: {source}"),
            Self::Resources(source) => write!(f, "no thread or file descriptor for the test server: {source}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::Resources(source) => Some(source),
            _ => None,
        }
    }
}
