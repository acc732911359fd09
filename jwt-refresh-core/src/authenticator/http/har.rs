//! What a browser saved of its requests: a HAR file (HTTP Archive 1.2), which is JSON.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{DATE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::clock::parse_date;
use crate::token::AnswerParts;

/// A request and its answer.
pub(super) struct HarEntry {
    pub(super) origin: String,
    request_headers: HeaderMap,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
    started: Option<SystemTime>,
}

impl HarEntry {
    /// Reads all entries of a HAR file, the latest first. Returns `None` if it is none.
    pub(super) fn read_all(har: &[u8]) -> Option<Vec<Self>> {
        let har: Value = serde_json::from_slice(har.strip_prefix("\u{feff}".as_bytes()).unwrap_or(har)).ok()?;
        let entries = har.get("log")?.get("entries")?.as_array()?;
        let mut entries: Vec<Self> = entries.iter().filter_map(Self::read).collect();
        // The order of a file is that in which requests were begun, or none.
        entries.sort_by_key(|entry| entry.started);
        entries.reverse();
        Some(entries)
    }

    fn read(entry: &Value) -> Option<Self> {
        let (request, response) = (entry.get("request")?, entry.get("response")?);
        let url = Url::parse(request.get("url")?.as_str()?).ok()?;
        let mut headers = headers(response);
        if !headers.contains_key(SET_COOKIE) {
            let cookies = pairs(response.get("cookies")).map(|(name, value)| format!("{name}={value}"));
            let cookies = cookies.filter_map(|cookie| HeaderValue::from_str(&cookie).ok());
            headers.extend(cookies.map(|cookie| (SET_COOKIE, cookie)));
        }
        Some(Self {
            origin: url.origin().ascii_serialization(),
            request_headers: self::headers(request),
            headers,
            body: body(response.get("content")),
            started: entry.get("startedDateTime").and_then(Value::as_str).and_then(parse_date),
        })
    }

    pub(super) fn answer(&self) -> AnswerParts<'_> {
        AnswerParts { headers: &self.headers, body: &self.body }
    }

    /// Returns when the answer came, on the clock of the server, or else on that of the browser.
    pub(super) fn answered_at(&self) -> Option<SystemTime> {
        let date = self.headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(parse_date);
        date.or(self.started)
    }

    /// Returns a header of the request.
    pub(super) fn request_header(&self, name: &str) -> Option<&str> {
        self.request_headers.get(name)?.to_str().ok()
    }

    /// Returns a cookie that the request sent.
    pub(super) fn request_cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.request_header("cookie")?.split(';').filter_map(|cookie| cookie.split_once('='));
        cookies
            .map(|(found, value)| (found.trim(), value.trim()))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }
}

/// Returns the headers of a request or a response. Those that HTTP does not allow are left out, as
/// are the pseudo-headers of HTTP/2.
fn headers(message: &Value) -> HeaderMap {
    let valid = |(name, value): (&str, &str)| {
        let name = name.parse::<HeaderName>().ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    };
    // Some browsers join several cookies by line breaks.
    let lines = pairs(message.get("headers")).flat_map(|(name, value)| value.lines().map(move |line| (name, line)));
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(valid) {
        headers.append(name, value);
    }
    headers
}

/// Returns names and values of a list of `{"name", "value"}`.
fn pairs(list: Option<&Value>) -> impl Iterator<Item = (&str, &str)> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|pair| Some((pair.get("name")?.as_str()?, pair.get("value")?.as_str()?)))
}

fn body(content: Option<&Value>) -> Zeroizing<Vec<u8>> {
    let text = content.and_then(|content| content.get("text")).and_then(Value::as_str).unwrap_or_default();
    let is_encoded = content.and_then(|content| content.get("encoding")).is_some_and(|encoding| encoding == "base64");
    let decoded = if is_encoded { STANDARD.decode(text).ok() } else { None };
    Zeroizing::new(decoded.unwrap_or_else(|| text.as_bytes().to_vec()))
}
