//! The URLs to which credentials may be sent: `https`, or this machine.

use std::fmt;
#[cfg(feature = "oauth")]
use std::net::Ipv4Addr;

use url::{Host, Position, Url};

use super::template::{Template, percent_encoded};
use super::values::Values;
use crate::error::{Error, ErrorKind, public_part};
use crate::plaintext::{Plaintext, is_local_name};

/// The URL of a token endpoint to which credentials may be sent. Its path and its query may have
/// placeholders.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::authenticator) struct Endpoint {
    /// The URL, with filler for placeholders.
    url: Url,
    template: Option<Template>,
    /// The URL as it may be shown, apart from user, password and query.
    shown: String,
}

impl Endpoint {
    /// Checks a URL without placeholders.
    #[cfg(any(test, feature = "oauth"))]
    pub(in crate::authenticator) fn parse(url: &str, plaintext: Plaintext) -> Result<Self, Error> {
        Self::of(url, Template::literal(url), plaintext)
    }

    /// Checks a URL, and returns an error if credentials must not be sent there. `text` is what the
    /// template was parsed from.
    pub(super) fn of(text: &str, template: Template, plaintext: Plaintext) -> Result<Self, Error> {
        let parse = |url: &str| {
            Url::parse(url).map_err(|error| {
                let error = configuration("this is not a URL").detailed(error.to_string());
                error.advising("write it as `https://api.example/login`").at(text)
            })
        };
        if text.trim().is_empty() {
            let error = configuration("the URL is missing");
            return Err(error.advising("write where the request goes, `https://api.example/login`"));
        }
        let has_placeholders = template.placeholders().next().is_some();
        let url = parse(&template.filled_with("0"))?;
        if has_placeholders && url[..Position::BeforePath] != parse(&template.filled_with("1"))?[..Position::BeforePath]
        {
            let error = configuration("a placeholder stands before the path");
            return Err(error.advising("write placeholders in the path and in the query only").at(text));
        }
        match url.scheme() {
            "https" => {}
            "http" if url.host_str().is_some_and(|host| plaintext.admits(host)) => {}
            "http" => {
                let error = configuration("credentials would go over plain http to another machine");
                return Err(error.advising("use https, or `allow_plain_http`").at(url));
            }
            _ => return Err(configuration("the endpoint is neither https nor http").advising("use https").at(url)),
        }
        let shown = if has_placeholders { text.to_owned() } else { url.as_str().to_owned() };
        Ok(Self { url, template: Some(template).filter(|_| has_placeholders), shown })
    }

    pub(in crate::authenticator) fn is_plaintext(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Returns the host if it is a name of this machine.
    pub(in crate::authenticator) fn local_name(&self) -> Option<&str> {
        match self.url.host()? {
            Host::Domain(name) => Some(name).filter(|name| is_local_name(name)),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        }
    }

    /// Returns whether the host is this machine, by name or by address.
    #[cfg(feature = "oauth")]
    pub(in crate::authenticator) fn is_local(&self) -> bool {
        let is_local = |address: Ipv4Addr| address.is_loopback() || address.is_unspecified();
        match self.url.host() {
            Some(Host::Domain(name)) => is_local_name(name),
            Some(Host::Ipv4(address)) => is_local(address),
            Some(Host::Ipv6(address)) => match address.to_ipv4_mapped() {
                Some(mapped) => is_local(mapped),
                None => address.is_loopback() || address.is_unspecified(),
            },
            None => false,
        }
    }

    /// Returns scheme, host and port.
    pub(in crate::authenticator) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Returns the URL with these values in it. No value changes where the request goes.
    ///
    /// # Errors
    ///
    /// If a value makes a part of the path `.` or `..`, which lead to another path. They cannot be
    /// encoded: `%2e` means the same there (WHATWG URL, "double-dot URL path segment").
    pub(super) fn url(&self, values: &Values) -> Result<Url, Error> {
        let Some(template) = &self.template else { return Ok(self.url.clone()) };
        let filled = template.render(values, percent_encoded);
        if dot_segments(&filled) != dot_segments(&template.filled_with("0")) {
            return Err(configuration("a value in the URL would lead to another path: it makes a part `.` or `..`"));
        }
        Url::parse(&filled).map_err(|error| configuration(format!("with its values, it is not a URL ({error})")))
    }

    /// Returns a URL of the server that holds no value and no credential.
    pub(super) fn public_url(&self) -> Url {
        let mut url = self.url.clone();
        if self.template.is_some() {
            url.set_path("/");
        }
        url.set_query(None);
        // These fail for URLs without a host, and an endpoint has one.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        url
    }
}

impl AsRef<str> for Endpoint {
    fn as_ref(&self) -> &str {
        &self.shown
    }
}

impl fmt::Debug for Endpoint {
    /// Shows the URL without user, password and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&public_part(&self.shown))
    }
}

/// Returns how many parts of the path of a URL are `.` or `..`.
fn dot_segments(url: &str) -> usize {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let is_dots = |part: &&str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    path.split(['/', '\\']).filter(is_dots).count()
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
    #[cfg(feature = "oauth")]
    fn this_machine_is_known_by_its_addresses_too() {
        for (url, is_local) in [
            ("https://127.1/x", true),
            ("https://0x7f000001/", true),
            ("https://0.0.0.0/", true),
            ("https://[::1]/", true),
            ("https://[::]/", true),
            ("https://[::ffff:127.0.0.1]/", true),
            ("https://a.LocalHost./", true),
            ("https://api.example/", false),
            ("https://10.0.0.1/", false),
            ("https://[2001:db8::1]/", false),
        ] {
            assert_eq!(Endpoint::parse(url, Plaintext::LoopbackOnly).unwrap().is_local(), is_local, "{url}");
        }
    }

    #[test]
    fn plain_http_to_another_machine_is_possible_if_allowed() {
        assert!(Endpoint::parse("http://10.0.0.1/", Plaintext::Anywhere).is_ok());
    }
}
