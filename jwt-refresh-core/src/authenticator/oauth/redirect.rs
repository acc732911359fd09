//! Waits on this machine for the browser that the server sends back (RFC 8252 §7.3).
//!
//! huskarl has such a listener, too. It returns the tokens only when the browser has fetched a
//! second page, or ten seconds later; meanwhile the time-out of a login could pass, and the tokens
//! be lost.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use crate::error::{Error, ErrorKind};
use crate::plaintext::Plaintext;

/// How long a connection may take to send its request, or to take the answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest request, in bytes. What is longer is no redirect.
const LONGEST_REQUEST: usize = 16 * 1024;
/// How many connections may be open at once. Browsers open some in advance.
const MOST_CONNECTIONS: usize = 32;

/// Where the server sends the browser back to.
#[derive(Clone, Debug)]
pub(super) struct Redirect {
    text: String,
    url: Url,
}

impl Redirect {
    /// Parses a redirect URI.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if it is not on this machine, or not plain `http`.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mistake = |what: &str| Error::new(ErrorKind::Configuration, what.to_owned()).at(text);
        let url = Url::parse(text).map_err(|_| mistake("the redirect URI is not a URL"))?;
        let is_local = url.host_str().is_some_and(|host| Plaintext::LoopbackOnly.admits(host));
        if url.scheme() != "http" || !is_local || url.fragment().is_some() {
            let error = mistake("the redirect URI is not plain http on this machine");
            return Err(error.advising("write it as `http://127.0.0.1/callback`, with or without a port"));
        }
        Ok(Self { text: text.to_owned(), url })
    }

    /// Listens on the port of the redirect URI, or on a free one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if the port is in use.
    pub(super) async fn listen(&self) -> Result<Listener, Error> {
        let unavailable = |error: std::io::Error| {
            let what = "the login cannot listen for the browser";
            let error = Error::new(ErrorKind::Configuration, what).at(&self.text).caused_by(error);
            error.advising("let the redirect URI have no port, or one that nothing else uses")
        };
        let address = match self.url.host() {
            Some(url::Host::Ipv6(address)) => (address.into(), self.url.port().unwrap_or(0)),
            Some(url::Host::Ipv4(address)) => (std::net::IpAddr::from(address), self.url.port().unwrap_or(0)),
            _ => (std::net::Ipv4Addr::LOCALHOST.into(), self.url.port().unwrap_or(0)),
        };
        let socket = TcpListener::bind(address).await.map_err(unavailable)?;
        let port = socket.local_addr().map_err(unavailable)?.port();
        Ok(Listener { socket, uri: self.uri(port), path: self.url.path().to_owned() })
    }

    /// Returns the URI with a port, and otherwise as it was written: a server compares the text.
    fn uri(&self, port: u16) -> String {
        if self.url.port().is_some() {
            return self.text.clone();
        }
        let mut url = self.url.clone();
        // It fails for URLs without a host, and this one has one.
        let _ = url.set_port(Some(port));
        let has_no_path = url.path() == "/" && url.query().is_none() && !self.text.ends_with('/');
        if has_no_path { url.as_str().trim_end_matches('/').to_owned() } else { url.into() }
    }
}

/// A port on which the browser is expected.
pub(super) struct Listener {
    socket: TcpListener,
    uri: String,
    path: String,
}

impl Listener {
    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    /// Waits for the browser. What else arrives is answered 404, and a connection that sends
    /// nothing holds up no other.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Other`] if the port is lost.
    pub(super) async fn callback(&self) -> Result<Callback, Error> {
        let mut connections = JoinSet::new();
        loop {
            let accepts = connections.len() < MOST_CONNECTIONS;
            tokio::select! {
                accepted = self.socket.accept(), if accepts => {
                    let (stream, _) = accepted.map_err(Error::other)?;
                    connections.spawn(timeout(CONNECTION_TIMEOUT, read_target(stream)));
                }
                Some(read) = connections.join_next() => {
                    let Ok(Ok(Some((stream, target)))) = read else { continue };
                    if target.split('?').next() == Some(&*self.path) {
                        return Ok(Callback { stream, target });
                    }
                    answer(stream, "404 Not Found", "This is not the page that a login waits for.");
                }
            }
        }
    }
}

/// A browser that came back. It waits for a page.
pub(super) struct Callback {
    stream: TcpStream,
    target: String,
}

impl Callback {
    /// Returns the path and the query of the request.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// Returns the value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let mut parameters = url::form_urlencoded::parse(query.as_bytes());
        parameters.find_map(|(known, value)| (known == name).then(|| value.into_owned()))
    }

    /// Tells the person that the login has succeeded. Does not wait for the browser.
    pub(super) fn succeeded(self) {
        answer(self.stream, "200 OK", "You are logged in, and can close this window.");
    }

    /// Tells the person that it has failed.
    pub(super) fn failed(self) {
        answer(self.stream, "400 Bad Request", "The login has failed. The program says why.");
    }
}

/// Reads a request, and returns its path and query. `None` if it is no `GET`.
async fn read_target(mut stream: TcpStream) -> Option<(TcpStream, String)> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > LONGEST_REQUEST || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let target = head.strip_prefix("GET ")?.split(' ').next()?.to_owned();
    Some((stream, target))
}

/// Sends a page, in a task of its own. The code in the address goes from there and from the
/// history.
fn answer(mut stream: TcpStream, status: &'static str, text: &'static str) {
    tokio::spawn(timeout(CONNECTION_TIMEOUT, async move {
        let page = format!(
            "<!DOCTYPE html><meta charset=\"utf-8\"><title>Login</title><p>{text}</p>\
             <script>history.replaceState(null, \"\", \"/\")</script>\n"
        );
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
             cache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n",
            page.len()
        );
        let _ = stream.write_all(format!("{head}{page}").as_bytes()).await;
        let _ = stream.shutdown().await;
    }));
}
