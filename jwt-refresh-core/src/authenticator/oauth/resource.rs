//! A protected resource that names its authorization server (RFC 9728), such as an MCP server.

use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Method, Request, StatusCode};
use huskarl::core::resource_metadata::well_known_url;
use serde_json::Value;
use url::Url;

use super::wire::Wire;
use crate::authenticator::refusal::Asked;
use crate::error::{Error, ErrorKind};
use crate::json::Object;
use crate::send::Challenge;

const ACTION: &str = "discovery";
/// How long the resource may take to say where its document is.
const LONGEST_PROBE: Duration = Duration::from_secs(5);

/// What a resource says of how to get a token for it.
pub(super) struct ResourceServer {
    /// The URL by which the resource calls itself, for which tokens are asked (RFC 8707 §2).
    pub(super) resource: String,
    /// The issuers of its authorization servers, as it lists them.
    pub(super) issuers: Vec<String>,
    /// The scopes to ask for, if it says so.
    pub(super) scope: Option<Vec<String>>,
}

impl ResourceServer {
    /// Asks the resource without a token, and reads the document that its 401 names (RFC 9728
    /// §5.1), or that at a well-known URL (§3.1): the one of the resource, or else of its host.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if the document is of another resource (RFC 9728 §3.3), or
    /// names no authorization server, or if there is none.
    pub(super) async fn discover(url: &str, wire: &Wire) -> Result<Self, Error> {
        let challenges = challenges(url, wire).await;
        let parameter = |name| challenges.iter().find_map(|challenge| challenge.parameter(name));
        let metadata = match parameter("resource_metadata") {
            Some(document) => document_of(&[url], document, wire).await?,
            None => well_known(url, wire).await?,
        };
        let issuers = metadata.issuers;
        if issuers.is_empty() {
            let error = Error::new(ErrorKind::Configuration, "the resource names no authorization server");
            return Err(error.at(url).advising("name the server yourself: `OAuth::builder`"));
        }
        let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect();
        let scope = parameter("scope").map(words).or(Some(metadata.scopes));
        let scope = scope.filter(|scope: &Vec<_>| !scope.is_empty());
        Ok(Self { resource: metadata.resource, issuers, scope })
    }
}

/// What follows depends on of a resource's document (RFC 9728 §2). The rest is not looked at.
struct ResourceDocument {
    resource: String,
    issuers: Vec<String>,
    scopes: Vec<String>,
}

impl ResourceDocument {
    fn read(json: &[u8]) -> Option<Self> {
        let document = Object::parse(json).ok()?;
        let texts = |name| match document.at(name) {
            Ok(Some(Value::Array(items))) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let Ok(Some(Value::String(resource))) = document.at("resource") else { return None };
        Some(Self { resource, issuers: texts("authorization_servers"), scopes: texts("scopes_supported") })
    }
}

/// Returns the challenges in the answer of the resource to a request without a token. An answer
/// that is of no use, or none, is no challenge: the document may be at its well-known URL.
async fn challenges(url: &str, wire: &Wire) -> Vec<Challenge> {
    let Ok(request) = request(url) else { return Vec::new() };
    let probe = wire.send_for_head(ACTION, request);
    match tokio::time::timeout(LONGEST_PROBE, probe).await {
        Ok(Ok((StatusCode::UNAUTHORIZED, headers))) => Challenge::in_headers(&headers),
        _ => Vec::new(),
    }
}

/// Reads the document at the well-known URL of the resource, or, if there is none, at that of its
/// host.
async fn well_known(url: &str, wire: &Wire) -> Result<ResourceDocument, Error> {
    let place = |url: &str| well_known_url(url).map(|place| place.to_string()).map_err(|_| no_document().at(url));
    let host = Url::parse(url).map_err(|_| no_document().at(url))?.origin().ascii_serialization();
    let (own, of_host) = (place(url)?, place(&host)?);
    match document_of(&[url], &own, wire).await {
        Err(error) if error.kind() == ErrorKind::Configuration && own != of_host => {
            document_of(&[url, &host], &of_host, wire).await
        }
        found => found,
    }
}

/// Reads the document of a resource that calls itself by one of these URLs.
async fn document_of(urls: &[&str], place: &str, wire: &Wire) -> Result<ResourceDocument, Error> {
    let answer = wire.send(ACTION, request(place)?).await?;
    let metadata = match answer.status {
        status if status.is_success() => ResourceDocument::read(&answer.body).ok_or_else(|| no_document().at(place))?,
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(answer.refusal(ACTION, Some(Asked::Login)).at(place));
        }
        status => return Err(no_document().answered(status).at(place)),
    };
    let is_named = |url: &&str| without_empty_path(url) == without_empty_path(&metadata.resource);
    if !urls.iter().any(is_named) {
        let error = Error::new(ErrorKind::Configuration, "the resource's document is that of another resource");
        let error = error.at(place);
        return Err(error.advising("name the resource as its document does (RFC 9728 §3.3)"));
    }
    Ok(metadata)
}

/// Returns a URL without the slash that stands for an empty path (RFC 3986 §6.2.3).
fn without_empty_path(url: &str) -> &str {
    let host = url.split_once("://").map_or("", |(_, host)| host);
    if host.find('/') == Some(host.len().wrapping_sub(1)) { &url[..url.len() - 1] } else { url }
}

fn no_document() -> Error {
    let error = Error::new(ErrorKind::Configuration, "the resource does not say where its tokens come from");
    error.advising("check the URL, or name the server yourself: `OAuth::builder` (RFC 9728)")
}

/// Returns a request without credentials. It does not ask for a stream of events, which an MCP
/// server would open and not end.
fn request(url: &str) -> Result<Request<Bytes>, Error> {
    let request = Request::builder().method(Method::GET).uri(url).header(ACCEPT, "application/json");
    request.body(Bytes::new()).map_err(|_| no_document().at(url))
}

#[cfg(test)]
mod tests {
    use super::without_empty_path;

    #[test]
    fn only_an_empty_path_may_be_written_in_two_ways() {
        for (url, without) in [
            ("https://api.example/", "https://api.example"),
            ("https://api.example", "https://api.example"),
            ("https://api.example/mcp/", "https://api.example/mcp/"),
            ("https://api.example//", "https://api.example//"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(without_empty_path(url), without);
        }
    }
}
