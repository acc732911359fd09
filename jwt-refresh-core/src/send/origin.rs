//! Where a request goes, and the origins that may get a token.

use std::fmt;

use http::Uri;
use http::uri::Scheme;

use crate::error::{Error, ErrorKind};
use crate::plaintext::Plaintext;

/// Scheme, host and port (RFC 6454 §4) of a URL to which tokens may be sent.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    /// Parses an origin such as `https://api.example:8443`. Refuses one to which tokens must not be
    /// sent.
    pub(super) fn parse(text: &str, plaintext: Plaintext) -> Result<Self, Error> {
        let refuse = |what: &str, advice| Err(Error::new(ErrorKind::Configuration, what).advising(advice).at(text));
        let Some((uri, scheme)) = text.parse::<Uri>().ok().and_then(|uri| Some((uri.clone(), uri.scheme()?.clone())))
        else {
            return refuse("this is not an origin", "write it as `https://api.example`, in ASCII");
        };
        let Some(port) = default_port(&scheme) else {
            return refuse("the origin is neither https nor http", "use https");
        };
        let (host, authority) = (uri.host().unwrap_or_default(), uri.authority().map_or("", |part| part.as_str()));
        if host.is_empty() || authority.contains('@') || authority.ends_with(':') {
            return refuse("the origin is not a scheme, a host and a port", "write it as `https://api.example:8443`");
        }
        if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            return refuse("an origin has no path", "leave out what follows host and port: a token is for all of them");
        }
        if scheme == Scheme::HTTP && !plaintext.admits(host) {
            let advice = "use https, or `and_plain_http_origin`";
            return refuse("tokens would go over plain http to another machine", advice);
        }
        let port = uri.port_u16().unwrap_or(port);
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port })
    }

    pub(super) fn is_that_of(&self, target: &Target<'_>) -> bool {
        self.scheme == *target.scheme
            && self.port == target.port.unwrap_or_default()
            && self.host.eq_ignore_ascii_case(target.host)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// The origin of the URL of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    scheme: &'a str,
    host: &'a str,
    /// The one in the URL, or else that of the scheme.
    port: Option<u16>,
}

impl<'a> Target<'a> {
    /// Returns the origin of an absolute URI.
    #[cfg(any(feature = "tower", feature = "ureq", test))]
    pub(super) fn of_uri(uri: &'a Uri) -> Option<Self> {
        let scheme = uri.scheme()?;
        let port = uri.port_u16().or_else(|| default_port(scheme));
        Some(Self { scheme: scheme.as_str(), host: uri.host()?, port })
    }

    #[cfg(feature = "reqwest")]
    pub(super) fn of_url(url: &'a reqwest::Url) -> Option<Self> {
        Some(Self { scheme: url.scheme(), host: url.host_str()?, port: url.port_or_known_default() })
    }
}

/// Shows the origin, in which nothing is secret.
impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn default_port(scheme: &Scheme) -> Option<u16> {
    match scheme.as_str() {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text, Plaintext::LoopbackOnly).unwrap()
    }

    fn is_for(origin: &Origin, url: &str) -> bool {
        Target::of_uri(&url.parse().unwrap()).is_some_and(|target| origin.is_that_of(&target))
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let api = origin("https://API.example");
        for url in ["https://api.example", "https://api.EXAMPLE:443/x?y", "https://ada:pw@api.example/"] {
            assert!(is_for(&api, url), "{url}");
        }
        for url in [
            "http://api.example/",
            "https://api.example:8443/",
            "https://api.example./",
            "https://sub.api.example/",
            "https://api.example.evil.example/",
            "https://api.example@evil.example/",
            "ftp://api.example:443/",
            "/path",
        ] {
            assert!(!is_for(&api, url), "{url}");
        }
        assert!(is_for(&origin("http://[::1]:8080/"), "http://[::1]:8080/x"));
    }

    #[test]
    fn tokens_go_to_https_or_this_machine_unless_the_user_says_otherwise() {
        for text in ["https://api.example:1", "http://localhost", "http://api.localhost.:1/", "http://127.8.9.1"] {
            assert!(Origin::parse(text, Plaintext::LoopbackOnly).is_ok(), "{text}");
        }
        for text in ["http://api.example", "http://evillocalhost", "http://localhost.evil.example", "http://10.0.0.1"] {
            assert!(Origin::parse(text, Plaintext::LoopbackOnly).is_err(), "{text}");
            assert!(Origin::parse(text, Plaintext::Anywhere).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_by_an_error_that_says_what_to_write() {
        for (text, advice) in [
            ("", "write it as"),
            ("api.example", "write it as"),
            ("/v1", "write it as"),
            ("https://", "write it as"),
            ("https://ada:S3cret@api.example", "write it as"),
            ("https://api.example:", "write it as"),
            ("https://bücher.example", "in ASCII"),
            ("ftp://api.example", "use https"),
            ("https://api.example/v1", "leave out"),
            ("https://api.example?x", "leave out"),
            ("https://api.example/#x", "leave out"),
        ] {
            let error = Origin::parse(text, Plaintext::Anywhere).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
            assert!(error.to_string().contains(advice), "{text}: {error}");
            assert!(!error.to_string().contains("S3cret"), "{error}");
        }
    }
}
