//! The URLs to which credentials may be sent: `https`, or this machine.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::error::{Error, ErrorKind};

/// Whether credentials may be sent over plain `http` to another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plaintext {
    LoopbackOnly,
    Anywhere,
}

/// The URL of a token endpoint to which credentials may be sent.
#[derive(Clone)]
pub(super) struct Endpoint(Url);

impl Endpoint {
    /// Parses `url`, and returns an error if credentials must not be sent there.
    pub(super) fn parse(url: &str, plaintext: Plaintext) -> Result<Self, Error> {
        let parsed =
            Url::parse(url).map_err(|error| configuration(format!("the endpoint is not a URL ({error})")).at(url))?;
        match parsed.scheme() {
            "https" => Ok(Self(parsed)),
            "http" if plaintext == Plaintext::Anywhere || is_loopback(&parsed) => Ok(Self(parsed)),
            "http" => Err(configuration(
                "credentials would go over plain http to another machine; use https, or `allow_plain_http`",
            )
            .at(parsed)),
            _ => Err(configuration("the endpoint is neither https nor http").at(parsed)),
        }
    }

    pub(super) fn is_plaintext(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Returns the host if it is a name of this machine.
    pub(super) fn local_name(&self) -> Option<&str> {
        match self.0.host()? {
            Host::Domain(name) => Some(name).filter(|name| is_local_name(name)),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        }
    }

    pub(super) fn url(&self) -> Url {
        self.0.clone()
    }
}

impl AsRef<str> for Endpoint {
    fn as_ref(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Endpoint {
    /// Shows the URL without user, password and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.0.scheme(), self.0.host_str().unwrap_or_default(), self.0.path())
    }
}

/// Returns whether the host is this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_local_name(name),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

/// Returns whether a name is `localhost` or below it. No such name is another machine's, whatever
/// DNS says of it (RFC 6761 §6.3).
fn is_local_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

fn configuration(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_sent_only_to_https_or_to_this_machine() {
        for url in ["https://api.example/x", "http://a.localhost./", "http://127.8.9.1/x", "http://[::1]:8080/x"] {
            assert!(Endpoint::parse(url, Plaintext::LoopbackOnly).is_ok(), "{url}");
        }
        for url in [
            "http://api.example/x",
            "http://localhost.evil.example/x",
            "http://evillocalhost/",
            "http://10.0.0.1/",
            "ftp://127.0.0.1/",
            "api",
            "",
        ] {
            let error = Endpoint::parse(url, Plaintext::LoopbackOnly).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{url}");
        }
    }

    #[test]
    fn the_names_of_this_machine_are_known_in_every_spelling() {
        for (url, name) in [
            ("http://LocalHost:1/x", Some("localhost")),
            ("https://api.localhost/x", Some("api.localhost")),
            ("https://localhost./x", Some("localhost.")),
            ("https://localhost.example/x", None),
            ("https://127.0.0.1/x", None),
        ] {
            assert_eq!(Endpoint::parse(url, Plaintext::LoopbackOnly).unwrap().local_name(), name, "{url}");
        }
    }

    #[test]
    fn plain_http_to_another_machine_is_possible_if_allowed() {
        assert!(Endpoint::parse("http://10.0.0.1/", Plaintext::Anywhere).is_ok());
    }
}
